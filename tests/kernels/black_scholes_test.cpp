#include "map_case.hpp"

namespace cadre::test {
namespace {

long double price(long double s, long double k, long double t, long double r, long double v) {
  const long double deviation = v * sqrtl(t), discounted = k * expl(-r * t);
  if (deviation == 0) return std::max(s - discounted, 0.0L);
  const long double d1 = (logl(s / k) + (r + v * v / 2) * t) / deviation, d2 = d1 - deviation, h = sqrtl(0.5L);
  return (s * erfcl(-d1 * h) - discounted * erfcl(-d2 * h)) / 2;
}

TEST(BlackScholes, IsWithinTheStatedErrorOfTheFormulaInLongDouble) {
  for (std::size_t n : {0, 1, 7, 1000, 100003}) {
    const auto s = uniform(n, 1, 200, 1), k = uniform(n, 1, 200, 2), t = uniform(n, 0.001, 5, 3), r = uniform(n, -0.02, 0.15, 4),
               v = uniform(n, 0.005, 1.5, 5);
    for (Level level : levels()) {
      const auto c = map_anywhere<double>("black_scholes", level, {}, s, k, t, r, v);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_NEAR(c[i], static_cast<double>(price(s[i], k[i], t[i], r[i], v[i])), 1e-15 * (s[i] + k[i]))
            << s[i] << " " << k[i] << " " << t[i] << " " << r[i] << " " << v[i];
    }
  }
}

TEST(BlackScholes, TextbookValue) {
  for (Level level : levels()) {
    const std::vector<double> s{100}, k{100}, t{1}, r{0.05}, v{0.2};
    EXPECT_NEAR(map_anywhere<double>("black_scholes", level, {}, s, k, t, r, v)[0], 10.450583572185565, 2e-13);
  }
}

TEST(BlackScholes, FarTailsKeepTheirRelativeSize) {
  for (Level level : levels()) {
    const std::vector<double> s{10, 10, 10}, k{100, 1000, 40}, t{1, 1, 0.5}, r{0, 0, 0.01}, v{0.2, 0.2, 0.2};
    const auto c = map_anywhere<double>("black_scholes", level, {}, s, k, t, r, v);
    for (std::size_t i = 0; i < s.size(); ++i) {
      const double want = static_cast<double>(price(s[i], k[i], t[i], r[i], v[i]));
      EXPECT_NEAR(c[i], want, 1e-10 * want) << i;
    }
  }
}

TEST(BlackScholes, AnOptionWithoutUncertaintyIsWorthItsLimit) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> s{100, 90, 100, 0, 100, nan, 100}, k{100, 100, 80, 50, 0, 100, 100}, t{0, 0, 0, 1, 1, 1, 0.25},
      r{0.05, 0.05, 0.05, 0.0, 0.0, 0.0, nan}, v{0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2};
  for (Level level : levels())
    expect_same(map_anywhere<double>("black_scholes", level, {}, s, k, t, r, v), {0, 0, 20, 0, 100, nan, nan});
}

TEST(BlackScholes, TakesFloat32Too) {
  const std::vector<float> s{100, 90}, k{100, 100}, v{0.25f, 0.5f};
  const std::vector<double> t{1, 2}, r{0.0625, 0.0};
  for (Level level : levels()) {
    const auto c = map_anywhere<double>("black_scholes", level, {}, s, k, t, r, v);
    for (std::size_t i = 0; i < s.size(); ++i)
      EXPECT_NEAR(c[i], static_cast<double>(price(s[i], k[i], t[i], r[i], v[i])), 1e-15 * (s[i] + k[i]));
  }
}

}  // namespace
}  // namespace cadre::test
