/* bench_cadre: the same contestants under google benchmark, for its filters, repetitions, JSON and compare.py. Ratios are the business of
   bench_figures, which lets the contestants take turns. */
#include <cadre/bench/child.hpp>
#include <cadre/bench/machine.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/races.hpp>

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

using namespace cadre::bench;

namespace {

/** The race whose arrays are in memory now. */
struct Current {
  std::string name;
  std::unique_ptr<Race> race;
} current;

void run_contestant(benchmark::State& state, const Entry& entry, const Setting& setting, std::size_t which) {
  if (current.name != entry.name) {
    current.race.reset();
    current = {entry.name, std::make_unique<Race>(entry.make(setting))};
  }
  const Contestant& contestant = current.race->contestants[which];
  state.SetLabel(contestant.name);
  contestant.sample();
  if (contestant.check) contestant.check();
  for (auto _ : state) state.SetIterationTime(contestant.sample());
  if (!current.race->rate_unit.empty())
    state.counters[current.race->rate_unit] =
        benchmark::Counter(current.race->work * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

int run_all(int argc, char** argv) {
  Setting setting;
  if (const char* scale = std::getenv("CADRE_BENCH_SCALE")) setting.scale = std::atof(scale);
  Workers workers(setting);
  // Names need no arrays: the contestants of a race are known from its smallest size.
  Setting tiny = setting;
  tiny.scale = 1e-5;
  benchmark::Initialize(&argc, argv);
  for (const Entry& entry : entries()) {
    const Race race = entry.make(tiny);
    for (std::size_t i = 0; i < race.contestants.size(); ++i)
      benchmark::RegisterBenchmark((entry.name + "/" + std::to_string(i)).c_str(), run_contestant, entry, setting, i)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
  }
  benchmark::AddCustomContext("machine", machine_fingerprint());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  current.race.reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (const int status = child_main(argc, argv); status >= 0) return status;
  try {
    return run_all(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bench_cadre: " << error.what() << "\n";
    return 1;
  }
}
