/* Built-in kernels that no other race runs: processes against the same kernel and plan on oneTBB's threads, and cumsum and stencil2d against loops
   that share nothing with them. Every contestant must come to the same bytes. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>

#include <tbb/parallel_scan.h>
#include <xxhash.h>
#include <cstring>

namespace cadre::bench {
namespace {

template <class T, class F>
AnyArray array_of(const Setting& setting, const Shape& shape, const F& f) {
  auto array = setting.processes->array<T>(shape);
  fill(array.data(), array.size(), f);
  return array;
}

AnyArray reals(const Setting& setting, const Shape& shape, std::uint64_t stream) {
  return array_of<double>(setting, shape, [=](std::size_t i) { return uniform(i, stream); });
}

std::uint64_t hash_of(const Report& report, const NamedArrays& out) {
  std::uint64_t hash = 0;
  for (const auto& [name, array] : out) hash = XXH3_64bits_withSeed(array.data, array.bytes(), hash);
  if (!report.steps.empty())
    for (const SmallResult& r : report.steps.back().result)
      std::visit([&](const auto& values) { hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values.front()), hash); }, r.values);
  return hash;
}

/** Adds the engines; what the first of all contestants comes to is what all must come to. Gives a check for further ones. */
std::function<void(std::uint64_t)> add_agreeing(Race& race, const Setting& setting, const NamedArrays& in, const NamedArrays& out, const std::vector<std::pair<std::string, Param>>& params = {}) {
  auto agreed = std::make_shared<std::optional<std::uint64_t>>();
  const auto agree = [agreed, name = race.name](std::uint64_t hash) {
    if (!*agreed) *agreed = hash;
    if (**agreed != hash) throw WrongAnswer(name + ": two contestants come to different bytes");
  };
  add_engines(race, setting, job_of(race.name, in, out, params), [=](const Report& report) {
    agree(hash_of(report, out));
    for (const auto& [name, array] : out) std::memset(array.data, 0xff, array.bytes());
  });
  std::vector<std::string> peers{"Cadre threads"};
  race.figures.push_back({.what = race.name + ", processes / the best on threads", .wanted = 0.98, .ours = "processes", .peers = peers});
  return agree;
}

Race race_of(const std::string& kernel, std::size_t elements) { return {.name = kernel, .rate_unit = "Melem/s", .work = 1e-6 * static_cast<double>(elements)}; }

std::int64_t rows_of(std::size_t n) { return static_cast<std::int64_t>(n); }

constexpr std::int64_t kIterations = 8;

}  // namespace

Race cumsum_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("cumsum", n);
  const auto input = [](std::size_t i) { return coarse_uniform(i, 1); };  // sums are exact: any order gives the same bytes
  auto x = huge_array<double>(n), out = huge_array<double>(n);
  fill(x->data(), n, input);
  const NamedArrays results{{"out", setting.processes->array<double>(n)}};
  const auto agree = add_agreeing(race, setting, {{"x", array_of<double>(setting, Shape{rows_of(n)}, input)}}, results);
  race.contestants.push_back({"oneTBB: parallel_scan",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] {
                                    tbb::parallel_scan(
                                        tbb::blocked_range<std::size_t>(0, n, 1 << 16), 0.0,
                                        [&](const tbb::blocked_range<std::size_t>& r, double sum, bool final) {
                                          for (std::size_t i = r.begin(); i < r.end(); ++i) {
                                            sum += (*x)[i];
                                            if (final) (*out)[i] = sum;
                                          }
                                          return sum;
                                        },
                                        std::plus<>());
                                  });
                                });
                              },
                              [=] {
                                agree(XXH3_64bits_withSeed(out->data(), n * sizeof(double), 0));
                                (*out)[n - 1] = -1;
                              }});
  race.figures.back().peers.push_back("oneTBB: parallel_scan");
  return race;
}

