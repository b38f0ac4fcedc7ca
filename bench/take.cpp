/* out[i] = x[index[i]] for 2^25 random rows of a table of 2^27 float64, 1 GiB: bound by cache and TLB misses. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/races.hpp>

namespace cadre::bench {

Race take_race(const Setting& setting) {
  const std::size_t rows = setting.size(std::size_t{1} << 27), n = setting.size(std::size_t{1} << 25);
  auto x = huge_array<double>(rows), out = huge_array<double>(n);
  auto index = huge_array<std::int64_t>(n);
  const auto row = [rows](std::size_t i) { return random_bits(i, 2) % rows; };
  fill(x->data(), rows, [](std::size_t i) { return uniform(i, 1); });
  fill(index->data(), n, row);

  Race race{.name = "take", .rate_unit = "Maccess/s", .work = 1e-6 * static_cast<double>(n)};
  const auto check = [=] {
    expect_all(n, "take", [&](std::size_t i) { return (*out)[i] == uniform(row(i), 1); });
    for (std::size_t i = 0; i < n; i += 4096) (*out)[i] = -1;
  };
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
                                            if (!loop(x->data(), rows, index->data() + r.begin(), out->data() + r.begin(), r.size())) good = false;
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
  return race;
}

}  // namespace cadre::bench
