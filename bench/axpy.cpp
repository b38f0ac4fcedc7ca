/* out = a*x + y over arrays of 2^27 float64, 1 GiB each: bound by memory. Rates count 24 bytes per element; a plain store moves 32. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

namespace cadre::bench {

Race axpy_race(const Setting& setting) {
  constexpr double kFactor = 2.5;  // with multiples of 2^-20 exact, fused or not
  const std::size_t n = setting.size(std::size_t{1} << 27);
  auto x = huge_array<double>(n), y = huge_array<double>(n), out = huge_array<double>(n);
  fill(x->data(), n, [](std::size_t i) { return coarse_uniform(i, 1); });
  fill(y->data(), n, [](std::size_t i) { return coarse_uniform(i, 2); });

  Race race{.name = "axpy", .rate_unit = "GB/s", .work = 24e-9 * static_cast<double>(n)};
  const auto check_memory = [n](double* answer) {
    expect_all(n, "axpy", [&](std::size_t i) { return answer[i] == kFactor * coarse_uniform(i, 1) + coarse_uniform(i, 2); });
    for (std::size_t i = 0; i < n; i += 4096) answer[i] = -1;
  };
  const auto check = [=] { check_memory(out->data()); };
  using Range = tbb::blocked_range<std::size_t>;  // in units of 4,096 elements, so that all parts are aligned
  const auto add = [&](const std::string& name, auto loop, auto partitioner) {
    auto kept = std::make_shared<decltype(partitioner)>();  // an affinity_partitioner remembers from run to run
    race.contestants.push_back({name,
                                [=] {
                                  return seconds_of([&] {
                                    team().execute([&] {
                                      tbb::parallel_for(
                                          Range(0, (n + 4095) / 4096, 8),
                                          [&](const Range& r) {
                                            const std::size_t first = r.begin() * 4096, last = std::min(n, r.end() * 4096);
                                            loop(kFactor, x->data() + first, y->data() + first, out->data() + first, last - first);
                                          },
                                          *kept);
                                    });
                                  });
                                },
                                check});
  };
  const Loops& loops = setting.loops();
  add("oneTBB: static", loops.axpy, tbb::static_partitioner());
  add("oneTBB: affinity", loops.axpy, tbb::affinity_partitioner());
  add("oneTBB: auto", loops.axpy, tbb::auto_partitioner());
  add("oneTBB: static, streaming stores", loops.axpy_streaming, tbb::static_partitioner());
  add("oneTBB: auto, streaming stores", loops.axpy_streaming, tbb::auto_partitioner());
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(n)};
  auto kernel = std::make_shared<TeamKernel>("axpy", setting.level,
                                             std::vector<TeamKernel::Input>{{x->data(), kFloat64, shape}, {y->data(), kFloat64, shape}},
                                             std::vector<void*>{out->data()}, std::vector<std::pair<std::string, double>>{{"a", kFactor}});
  race.contestants.push_back({"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(1 << 15); }); }, check});

  auto in_x = setting.processes->array<double>(n), in_y = setting.processes->array<double>(n), result = setting.processes->array<double>(n);
  fill(in_x.data(), n, [](std::size_t i) { return coarse_uniform(i, 1); });
  fill(in_y.data(), n, [](std::size_t i) { return coarse_uniform(i, 2); });
  race.figures.push_back(
      {.what = "axpy over 1 GiB, processes / best oneTBB", .wanted = 0.97, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("axpy", {{"x", in_x}, {"y", in_y}}, {{"out", result}}, {{"a", kFactor}}),
              [=](const Report&) { check_memory(result.data()); });
  return race;
}

}  // namespace cadre::bench