Race stencil2d_race(const Setting& setting) {
  const std::size_t side = setting.size(4096, 64);
  const auto n = rows_of(side);
  Race race = race_of("stencil2d", side * side * kIterations);
  // Values of 20 bits, weights of 4: eight iterations are exact.
  const std::array<double, 9> weights{1 / 16., 1 / 8., 1 / 16., 1 / 8., 1 / 4., 1 / 8., 1 / 16., 1 / 8., 1 / 16.};
  const auto input = [](std::size_t i) { return coarse_uniform(i, 1); };
  auto x = huge_array<double>(side * side), even = huge_array<double>(side * side), odd = huge_array<double>(side * side);
  fill(x->data(), side * side, input);
  const NamedArrays results{{"out", setting.processes->array<double>(Shape{n, n})}};
  const auto agree = add_agreeing(race, setting, {{"x", array_of<double>(setting, Shape{n, n}, input)}, {"weights", array_of<double>(setting, Shape{3, 3}, [=](std::size_t i) { return weights[i]; })}},
                                  results, {{"iterations", kIterations}});
  const auto check = [=] {
    agree(XXH3_64bits_withSeed(even->data(), side * side * sizeof(double), 0));
    (*even)[0] = -1;
  };
  using Range = tbb::blocked_range<std::size_t>;
  const auto stencil_row = setting.loops().stencil_row;
  race.contestants.push_back({"oneTBB: rows, all of one iteration after the other",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] {
                                    for (std::int64_t k = 0; k < kIterations; ++k) {
                                      const double* from = k == 0 ? x->data() : k % 2 ? odd->data() : even->data();
                                      double* to = k % 2 ? even->data() : odd->data();
                                      tbb::parallel_for(
                                          Range(0, side, 16),
                                          [&](const Range& r) {
                                            for (std::size_t i = r.begin(); i < r.end(); ++i)
                                              stencil_row(from + (i ? i - 1 : 0) * side, from + i * side, from + std::min(i + 1, side - 1) * side, weights.data(), to + i * side, side);
                                          },
                                          tbb::static_partitioner());
                                    }
                                  });
                                });
                              },
                              check});
  race.contestants.push_back({"oneTBB: bands of 32 rows, all iterations in the cache",
                              [=] {
                                constexpr std::size_t kBand = 32, kHalo = kIterations;
                                return seconds_of([&] {
                                  team().execute([&] {
                                    tbb::parallel_for(
                                        Range(0, (side + kBand - 1) / kBand, 1), [&](const Range& bands) {
                                          std::vector<double> a((kBand + 2 * kHalo) * side), b(a.size());
                                          for (std::size_t band = bands.begin(); band < bands.end(); ++band) {
                                            const std::size_t first = band * kBand, end = std::min(first + kBand, side);
                                            const std::size_t base = first < kHalo ? 0 : first - kHalo;  // row of a[0] and b[0]
                                            const double* from = x->data() + base * side;
                                            double *to = a.data(), *next = b.data();
                                            for (std::size_t k = 1; k <= kHalo; ++k) {
                                              const std::size_t halo = kHalo - k, low = first < halo ? 0 : first - halo, high = std::min(end + halo, side);
                                              double* out = k == kHalo ? even->data() + base * side : to;
                                              for (std::size_t i = low; i < high; ++i)
                                                stencil_row(from + ((i ? i - 1 : 0) - base) * side, from + (i - base) * side, from + (std::min(i + 1, side - 1) - base) * side, weights.data(),
                                                            out + (i - base) * side, side);
                                              from = to;
                                              std::swap(to, next);
                                            }
                                          }
                                        });
                                  });
                                });
                              },
                              check});
  for (const std::string& peer : peers_of(race)) race.figures.back().peers.push_back(peer);
  return race;
}

Race quantiles_race(const Setting& setting) {
  const std::size_t n = setting.size(20'000'000);
  Race race = race_of("quantiles", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}, {"q", array_of<double>(setting, Shape{3}, [](std::size_t i) { return 0.25 * static_cast<double>(i + 1); })}},
               {{"out", setting.processes->array<double>(3)}});
  return race;
}

Race topk_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("topk", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}}, {{"values", setting.processes->array<double>(100)}, {"index", setting.processes->array<std::int64_t>(100)}}, {{"k", std::int64_t{100}}});
  return race;
}

Race argmin_race(const Setting& setting) {
  const std::size_t n = setting.size(100'000'000);
  Race race = race_of("argmin", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}}, {});
  return race;
}

