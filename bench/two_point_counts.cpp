/* Pairs of 30,000 points in space by distance. Coordinates are multiples of 2^-20 and bins 2^-8 wide: squares and their sums are exact, so the counts are too. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>
#include <cadre/bench/team_kernel.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <mutex>

namespace cadre::bench {
namespace {

constexpr std::uint32_t kBins = 64;
constexpr double kPerUnit = 256;  // bins

using Counts = std::vector<std::int64_t>;  // the last one: pairs that are farther apart

void expect_counts(const std::int64_t* got, const Counts& right) {
  for (std::size_t b = 0; b < kBins; ++b)
    if (got[b] != right[b]) throw WrongAnswer("bin " + std::to_string(b) + " has " + std::to_string(got[b]) + " pairs, not " + std::to_string(right[b]));
}

}  // namespace

Race two_point_counts_race(const Setting& setting) {
  const std::size_t n = setting.size(30'000, 64);
  auto x = huge_array<double>(3 * n), turned = huge_array<double>(3 * n);
  const auto input = [](std::size_t i) { return coarse_uniform(i, 1); };
  fill(x->data(), 3 * n, input);
  for (std::size_t i = 0; i < 3 * n; ++i) (*turned)[i % 3 * n + i / 3] = input(i);
  const auto loop = setting.loops().pair_counts;

  const auto count_all = [=](auto partitioner) {
    tbb::enumerable_thread_specific<std::vector<std::uint32_t>> tables(std::vector<std::uint32_t>(4 * (kBins + 1)));
    tbb::enumerable_thread_specific<Counts> sums(Counts(kBins + 1));
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, n, 16),
        [&](const tbb::blocked_range<std::size_t>& range) {
          std::vector<std::uint32_t>& table = tables.local();
          for (std::size_t row = range.begin(); row < range.end(); ++row) loop(turned->data(), n, row, kPerUnit, kBins, table.data());
          Counts& sum = sums.local();  // before 32 bits are too few
          for (std::size_t b = 0; b < table.size(); ++b) sum[b % (kBins + 1)] += table[b], table[b] = 0;
        },
        partitioner);
    Counts total(kBins + 1);
    for (const Counts& c : sums) std::transform(c.begin(), c.end(), total.begin(), total.begin(), std::plus<>());
    return total;
  };
  // The plain definition.
  Counts right(kBins + 1);
  std::mutex together;
  each_part(n, 64, [&](std::size_t first, std::size_t count) {
    Counts mine(kBins + 1);
    for (std::size_t i = first; i < first + count; ++i)
      for (std::size_t j = i + 1; j < n; ++j) {
        double square = 0;
        for (std::size_t k = 0; k < 3; ++k) square += std::pow(input(3 * i + k) - input(3 * j + k), 2);
        const double bin = std::sqrt(square) * kPerUnit;
        ++mine[bin < kBins ? static_cast<std::size_t>(bin) : bin == kBins ? kBins - 1 : kBins];
      }
    const std::lock_guard lock(together);
    for (std::size_t b = 0; b <= kBins; ++b) right[b] += mine[b];
  });

  Race race{.name = "two_point_counts", .rate_unit = "Mpair/s", .work = 0.5e-6 * static_cast<double>(n) * static_cast<double>(n - 1)};
  auto answer = std::make_shared<Counts>(kBins + 1);
  const auto check = [=] {
    expect_counts(answer->data(), right);
    std::fill(answer->begin(), answer->end(), -1);
  };
  race.contestants.push_back({"oneTBB: blocks of coordinates",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] { std::ranges::copy(count_all(tbb::auto_partitioner()), answer->begin()); });  // in place: it is the kernel's output too
                                });
                              },
                              check});
  const auto rows = static_cast<std::int64_t>(n);
  const double hi = kBins / kPerUnit;
  auto kernel = std::make_shared<TeamKernel>("two_point_counts", setting.level, std::vector<TeamKernel::Input>{{x->data(), kFloat64, {rows, 3}}}, std::vector<void*>{answer->data()},
                                             std::vector<std::pair<std::string, double>>{{"bins", kBins}, {"hi", hi}});
  race.contestants.push_back({"oneTBB: Cadre's kernel",
                              [=] {
                                (void)x;  // which the kernel reads
                                return seconds_of([&] { kernel->run(64); });
                              },
                              check});
  auto in = setting.processes->array<double>(Shape{rows, 3});
  auto result = setting.processes->array<std::int64_t>(kBins);
  fill(in.data(), 3 * n, input);
  race.figures.push_back({.what = "two_point_counts, 30,000 points, processes / best oneTBB", .wanted = 0.98, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("two_point_counts", {{"X", in}}, {{"out", result}}, {{"bins", std::int64_t{kBins}}, {"hi", hi}}), [=](const Report&) {
    expect_counts(result.data(), right);
    std::fill_n(result.data(), kBins, -1);
  });
  return race;
}

}  // namespace cadre::bench
