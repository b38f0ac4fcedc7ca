/* sum, min, max, moments, dot and norm against sums in long double and exact integers. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

template <class T>
std::uint64_t wrapped_sum(const std::vector<T>& x) {
  std::uint64_t sum = 0;
  for (T v : x) sum += static_cast<std::uint64_t>(v);
  return sum;
}

template <class T, class F>
long double precise_sum(const std::vector<T>& x, F f) {
  long double sum = 0;
  for (T v : x) sum += f(static_cast<long double>(v));
  return sum;
}

/** The kernel's only result, from a run that must pass. */
template <class Out, class... In>
Out one(const char* name, Level level, const Cut& cut, std::size_t offset, const std::vector<In>&... in) {
  SerialRun run(kernel(name, level));
  (run.in(in, {}, offset), ...);
  run.cut(cut);
  EXPECT_EQ(run(), CADRE_OK) << run.message();
  return run.template one<Out>(name);
}

TEST(Sum, IsExactModulo2To64ForIntegersAndWithinItsBoundForFloatingPoint) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : kSizes) {
      const std::vector<T> x = sample<T>(n, 1);
      everywhere([&](Level level, const Cut& cut, std::size_t offset) {
        if constexpr (std::is_floating_point_v<T>) {
          const long double want = precise_sum(x, [](auto v) { return v; });
          const long double bound = 135 * kUnit * precise_sum(x, [](auto v) { return std::fabs(v); });
          EXPECT_LE(std::fabs(one<double>("sum", level, cut, offset, x) - want), bound);
        } else if constexpr (std::is_signed_v<T>) {
          EXPECT_EQ(one<std::int64_t>("sum", level, cut, offset, x), static_cast<std::int64_t>(wrapped_sum(x)));
        } else {
          EXPECT_EQ(one<std::uint64_t>("sum", level, cut, offset, x), wrapped_sum(x));
        }
      });
    }
  });
}

TEST(Sum, KeepsWhatIsSmallBesideWhatIsLarge) {
  std::vector<double> x(4096, 1.0);  // four blocks: 1e20, 1024 ones, 1024 ones, -1e20
  std::fill_n(x.begin(), 1024, 0.0), std::fill_n(x.begin() + 3072, 1024, 0.0);
  x[0] = 1e20, x[3072] = -1e20;
  for (Level level : levels()) EXPECT_EQ(one<double>("sum", level, {}, 0, x), 2048);
}

TEST(Sum, OfInfinitiesIsInfiniteAndOfOppositeOnesNaN) {
  std::vector<double> x(5000, 1.0);
  x[70] = kInfinity;
  everywhere([&](Level level, const Cut& cut, std::size_t offset) { EXPECT_EQ(one<double>("sum", level, cut, offset, x), kInfinity); });
  x[4000] = -kInfinity;
  everywhere([&](Level level, const Cut& cut, std::size_t offset) { EXPECT_TRUE(std::isnan(one<double>("sum", level, cut, offset, x))); });
  x[4000] = 1, x[70] = kNaN;
  everywhere([&](Level level, const Cut& cut, std::size_t offset) { EXPECT_TRUE(std::isnan(one<double>("sum", level, cut, offset, x))); });
}

TEST(Sum, HasTheSameBitsAtEveryAlignment) {
  const std::vector<double> x = sample<double>(100003, 2);
  for (Level level : levels()) {
    const double first = one<double>("sum", level, {.seed = 1, .chunks = 5}, 0, x);
    for (std::size_t offset = 1; offset < 8; ++offset) EXPECT_EQ(one<double>("sum", level, {.seed = 1, .chunks = 5}, offset, x), first);
  }
}

TEST(Extremes, AreExactForAllTypes) {
  for_each_type([](auto t) {
    using T = decltype(t);
    using Out =
        std::conditional_t<std::is_floating_point_v<T>, double, std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;
    for (std::size_t n : {1, 7, 1000, 100003}) {
      const std::vector<T> x = sample<T>(n, 3);
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      everywhere([&, low = low, high = high](Level level, const Cut& cut, std::size_t offset) {
        EXPECT_EQ(one<Out>("min", level, cut, offset, x), static_cast<Out>(*low));
        EXPECT_EQ(one<Out>("max", level, cut, offset, x), static_cast<Out>(*high));
      });
    }
  });
}

