/* The logistic curve of 100 million numbers: the plug-in of the README, built by `cadre build`, against the same loop compiled in by hand. What is lost is the
   plug-in's boundary and the engine. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>

namespace cadre::bench {

Race plugin_race(const Setting& setting) {
  const std::size_t n = setting.size(100'000'000);
  auto x = huge_array<double>(n), out = huge_array<double>(n);
  const auto input = [](std::size_t i) { return 16 * uniform(i, 1) - 8; };
  fill(x->data(), n, input);

  Race race{.name = "plugin", .rate_unit = "Melem/s", .work = 1e-6 * static_cast<double>(n)};
  // exp within 1 ulp, one addition, one division.
  const auto check_values = [=](double* answer) {
    expect_all(n / 64, "sigmoid", [&](std::size_t k) {
      const std::size_t i = 64 * k;
      return std::abs(answer[i] - 1 / (1 + std::exp(-2 * input(i)))) <= 4 * 0x1p-53;
    });
    for (std::size_t i = 0; i < n; i += 64) answer[i] = -1;
  };
  using Range = tbb::blocked_range<std::size_t>;
  const auto add = [&](const std::string& name, auto loop, auto partitioner) {
    race.contestants.push_back({name,
                                [=] {
                                  return seconds_of([&] {
                                    team().execute([&] {
                                      tbb::parallel_for(Range(0, n / 1024, 64), [&](const Range& r) { loop(2.0, x->data() + r.begin() * 1024, out->data() + r.begin() * 1024, r.size() * 1024); }, partitioner);
                                    });
                                  });
                                },
                                [=] { check_values(out->data()); }});
  };
  add("oneTBB: static", setting.loops().sigmoid, tbb::static_partitioner());
  add("oneTBB: auto", setting.loops().sigmoid, tbb::auto_partitioner());
  auto in = setting.processes->array<double>(n), result = setting.processes->array<double>(n);
  fill(in.data(), n, input);
  race.figures.push_back({.what = "plug-in sigmoid, 100 M, processes / the loop by hand on oneTBB", .wanted = 0.98, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("sigmoid", {{"x", in}}, {{"out", result}}, {{"slope", 2.0}}), [=](const Report&) { check_values(result.data()); });
  return race;
}

}  // namespace cadre::bench
