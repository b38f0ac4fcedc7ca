/* The sum of 2^27 float64, 1 GiB: bound by memory. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

#include <tbb/parallel_reduce.h>
#include <memory>

namespace cadre::bench {

Race sum_race(const Setting& setting) {
  const std::size_t n = setting.size(std::size_t{1} << 27);
  auto x = huge_array<double>(n);
  fill(x->data(), n, [](std::size_t i) { return coarse_uniform(i, 1); });
  // In whole numbers of 2^-20, by another way than any contestant.
  std::atomic<std::uint64_t> units{0};
  each_part(n, 1 << 18, [&](std::size_t first, std::size_t count) {
    std::uint64_t part = 0;
    for (std::size_t i = first; i < first + count; ++i) part += random_bits(i, 1) >> 44;
    units += part;
  });
  const double right = static_cast<double>(units) * 0x1p-20;

  Race race{.name = "sum", .rate_unit = "GB/s", .work = 8e-9 * static_cast<double>(n)};
  using Range = tbb::blocked_range<std::size_t>;
  const auto add = [&race, x, n, right](const std::string& name, auto reduce) {
    auto answer = std::make_shared<double>(0);
    race.contestants.push_back({name, [=] { return seconds_of([&] { team().execute([&] { *answer = reduce(x->data(), n); }); }); },
                                [=] {
                                  expect_close(*answer, right, 0, "the sum");
                                  *answer = 0;
                                }});
  };
  const auto body = [sum = setting.loops().sum](const double* x) {
    return [=](const Range& r, double s) { return s + sum(x + r.begin(), r.size()); };
  };
  add("oneTBB: parallel_deterministic_reduce", [=](const double* x, std::size_t n) {
    return tbb::parallel_deterministic_reduce(Range(0, n, 1 << 18), 0.0, body(x), std::plus<>());
  });
  add("oneTBB: parallel_reduce",
      [=](const double* x, std::size_t n) { return tbb::parallel_reduce(Range(0, n, 1 << 16), 0.0, body(x), std::plus<>()); });
  add("oneTBB: parallel_reduce, static", [=](const double* x, std::size_t n) {
    return tbb::parallel_reduce(Range(0, n, 1 << 16), 0.0, body(x), std::plus<>(), tbb::static_partitioner());
  });
  auto kernel = std::make_shared<TeamKernel>(
      "sum", setting.level, std::vector<TeamKernel::Input>{{x->data(), kFloat64, {static_cast<std::int64_t>(n)}}}, std::vector<void*>{});
  add("oneTBB: Cadre's kernel", [=](const double*, std::size_t) { return kernel->run(1 << 18).at(0); });

  auto shared = setting.processes->array<double>(n);
  fill(shared.data(), n, [](std::size_t i) { return coarse_uniform(i, 1); });
  race.figures.push_back({.what = "sum over 1 GiB, processes / best oneTBB", .wanted = 0.97, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("sum", {{"x", shared}}, {}),
              [=](const Report& report) { expect_close(number_of(report, "sum"), right, 0, "the sum"); });
  return race;
}

}  // namespace cadre::bench
