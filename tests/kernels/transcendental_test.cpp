#include "map_case.hpp"

namespace cadre::test {
namespace {

/** Distance of `got` from the true value, in units of the last place of the true value's neighbourhood. */
template <class T>
double ulps(T got, long double truth) {
  const T nearest = static_cast<T>(truth);
  if (std::isnan(nearest)) return std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(nearest) || std::isinf(got) || nearest == 0) return got == nearest ? 0 : INFINITY;
  const T next = std::nextafter(std::fabs(nearest), std::numeric_limits<T>::infinity());
  return static_cast<double>(std::fabs(static_cast<long double>(got) - truth) / (static_cast<long double>(next) - std::fabs(static_cast<long double>(nearest))));
}

/** SLEEF's bound is 1.0 ulp of its own definition of a ulp, which may be half of ours just above a power of two. */
constexpr double kBound = 1.0;

template <class T, class Truth>
void check(const char* name, const std::vector<T>& x, Truth truth, double bound) {
  for (Level level : levels()) {
    const std::vector<T> y = map_one<T>(name, level, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_LE(ulps(y[i], truth(static_cast<long double>(x[i]))), bound) << name << " of " << x[i] << " is " << y[i] << " at " << name_of(level);
  }
}

long double root(long double v) { return sqrtl(v); }
long double exponential(long double v) { return expl(v); }
long double logarithm(long double v) { return logl(v); }

TEST(Transcendental, RootsAreCorrectlyRounded) {
  for (std::size_t n : {0, 1, 7, 1000, 100003}) {
    check("sqrt", range<double>(n, 0, 1e9), root, 0.5001);
    check("sqrt", range<float>(n, 0, 1e9), root, 0.5001);
  }
}

TEST(Transcendental, ExponentialsAreWithinOneUlp) {
  for (std::size_t n : {0, 1, 7, 1000, 100003}) {
    check("exp", range<double>(n, -700, 709), exponential, kBound);
    check("exp", range<float>(n, -86, 88), exponential, kBound);
  }
}

TEST(Transcendental, LogarithmsAreWithinOneUlp) {
  for (std::size_t n : {0, 1, 7, 1000, 100003}) {
    check("log", range<double>(n, 1e-300, 4), logarithm, kBound);
    check("log", range<double>(n, 1, 1e300), logarithm, kBound);
    check("log", range<float>(n, 1e-30, 4), logarithm, kBound);
  }
}

template <class T>
class Edges : public testing::Test {};
using Floats = testing::Types<double, float>;
TYPED_TEST_SUITE(Edges, Floats);

TYPED_TEST(Edges, AreThoseOfTheCLibrary) {
  using T = TypeParam;
  constexpr T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  constexpr T tiny = std::numeric_limits<T>::denorm_min(), least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
  for (Level level : levels()) {
    expect_same(map_one<T>("exp", level, std::vector<T>{0, T(-0.0), inf, -inf, nan, 710, -2000, tiny, most, -most}),
                {1, 1, inf, 0, nan, inf, 0, 1, inf, 0});
    expect_same(map_one<T>("log", level, std::vector<T>{1, 0, T(-0.0), -1, inf, -inf, nan}), {0, -inf, -inf, nan, inf, nan, nan});
    expect_same(map_one<T>("sqrt", level, std::vector<T>{0, T(-0.0), -1, inf, nan, 4}), {0, T(-0.0), nan, inf, nan, 2});
    for (T v : {tiny, least, most}) EXPECT_LE(ulps(map_one<T>("log", level, std::vector<T>{v})[0], logl(v)), kBound) << v;
  }
}

TEST(Transcendental, IntegersGiveFloat64) {
  for_each_type([](auto type) {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      const std::vector<T> x{0, 1, 2, 100, std::numeric_limits<T>::max()};
      for (Level level : levels()) {
        const std::vector<double> y = map_one<double>("sqrt", level, x), l = map_one<double>("log", level, x);
        for (std::size_t i = 0; i < x.size(); ++i) {
          EXPECT_EQ(y[i], std::sqrt(static_cast<double>(x[i])));
          EXPECT_LE(ulps(l[i], logl(static_cast<double>(x[i]))), kBound);
        }
      }
    }
  });
}

}  // namespace
}  // namespace cadre::test
