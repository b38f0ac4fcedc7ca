/* The product of two matrices of 2048 x 2048 float64: bound by arithmetic. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

#include <tbb/blocked_range2d.h>
#include <vector>

namespace cadre::bench {
namespace {

/** Whole numbers from -8 to 8: all sums of products of them are exact. */
double small_whole(std::size_t i, std::uint64_t stream) { return static_cast<double>(random_bits(i, stream) % 17) - 8; }

std::vector<double> times_vector(const double* m, const std::vector<double>& v) {
  const std::size_t n = v.size();
  std::vector<double> out(n);
  each_part(n, 16, [&](std::size_t first, std::size_t count) {
    for (std::size_t row = first; row < first + count; ++row)
      for (std::size_t k = 0; k < n; ++k) out[row] += m[row * n + k] * v[k];
  });
  return out;
}

}  // namespace

Race matmul_race(const Setting& setting) {
  const std::size_t n = std::max<std::size_t>(64, static_cast<std::size_t>(2048 * std::cbrt(setting.scale)) / 64 * 64);
  auto a = huge_array<double>(n * n), b = huge_array<double>(n * n), c = huge_array<double>(n * n);
  fill(a->data(), n * n, [](std::size_t i) { return small_whole(i, 1); });
  fill(b->data(), n * n, [](std::size_t i) { return small_whole(i, 2); });

  Race race{.name = "matmul", .rate_unit = "GFLOP/s", .work = 2e-9 * std::pow(static_cast<double>(n), 3)};
  // Freivalds' check with two vectors of random whole numbers: C*v == A*(B*v), all of it exact; a wrong row escapes each with a chance of 1 in 17 at most.
  const auto check_product = [=](double* product) {
    for (std::uint64_t stream = 3; stream < 5; ++stream) {
      std::vector<double> v(n);
      for (std::size_t i = 0; i < n; ++i) v[i] = small_whole(i, stream);
      if (times_vector(product, v) != times_vector(a->data(), times_vector(b->data(), v))) throw WrongAnswer("the product is wrong");
    }
    std::fill(product, product + n * n, -1.0);
  };
  const auto loop = setting.loops().gemm_tile;
  const auto add = [&](std::size_t rows, std::size_t columns) {
    if (rows > n || columns > n) return;
    race.contestants.push_back({"oneTBB: Eigen tiles of " + std::to_string(rows) + " x " + std::to_string(columns),
                                [=] {
                                  return seconds_of([&] {
                                    team().execute([&] {
                                      using Range = tbb::blocked_range2d<std::size_t>;
                                      tbb::parallel_for(
                                          Range(0, n / rows, 1, 0, n / columns, 1),
                                          [&](const Range& r) {
                                            for (std::size_t i = r.rows().begin(); i < r.rows().end(); ++i)
                                              for (std::size_t j = r.cols().begin(); j < r.cols().end(); ++j)
                                                loop(a->data(), b->data(), c->data(), n, i * rows, rows, j * columns, columns);
                                          },
                                          tbb::simple_partitioner());
                                    });
                                  });
                                },
                                [=] { check_product(c->data()); }});
  };
  add(n / 8, n / 8);
  add(n / 4, n / 4);
  add(n / 2, n / 2);
  add(n / 8, n);
  add(n / 2, n);
  race.figures.push_back(
      {.what = "matmul 2048, processes / Eigen tiles on oneTBB", .wanted = 1, .ours = "processes", .peers = peers_of(race)});
  const auto side = static_cast<std::int64_t>(n);
  const std::vector<TeamKernel::Input> inputs{{a->data(), kFloat64, {side, side}}, {b->data(), kFloat64, {side, side}}};
  auto kernel = std::make_shared<TeamKernel>("matmul", setting.level, inputs, std::vector<void*>{c->data()});
  race.contestants.push_back(
      {"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(n / 8); }); }, [=] { check_product(c->data()); }});

  auto left = setting.processes->array<double>(Shape{side, side}), right = setting.processes->array<double>(Shape{side, side}),
       product = setting.processes->array<double>(Shape{side, side});
  std::copy(a->data(), a->data() + n * n, left.data());
  std::copy(b->data(), b->data() + n * n, right.data());
  add_engines(race, setting, job_of("matmul", {{"A", left}, {"B", right}}, {{"out", product}}),
              [=](const Report&) { check_product(product.data()); });
  return race;
}

}  // namespace cadre::bench