Race subtract_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("subtract", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}, {"y", reals(setting, Shape{rows_of(n)}, 2)}}, {{"out", setting.processes->array<double>(n)}});
  return race;
}

Race scale_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("scale", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}}, {{"out", setting.processes->array<double>(n)}}, {{"factor", 2.5}});
  return race;
}

Race abs_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("abs", n);
  add_agreeing(race, setting, {{"x", array_of<double>(setting, Shape{rows_of(n)}, [](std::size_t i) { return uniform(i, 1) - 0.5; })}}, {{"out", setting.processes->array<double>(n)}});
  return race;
}

Race polynomial_race(const Setting& setting) {
  const std::size_t n = setting.size(50'000'000);
  Race race = race_of("polynomial", n);
  add_agreeing(race, setting, {{"x", reals(setting, Shape{rows_of(n)}, 1)}, {"c", reals(setting, Shape{8}, 2)}}, {{"out", setting.processes->array<double>(n)}});
  return race;
}

Race monte_carlo_option_race(const Setting& setting) {
  const std::size_t paths = setting.size(5'000'000);
  Race race = race_of("monte_carlo_option", paths);
  add_agreeing(race, setting, {}, {}, {{"paths", rows_of(paths)}, {"dates", std::int64_t{4}}});
  return race;
}

Race kmeans_to_the_end_race(const Setting& setting) {
  const std::size_t n = setting.size(2'000'000);
  Race race = race_of("kmeans", n);
  add_agreeing(race, setting, {{"X", reals(setting, Shape{rows_of(n), 4}, 1)}, {"centers", reals(setting, Shape{16, 4}, 2)}},
               {{"centers", setting.processes->array<double>(Shape{16, 4})}, {"count", setting.processes->array<std::int64_t>(16)}}, {{"max_iter", std::int64_t{10}}});
  return race;
}

Race pca_race(const Setting& setting) {
  const std::size_t n = setting.size(1'000'000);
  Race race = race_of("pca", n);
  add_agreeing(race, setting, {{"X", reals(setting, Shape{rows_of(n), 16}, 1)}}, {{"components", setting.processes->array<double>(Shape{4, 16})}, {"transformed", setting.processes->array<double>(Shape{rows_of(n), 4})}},
               {{"components", std::int64_t{4}}});
  return race;
}

Race linear_regression_race(const Setting& setting) {
  const std::size_t n = setting.size(5'000'000);
  Race race = race_of("linear_regression", n);
  add_agreeing(race, setting, {{"X", reals(setting, Shape{rows_of(n), 8}, 1)}, {"y", reals(setting, Shape{rows_of(n)}, 2)}}, {{"coefficients", setting.processes->array<double>(8)}});
  return race;
}

Race pairwise_distances_race(const Setting& setting) {
  const std::size_t n = setting.size(8192, 64), m = 4096;
  Race race = race_of("pairwise_distances", n * m);
  add_agreeing(race, setting, {{"X", reals(setting, Shape{rows_of(n), 3}, 1)}, {"Y", reals(setting, Shape{rows_of(m), 3}, 2)}}, {{"out", setting.processes->array<double>(Shape{rows_of(n), rows_of(m)})}});
  return race;
}

Race spmv_race(const Setting& setting) {
  constexpr std::size_t kPerRow = 16;
  const std::size_t n = setting.size(2'000'000), entries = kPerRow * n;
  Race race = race_of("spmv", entries);
  add_agreeing(race, setting,
               {{"data", reals(setting, Shape{rows_of(entries)}, 1)},
                {"indices", array_of<std::int32_t>(setting, Shape{rows_of(entries)}, [=](std::size_t i) { return static_cast<std::int32_t>(random_bits(i, 2) % n); })},
                {"indptr", array_of<std::int64_t>(setting, Shape{rows_of(n + 1)}, [=](std::size_t i) { return static_cast<std::int64_t>(kPerRow * i); })},
                {"x", reals(setting, Shape{rows_of(n)}, 3)}},
               {{"out", setting.processes->array<double>(n)}});
  return race;
}

}  // namespace cadre::bench
