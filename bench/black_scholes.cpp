/* 10 million call prices: bound by arithmetic. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

#include <array>

namespace cadre::bench {
namespace {

constexpr std::array<double, 5> kLow{20, 20, 0.05, 0, 0.05}, kHigh{200, 200, 3, 0.08, 0.8};  // spot, strike, time, rate, volatility

double input(std::size_t which, std::size_t i) { return kLow[which] + (kHigh[which] - kLow[which]) * uniform(i, which + 1); }

long double price(std::size_t i) {
  const long double spot = input(0, i), strike = input(1, i), time = input(2, i), rate = input(3, i), volatility = input(4, i);
  const long double width = volatility * std::sqrt(time);
  const long double d1 = (std::log(spot / strike) + (rate + volatility * volatility / 2) * time) / width, d2 = d1 - width;
  const auto normal = [](long double d) { return std::erfc(-d / std::sqrt(2.0L)) / 2; };
  return spot * normal(d1) - strike * std::exp(-rate * time) * normal(d2);
}

}  // namespace

Race black_scholes_race(const Setting& setting) {
  const std::size_t n = setting.size(10'000'000, 1);
  std::array<std::shared_ptr<HugeArray<double>>, 5> in;
  for (std::size_t k = 0; k < in.size(); ++k) {
    in[k] = huge_array<double>(n);
    fill(in[k]->data(), n, [k](std::size_t i) { return input(k, i); });
  }
  auto out = huge_array<double>(n);

  Race race{.name = "black_scholes", .rate_unit = "Moption/s", .work = 1e-6 * static_cast<double>(n)};
  // One price in 64, against long double: |d1| stays below 300, so that the error of log, division and erfc together is far below
  // 512 units in the last place of the larger of spot and strike.
  const auto check_prices = [n](double* prices) {
    expect_all(n / 64, "price", [&](std::size_t k) {
      const std::size_t i = 64 * k;
      return std::abs(static_cast<double>(prices[i] - price(i))) <= 512 * 0x1p-53 * std::max(input(0, i), input(1, i));
    });
    for (std::size_t i = 0; i < n; i += 64) prices[i] = -1;
  };
  using Range = tbb::blocked_range<std::size_t>;
  const auto loop = setting.loops().black_scholes;
  race.contestants.push_back({"oneTBB: scalar libm",
                              [=] {
                                return seconds_of([&] {
                                  team().execute([&] {
                                    tbb::parallel_for(Range(0, n, 4096), [&](const Range& r) {
                                      const std::size_t at = r.begin();
                                      loop(in[0]->data() + at, in[1]->data() + at, in[2]->data() + at, in[3]->data() + at,
                                           in[4]->data() + at, out->data() + at, r.size());
                                    });
                                  });
                                });
                              },
                              [=] { check_prices(out->data()); }});
  std::vector<TeamKernel::Input> inputs;
  for (const auto& array : in) inputs.push_back({array->data(), kFloat64, {static_cast<std::int64_t>(n)}});
  auto kernel = std::make_shared<TeamKernel>("black_scholes", setting.level, inputs, std::vector<void*>{out->data()});
  race.contestants.push_back(
      {"oneTBB: Cadre's kernel", [=] { return seconds_of([&] { kernel->run(4096); }); }, [=] { check_prices(out->data()); }});

  NamedArrays arrays{{"spot", {}}, {"strike", {}}, {"time", {}}, {"rate", {}}, {"volatility", {}}};
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    auto array = setting.processes->array<double>(n);
    fill(array.data(), n, [k](std::size_t i) { return input(k, i); });
    arrays[k].second = array;
  }
  auto result = setting.processes->array<double>(n);
  add_engines(race, setting, job_of("black_scholes", arrays, {{"out", result}}), [=](const Report&) { check_prices(result.data()); });
  race.figures.push_back({.what = "black_scholes 10 M, processes / oneTBB on the same kernel",
                          .wanted = 1,
                          .ours = "processes",
                          .peers = {"oneTBB: Cadre's kernel", "Cadre threads"}});
  race.figures.push_back({.what = "black_scholes 10 M, processes / scalar libm on as many threads",
                          .wanted = 5,
                          .ours = "processes",
                          .peers = {"oneTBB: scalar libm"}});
  return race;
}

}  // namespace cadre::bench
