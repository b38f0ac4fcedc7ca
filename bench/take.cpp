/* out[i] = x[index[i]] for 2^25 random rows of a table of 2^27 float64, 1 GiB: bound by cache and TLB misses. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

namespace cadre::bench {

Race take_race(const Setting& setting) {
  const std::size_t rows = setting.size(std::size_t{1} << 27), n = setting.size(std::size_t{1} << 25);
  auto x = huge_array<double>(rows), out = huge_array<double>(n);
  auto index = huge_array<std::int64_t>(n);
  const auto row = [rows](std::size_t i) { return random_bits(i, 2) % rows; };
  fill(x->data(), rows, [](std::size_t i) { return uniform(i, 1); });
  fill(index->data(), n, row);

  Race race{.name = "take", .rate_unit = "Maccess/s", .work = 1e-6 * static_cast<double>(n)};
  const auto check_memory = [=](double* answer) {
    expect_all(n, "take", [&](std::size_t i) { return answer[i] == uniform(row(i), 1); });
    for (std::size_t i = 0; i < n; i += 4096) answer[i] = -1;
  };
  const auto check = [=] { check_memory(out->data()); };
  using Range = tbb::blocked_range<std::size_t>;
  const auto add = [&](const std::string& name, auto loop, auto partitioner) {
    race.contestants.push_back({name,
                                [=] {
                                  std::atomic<bool> good{true};
                                  const double seconds = seconds_of([&] {
                                    team().execute([&] {
                                      tbb::parallel_for(
                                          Range(0, n, 1 << 14),
                                          [&](const Range& r) {
                                            if (!loop(x->data(), rows, index->data() + r.begin(), out->data() + r.begin(), r.size()))
                                              good = false;
                                          },
                                          partitioner);
                                    });
                                  });
                                  if (!good) throw WrongAnswer("take: an index out of range was found where there is none");
                                  return seconds;
                                },
                                check});
  };
  const Loops& loops = setting.loops();
  add("oneTBB: static", loops.take, tbb::static_partitioner());
  add("oneTBB: auto", loops.take, tbb::auto_partitioner());
  add("oneTBB: static, prefetch", loops.take_prefetch, tbb::static_partitioner());
  add("oneTBB: auto, prefetch", loops.take_prefetch, tbb::auto_partitioner());
  add("oneTBB: auto, unchecked gather", loops.take_unchecked, tbb::auto_partitioner());
  const std::vector<TeamKernel::Input> inputs{{x->data(), kFloat64, {static_cast<std::int64_t>(rows)}},
                                              {index->data(), kInt64, {static_cast<std::int64_t>(n)}}};
  auto kernel = std::make_shared<TeamKernel>("take", setting.level, inputs, std::vector<void*>{out->data()});
  race.contestants.push_back({"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(1 << 14); }); }, check});

  auto table = setting.processes->array<double>(rows), result = setting.processes->array<double>(n);
  auto at = setting.processes->array<std::int64_t>(n);
  fill(table.data(), rows, [](std::size_t i) { return uniform(i, 1); });
  fill(at.data(), n, row);
  race.figures.push_back({.what = "take with a random index over 1 GiB, processes / threads on huge pages",
                          .wanted = 0.95,
                          .ours = "processes",
                          .peers = peers_of(race)});
  race.figures.back().peers.push_back("Cadre threads");
  add_engines(race, setting, job_of("take", {{"x", table}, {"index", at}}, {{"out", result}}),
              [=](const Report&) { check_memory(result.data()); });
  return race;
}

}  // namespace cadre::bench
