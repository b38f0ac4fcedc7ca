/* 2048 x 2048 points, at most 256 steps each: bound by arithmetic, and by the latency of a chain of it. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>
#include <cadre/bench/team_kernel.hpp>

namespace cadre::bench {

Race mandelbrot_race(const Setting& setting) {
  constexpr std::int32_t kMost = 256;
  const std::size_t side = setting.size(2048, 64);
  auto out = huge_array<std::int32_t>(side * side);
  const auto scalar = setting.loops().mandelbrot_row;

  Race race{.name = "mandelbrot", .rate_unit = "Mpixel/s", .work = 1e-6 * static_cast<double>(side * side)};
  const auto check_steps = [=](std::int32_t* answer) {
    std::vector<std::int32_t> row(side);
    for (std::size_t r = 0; r < side; r += std::max<std::size_t>(side / 16, 1)) {
      scalar(side, side, r, kMost, row.data());
      for (std::size_t k = 0; k < side; ++k)
        if (answer[r * side + k] != row[k]) throw WrongAnswer("mandelbrot is wrong at row " + std::to_string(r) + ", column " + std::to_string(k));
      std::fill_n(answer + r * side, side, -1);
    }
  };
  race.contestants.push_back({"oneTBB: scalar loop",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] { tbb::parallel_for(std::size_t{0}, side, [&](std::size_t r) { scalar(side, side, r, kMost, out->data() + r * side); }); });
                                });
                              },
                              [=] { check_steps(out->data()); }});
  const double d = static_cast<double>(side);
  auto kernel = std::make_shared<TeamKernel>("mandelbrot", setting.level, std::vector<TeamKernel::Input>{}, std::vector<void*>{out->data()},
                                             std::vector<std::pair<std::string, double>>{{"width", d}, {"height", d}});
  race.contestants.push_back({"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(1); }); }, [=] { check_steps(out->data()); }});
  auto result = setting.processes->array<std::int32_t>(Shape{static_cast<std::int64_t>(side), static_cast<std::int64_t>(side)});
  add_engines(race, setting, job_of("mandelbrot", {}, {{"out", result}}, {{"width", static_cast<std::int64_t>(side)}, {"height", static_cast<std::int64_t>(side)}}),
              [=](const Report&) { check_steps(result.data()); });
  race.figures.push_back({.what = "mandelbrot 2048 x 2048, processes / oneTBB on the same kernel", .wanted = 0.98, .ours = "processes", .peers = {"oneTBB: Cadre's kernel", "Cadre threads"}});
  race.figures.push_back({.what = "mandelbrot 2048 x 2048, processes / the scalar loop on as many threads", .wanted = 10, .ours = "processes", .peers = {"oneTBB: scalar loop"}});
  return race;
}

}  // namespace cadre::bench