TEST(Extremes, FindInfinitiesAndPropagateNaNFromAnyPlace) {
  std::vector<float> x(3001, 5.0f);
  x[17] = -std::numeric_limits<float>::infinity(), x[2900] = std::numeric_limits<float>::infinity();
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    EXPECT_EQ(one<double>("min", level, cut, offset, x), -kInfinity);
    EXPECT_EQ(one<double>("max", level, cut, offset, x), kInfinity);
  });
  for (std::size_t place : {0, 31, 1024, 2999, 3000}) {
    std::vector<double> y(3001, 1.0);
    y[place] = kNaN;
    everywhere([&](Level level, const Cut& cut, std::size_t offset) {
      EXPECT_TRUE(std::isnan(one<double>("min", level, cut, offset, y)));
      EXPECT_TRUE(std::isnan(one<double>("max", level, cut, offset, y)));
    });
  }
}

TEST(Extremes, OfNothingAreRefused) {
  SerialRun run(kernel("min", Level::v2));
  run.in(std::vector<double>{});
  EXPECT_EQ(run(), CADRE_BAD_DATA);
  EXPECT_EQ(run.message(), "x is empty, and nothing has no minimum: give at least one element");
}

struct Expected {
  long double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};
template <class T>
Expected expected_moments(const std::vector<T>& x) {
  const auto n = static_cast<long double>(x.size());
  Expected e;
  e.mean = precise_sum(x, [](auto v) { return v; }) / n;
  const auto moment = [&](int power) { return precise_sum(x, [&](auto v) { return std::pow(v - e.mean, power); }) / n; };
  e.variance = moment(2);
  e.skewness = moment(3) / std::pow(e.variance, 1.5L);
  e.kurtosis = moment(4) / (e.variance * e.variance) - 3;
  return e;
}

TEST(Moments, AgreeWithTwoPassesInLongDoubleForAllTypes) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : {7, 1000, 100003}) {
      const std::vector<T> x = sample<T>(n, 4);
      const Expected want = expected_moments(x);
      const auto magnitude = static_cast<double>(precise_sum(x, [](auto v) { return std::fabs(v); })) / static_cast<double>(n);
      everywhere([&](Level level, const Cut& cut, std::size_t offset) {
        SerialRun run(kernel("moments", level));
        run.in(x, {}, offset).cut(cut);
        ASSERT_EQ(run(), CADRE_OK);
        EXPECT_EQ(run.one<std::int64_t>("count"), static_cast<std::int64_t>(n));
        EXPECT_NEAR(run.one<double>("mean"), want.mean, 140 * kUnit * magnitude);
        EXPECT_NEAR(run.one<double>("variance") / want.variance, 1, 170 * kUnit);
        EXPECT_NEAR(run.one<double>("skewness"), want.skewness, 1e-12);
        EXPECT_NEAR(run.one<double>("kurtosis"), want.kurtosis, 1e-12);
      });
    }
  });
}

TEST(Moments, SurviveAMeanFarAboveTheDeviation) {
  std::vector<double> x = sample<double>(100003, 5);
  for (double& v : x) v += 1e9;
  std::vector<double> near_zero = x;
  for (double& v : near_zero) v -= 1e9;  // exact
  const Expected want = expected_moments(near_zero);
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("moments", level));
    run.in(x, {}, offset).cut(cut);
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_NEAR(run.one<double>("mean"), 1e9L + want.mean, 2e-7);
    EXPECT_NEAR(run.one<double>("variance") / want.variance, 1, 1e-12);
    EXPECT_NEAR(run.one<double>("skewness"), want.skewness, 1e-11);
    EXPECT_NEAR(run.one<double>("kurtosis"), want.kurtosis, 1e-11);
  });
}

