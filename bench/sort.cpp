/* 20 million random numbers in order, into an array of their own. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>

#include <tbb/parallel_sort.h>
#include <bit>

namespace cadre::bench {

Race sort_race(const Setting& setting) {
  const std::size_t n = setting.size(20'000'000);
  auto x = huge_array<double>(n), out = huge_array<double>(n);
  const auto input = [](std::size_t i) { return uniform(i, 1) - 0.5; };
  fill(x->data(), n, input);
  // In order, and the same numbers: their bits add up to the same.
  std::uint64_t right = 0;
  for (std::size_t i = 0; i < n; ++i) right += std::bit_cast<std::uint64_t>(input(i)) * 0x9e3779b97f4a7c15u >> 7;
  const auto check_order = [=](double* answer) {
    expect_all(n - 1, "sort", [&](std::size_t i) { return answer[i] <= answer[i + 1]; });
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::bit_cast<std::uint64_t>(answer[i]) * 0x9e3779b97f4a7c15u >> 7;
    if (sum != right) throw WrongAnswer("sort has lost a number");
    answer[0] = INFINITY;
  };
  Race race{.name = "sort", .rate_unit = "Melem/s", .work = 1e-6 * static_cast<double>(n)};
  race.contestants.push_back({"oneTBB: copy, parallel_sort",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] {
                                    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, n, 1 << 16),
                                                      [&](const tbb::blocked_range<std::size_t>& r) { std::copy(x->data() + r.begin(), x->data() + r.end(), out->data() + r.begin()); });
                                    tbb::parallel_sort(out->data(), out->data() + n);
                                  });
                                });
                              },
                              [=] { check_order(out->data()); }});
  auto in = setting.processes->array<double>(n), result = setting.processes->array<double>(n);
  fill(in.data(), n, input);
  add_engines(race, setting, job_of("sort", {{"x", in}}, {{"out", result}}), [=](const Report&) { check_order(result.data()); });
  race.figures.push_back({.what = "sort 20 M, processes / the best on threads", .wanted = 0.98, .ours = "processes", .peers = {"oneTBB: copy, parallel_sort", "Cadre threads"}});
  return race;
}

}  // namespace cadre::bench
