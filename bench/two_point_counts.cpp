/* Pairs of points in space by distance: all pairs of 30,000, and of 200,000 those nearer than a 32nd of the cube's edge. Coordinates are multiples of 2^-20 and bins
   powers of two wide: squares and their sums are exact, so the counts are too. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_sort.h>

namespace cadre::bench {
namespace {

constexpr std::uint32_t kBins = 64;

using Counts = std::vector<std::int64_t>;  // the last one: pairs that are farther apart
using Loop = decltype(Loops::pair_counts);

/** Counts of what count(row, table) counts into four tables, for every row. */
template <class Count>
Counts count_rows(std::size_t n, Count count) {
  tbb::enumerable_thread_specific<std::vector<std::uint32_t>> tables(std::vector<std::uint32_t>(4 * (kBins + 1)));
  tbb::enumerable_thread_specific<Counts> sums(Counts(kBins + 1));
  tbb::parallel_for(tbb::blocked_range<std::size_t>(0, n, 16), [&](const tbb::blocked_range<std::size_t>& range) {
    std::vector<std::uint32_t>& table = tables.local();
    for (std::size_t row = range.begin(); row < range.end(); ++row) count(row, table.data());
    Counts& sum = sums.local();  // before 32 bits are too few
    for (std::size_t b = 0; b < table.size(); ++b) sum[b % (kBins + 1)] += table[b], table[b] = 0;
  });
  Counts total(kBins + 1);
  for (const Counts& c : sums) std::transform(c.begin(), c.end(), total.begin(), total.begin(), std::plus<>());
  return total;
}

Counts count_all(const double* turned, std::size_t n, double per_unit, Loop loop) {
  return count_rows(n, [=](std::size_t row, std::uint32_t* table) { loop(turned, n, row, row + 1, n, per_unit, kBins, table); });
}

/** Points of the unit cube sorted by cells whose edge is half of what the bins reach, z fastest: the neighbours of a cell are 25 stretches. */
Counts count_by_cells(const double* turned, std::size_t n, double per_unit, Loop loop) {
  const double reach = kBins / per_unit;
  const auto edge = static_cast<std::size_t>(std::ceil(2 / reach));
  const auto cell_of = [&](double v) { return std::min(static_cast<std::size_t>(v * static_cast<double>(edge)), edge - 1); };
  std::vector<std::pair<std::uint32_t, std::uint32_t>> order(n);
  tbb::parallel_for(std::size_t{0}, n, [&](std::size_t i) {
    order[i] = {static_cast<std::uint32_t>((cell_of(turned[i]) * edge + cell_of(turned[n + i])) * edge + cell_of(turned[2 * n + i])), static_cast<std::uint32_t>(i)};
  });
  tbb::parallel_sort(order.begin(), order.end());
  std::vector<double> sorted(3 * n);
  std::vector<std::size_t> begin(edge * edge * edge + 1, n);
  tbb::parallel_for(std::size_t{0}, n, [&](std::size_t i) {
    for (std::size_t k = 0; k < 3; ++k) sorted[k * n + i] = turned[k * n + order[i].second];
  });
  for (std::size_t i = n; i-- > 0;) begin[order[i].first] = i;
  for (std::size_t c = begin.size() - 1; c-- > 0;)
    if (begin[c] == n) begin[c] = begin[c + 1];
  Counts total = count_rows(n, [&](std::size_t row, std::uint32_t* table) {
    const std::size_t cell = order[row].first, z = cell % edge, y = cell / edge % edge, x = cell / edge / edge;
    for (std::size_t a = x; a < std::min(x + 3, edge); ++a)
      for (std::size_t b = y < 2 ? 0 : y - 2; b < std::min(y + 3, edge); ++b) {
        const std::size_t line = (a * edge + b) * edge;
        const std::size_t from = std::max(begin[line + (z < 2 ? 0 : z - 2)], row + 1), to = begin[line + std::min(z + 3, edge)];
        if (from < to) loop(sorted.data(), n, row, from, to, per_unit, kBins, table);
      }
  });
  total[kBins] = 0;
  total[kBins] = static_cast<std::int64_t>(n * (n - 1) / 2) - std::accumulate(total.begin(), total.end(), std::int64_t{0});
  return total;
}

void expect_counts(const std::int64_t* got, const Counts& right) {
  for (std::size_t b = 0; b < kBins; ++b)
    if (got[b] != right[b]) throw WrongAnswer("bin " + std::to_string(b) + " has " + std::to_string(got[b]) + " pairs, not " + std::to_string(right[b]));
}

/** `peer`: name and function of the version on threads. */
Race race_of(const Setting& setting, const std::string& name, const std::string& what, std::size_t n, double per_unit, const std::string& peer, Counts (*by_hand)(const double*, std::size_t, double, Loop)) {
  auto turned = huge_array<double>(3 * n);
  const auto input = [](std::size_t i) { return coarse_uniform(i, 1); };
  for (std::size_t i = 0; i < 3 * n; ++i) (*turned)[i % 3 * n + i / 3] = input(i);
  const auto loop = setting.loops().pair_counts;
  // By hand, all pairs: the order of operations does not matter.
  Counts right;
  team().execute([&] { right = count_all(turned->data(), n, per_unit, loop); });

  Race race{.name = name, .rate_unit = "Mpair/s", .work = 0.5e-6 * static_cast<double>(n) * static_cast<double>(n - 1)};
  auto answer = std::make_shared<Counts>(kBins + 1);
  race.contestants.push_back({peer,
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] { *answer = by_hand(turned->data(), n, per_unit, loop); });
                                });
                              },
                              [=] {
                                expect_counts(answer->data(), right);
                                answer->assign(kBins + 1, -1);
                              }});
  auto in = setting.processes->array<double>(Shape{static_cast<std::int64_t>(n), 3});
  auto result = setting.processes->array<std::int64_t>(kBins);
  fill(in.data(), 3 * n, input);
  race.figures.push_back({.what = what + ", processes / best oneTBB", .wanted = 0.98, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("two_point_counts", {{"X", in}}, {{"out", result}}, {{"bins", std::int64_t{kBins}}, {"hi", kBins / per_unit}}), [=](const Report&) {
    expect_counts(result.data(), right);
    std::fill_n(result.data(), kBins, -1);
  });
  return race;
}

}  // namespace

Race two_point_counts_race(const Setting& setting) {
  return race_of(setting, "two_point_counts", "two_point_counts, all pairs of 30,000 points", setting.size(30'000, 64), 32, "oneTBB: blocks of coordinates", count_all);
}

Race two_point_counts_cells_race(const Setting& setting) {
  return race_of(setting, "two_point_counts_cells", "two_point_counts, near pairs of 200,000 points", setting.size(200'000, 64), 2048, "oneTBB: cells", count_by_cells);
}

}  // namespace cadre::bench