TEST(Moments, OfConstantEmptyAndInfiniteDataAreThoseOfSciPy) {
  for (Level level : levels()) {
    SerialRun constant(kernel("moments", level));
    constant.in(std::vector<double>(2500, 0.1)).cut({.seed = 1, .chunks = 4});
    ASSERT_EQ(constant(), CADRE_OK);
    EXPECT_DOUBLE_EQ(constant.one<double>("mean"), 0.1);
    EXPECT_NEAR(constant.one<double>("variance"), 0, 1e-32);
    EXPECT_TRUE(std::isnan(constant.one<double>("skewness")));
    EXPECT_TRUE(std::isnan(constant.one<double>("kurtosis")));

    SerialRun empty(kernel("moments", level));
    empty.in(std::vector<double>{});
    ASSERT_EQ(empty(), CADRE_OK);
    EXPECT_EQ(empty.one<std::int64_t>("count"), 0);
    for (const char* name : {"mean", "variance", "skewness", "kurtosis"}) EXPECT_TRUE(std::isnan(empty.one<double>(name))) << name;

    std::vector<double> x(3000, 1.0);
    x[10] = x[2000] = kInfinity;
    SerialRun infinite(kernel("moments", level));
    infinite.in(x).cut({.seed = 1, .chunks = 4});
    ASSERT_EQ(infinite(), CADRE_OK);
    EXPECT_EQ(infinite.one<double>("mean"), kInfinity);
    EXPECT_TRUE(std::isnan(infinite.one<double>("variance")));
  }
}

TEST(Dot, AgreesWithLongDoubleOverPairsOfTypes) {
  for_each_type([](auto tx) {
    for_each_type([](auto ty) {
      using X = decltype(tx);
      using Y = decltype(ty);
      constexpr cadre_dtype type = builtin::promoted(builtin::dtype_of<X>(), builtin::dtype_of<Y>());
      for (std::size_t n : {0, 7, 3001}) {
        const std::vector<X> x = sample<X>(n, 6);
        const std::vector<Y> y = sample<Y>(n, 7);
        long double real = 0, magnitude = 0;
        std::uint64_t whole = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const long double product = static_cast<long double>(static_cast<double>(x[i])) * static_cast<double>(y[i]);
          real += product, magnitude += std::fabs(product);
          if constexpr (!builtin::is_float(type)) whole += static_cast<std::uint64_t>(x[i]) * static_cast<std::uint64_t>(y[i]);
        }
        everywhere([&](Level level, const Cut& cut, std::size_t offset) {
          if constexpr (builtin::is_float(type))
            EXPECT_NEAR(one<double>("dot", level, cut, offset, x, y), real, 136 * kUnit * magnitude);
          else if constexpr (builtin::is_signed(type))
            EXPECT_EQ(one<std::int64_t>("dot", level, cut, offset, x, y), std::int64_t(whole));
          else
            EXPECT_EQ(one<std::uint64_t>("dot", level, cut, offset, x, y), whole);
        });
      }
    });
  });
}

TEST(Norm, IsAccurateForAllTypes) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : kSizes) {
      const std::vector<T> x = sample<T>(n, 8);
      const long double want = std::sqrt(precise_sum(x, [](auto v) { return v * v; }));
      everywhere([&](Level level, const Cut& cut, std::size_t offset) {
        EXPECT_NEAR(one<double>("norm", level, cut, offset, x), want, 70 * kUnit * want);
      });
    }
  });
}

TEST(Norm, NeitherOverflowsNorUnderflows) {
  for (Level level : levels()) {
    const auto norm = [&](const std::vector<double>& x) { return one<double>("norm", level, {.seed = 1, .chunks = 3}, 1, x); };
    EXPECT_DOUBLE_EQ(norm({3e200, 4e200}), 5e200);
    EXPECT_DOUBLE_EQ(norm({3e-200, 4e-200}), 5e-200);
    EXPECT_DOUBLE_EQ(norm({3e-310, 4e-310}), 5e-310);
    EXPECT_EQ(norm({0, 0, 0}), 0);
    EXPECT_EQ(norm({1, -kInfinity}), kInfinity);
    EXPECT_TRUE(std::isnan(norm({1e200, kNaN})));
    EXPECT_TRUE(std::isnan(norm({kInfinity, kNaN})));
    std::vector<double> mixed(5000, 1e-200);
    mixed[0] = 3, mixed[4999] = 4;
    EXPECT_DOUBLE_EQ(norm(mixed), 5);
    mixed[2000] = 1e200;
    EXPECT_DOUBLE_EQ(norm(mixed), 1e200);
    EXPECT_DOUBLE_EQ(norm(std::vector<double>(40000, 1e153)), 2e155);
  }
}

}  // namespace
}  // namespace cadre::test
