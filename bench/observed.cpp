/* What it costs a run that `cadre compare` measures it: axpy over arrays of 1 GiB, in one engine and on the same arrays, alone and watched as compare's contestants
   are: counters open on every worker, what the kernel tells of them read before and after. The time is the one that compare tells, which excludes the reading itself. */
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/compare/evidence.hpp>

namespace cadre::bench {

Race observed_race(const Setting& setting) {
  constexpr double kFactor = 2.5;  // with multiples of 2^-20 exact, fused or not
  const std::size_t n = setting.size(std::size_t{1} << 27);
  auto x = setting.processes->array<double>(n), y = setting.processes->array<double>(n), out = setting.processes->array<double>(n);
  fill(x.data(), n, [](std::size_t i) { return coarse_uniform(i, 1); });
  fill(y.data(), n, [](std::size_t i) { return coarse_uniform(i, 2); });
  const Job job = job_of("axpy", {{"x", x}, {"y", y}}, {{"out", out}}, {{"a", kFactor}});
  const auto check = [=] {
    expect_all(n, "axpy", [&](std::size_t i) { return out[i] == kFactor * coarse_uniform(i, 1) + coarse_uniform(i, 2); });
    for (std::size_t i = 0; i < n; i += 4096) out[i] = -1;
  };
  Engine* engine = setting.processes;
  const auto run = [=] {
    const Report report = engine->run(job);
    if (report.exit_code != 0) throw WrongAnswer("axpy: " + report.error);
    return report.seconds;
  };
  Race race{.name = "observed", .rate_unit = "GB/s", .work = 24e-9 * static_cast<double>(n)};
  race.contestants.push_back({"alone", run, check});
  race.contestants.push_back({"watched",
                              [=] {
                                compare::Observer observer(engine->pids().workers);
                                observer.begin();  // opens the counters
                                observer.end(engine->pids().workers);
                                observer.begin();
                                const double seconds = run();
                                observer.end(engine->pids().workers);
                                return seconds;
                              },
                              check});
  race.figures.push_back({.what = "axpy over 1 GiB, as compare watches it, time against the same run alone", .kind = Figure::Kind::cost, .wanted = 1.01, .ours = "watched", .peers = {"alone"}});
  return race;
}

}  // namespace cadre::bench
