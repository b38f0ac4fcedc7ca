/* The Fourier transforms of 100,000 rows of 1,024 numbers. The peer calls FFTW as its manual says: one plan, executed by all threads. */
#include <fftw3.h>

#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team.hpp>
#include <cadre/bench/team_kernel.hpp>

namespace cadre::bench {

Race fft_rows_race(const Setting& setting) {
  constexpr std::size_t kLength = 1024, kWidth = kLength + 2;
  const std::size_t rows = setting.size(100'000, 16);
  auto x = huge_array<double>(rows * kLength), out = huge_array<double>(rows * kWidth);
  const auto input = [](std::size_t i) { return coarse_uniform(i, 1) - 0.5; };
  fill(x->data(), rows * kLength, input);

  Race race{.name = "fft_rows", .rate_unit = "Mrow/s", .work = 1e-6 * static_cast<double>(rows)};
  // The first two coefficients by their definition; each stage of a transform adds a unit or two in the last place of the row's norm, below sqrt(1024) / 2.
  const auto check_rows = [=](double* answer) {
    expect_all(rows, "fft_rows", [&](std::size_t r) {
      double sum = 0, real = 0, imaginary = 0;
      for (std::size_t j = 0; j < kLength; ++j) {
        const double v = input(r * kLength + j);
        sum += v;
        if (r % 64 != 0) continue;
        real += v * std::cos(-2 * M_PI * static_cast<double>(j) / kLength);
        imaginary += v * std::sin(-2 * M_PI * static_cast<double>(j) / kLength);
      }
      const double* row = answer + r * kWidth;
      const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-12; };
      return near(row[0], sum) && (r % 64 != 0 || (near(row[2], real) && near(row[3], imaginary)));
    });
    for (std::size_t r = 0; r < rows; ++r) answer[r * kWidth] = NAN;
  };
  const std::shared_ptr<fftw_plan_s> plan(
      fftw_plan_dft_r2c_1d(static_cast<int>(kLength), x->data(), reinterpret_cast<fftw_complex*>(out->data()), FFTW_ESTIMATE | FFTW_PRESERVE_INPUT), fftw_destroy_plan);
  const auto add = [&](const std::string& name, auto partitioner) {
    race.contestants.push_back({name,
                                [=] {
                                  return seconds_of([&] {
                                    team().execute([&] {
                                      tbb::parallel_for(
                                          tbb::blocked_range<std::size_t>(0, rows, 16),
                                          [&](const tbb::blocked_range<std::size_t>& range) {
                                            for (std::size_t r = range.begin(); r < range.end(); ++r)
                                              fftw_execute_dft_r2c(plan.get(), x->data() + r * kLength, reinterpret_cast<fftw_complex*>(out->data() + r * kWidth));
                                          },
                                          partitioner);
                                    });
                                  });
                                },
                                [=] { check_rows(out->data()); }});
  };
  add("oneTBB: FFTW, static", tbb::static_partitioner());
  add("oneTBB: FFTW, auto", tbb::auto_partitioner());
  const auto n = static_cast<std::int64_t>(rows), d = static_cast<std::int64_t>(kLength);
  auto kernel = std::make_shared<TeamKernel>("fft_rows", setting.level, std::vector<TeamKernel::Input>{{x->data(), kFloat64, {n, d}}}, std::vector<void*>{out->data()});
  race.contestants.push_back({"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(16); }); }, [=] { check_rows(out->data()); }});
  auto in = setting.processes->array<double>(Shape{n, d}), result = setting.processes->array<double>(Shape{n, d / 2 + 1, 2});
  fill(in.data(), rows * kLength, input);
  race.figures.push_back({.what = "fft_rows 100,000 x 1,024, processes / FFTW on oneTBB", .wanted = 0.98, .ours = "processes", .peers = peers_of(race)});
  add_engines(race, setting, job_of("fft_rows", {{"X", in}}, {{"out", result}}), [=](const Report&) { check_rows(result.data()); });
  return race;
}

}  // namespace cadre::bench
