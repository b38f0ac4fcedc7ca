/* histogram, histogram2d, bincount and group_sum against plain loops. NumPy itself is asked in numpy_test.cpp. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

/** Bin of v by searching NumPy's edges, or -1. */
std::int64_t plain_bin(double v, std::int64_t bins, double lo, double hi, bool narrow) {
  const auto edge = [&](std::int64_t i) {
    volatile double product = static_cast<double>(i) * ((hi - lo) / static_cast<double>(bins));
    const double e = i == bins ? hi : product + lo;
    return narrow ? static_cast<double>(static_cast<float>(e)) : e;
  };
  if (!(v >= edge(0) && v <= edge(bins))) return -1;
  std::int64_t i = 0;
  while (i + 1 < bins && v >= edge(i + 1)) ++i;
  return i;
}

template <class T>
void check_histogram(const std::vector<T>& x, std::int64_t bins, double lo, double hi) {
  std::vector<std::int64_t> want(static_cast<std::size_t>(bins));
  std::int64_t outside = 0;
  for (T v : x) {
    const std::int64_t bin = plain_bin(static_cast<double>(v), bins, lo, hi, std::is_same_v<T, float>);
    bin < 0 ? ++outside : ++want[static_cast<std::size_t>(bin)];
  }
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("histogram", level));
    run.in(x, {}, offset).param("bins", static_cast<double>(bins)).param("lo", lo).param("hi", hi).cut(cut);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    EXPECT_EQ(run.out<std::int64_t>("out"), want);
    EXPECT_EQ(run.one<std::int64_t>("outside"), outside);
  });
}

TEST(Histogram, CountsAllTypesAsAPlainLoopDoes) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : kSizes) {
      const std::vector<T> x = std::is_floating_point_v<T> ? sample<T>(n, 1) : keys<T>(n, 120, 1);
      check_histogram(x, 50, -1.5, 101.7);
      check_histogram(x, 10, 0, 10);
    }
  });
}

TEST(Histogram, PutsEdgesAndTheirNeighboursWhereTheyBelong) {
  for (std::int64_t bins : {1, 3, 10, 100, 255, 4097})
    for (const auto& [lo, hi] : {std::pair{0.0, 1.0}, {0.0, 255.0}, {0.1, 0.7}, {-3.3, 1e3}, {1e6, 1e6 + 1}, {-1e-280, 3e-280}}) {
      std::vector<double> x{lo,   hi,   std::nextafter(lo, -kInfinity), std::nextafter(hi, kInfinity), kNaN, kInfinity, -kInfinity,
                            -0.0, 1e308};
      std::vector<float> narrow;
      for (std::int64_t i = 0; i <= bins; ++i) {
        const double edge = lo + (hi - lo) / static_cast<double>(bins) * static_cast<double>(i);
        for (double v : {edge, std::nextafter(edge, -kInfinity), std::nextafter(edge, kInfinity)}) {
          x.push_back(v);
          const float f = static_cast<float>(v);
          for (float g : {f, std::nextafterf(f, -1e30f), std::nextafterf(f, 1e30f)}) narrow.push_back(g);
        }
      }
      check_histogram(x, bins, lo, hi);
      if (lo == 0 || lo == 0.1) check_histogram(narrow, bins, lo, hi);
    }
}

TEST(Histogram, OfManyEqualValuesAndManyBinsLosesNone) {
  check_histogram(std::vector<double>(100003, 0.5), 256, 0, 1);
  check_histogram(sample<double>(20000, 2), 3000, -5, 10);
  check_histogram(sample<float>(20000, 2), 300, 2.9, 3.1);
}

TEST(Histogram, RefusesARangeThatMakesNoBins) {
  const auto refused = [](double bins, double lo, double hi) {
    SerialRun run(kernel("histogram", Level::v2));
    run.in(std::vector<double>{1}).param("bins", bins).param("lo", lo).param("hi", hi);
    EXPECT_EQ(run(), CADRE_BAD_DATA);
    return run.message();
  };
  EXPECT_EQ(refused(0, 0, 1), "bins is 0: 1 to 2147483646 are possible");
  EXPECT_EQ(refused(10, 2, 1), "lo is 2, above hi, which is 1: swap them");
  EXPECT_EQ(refused(10, 0, kInfinity), "lo is 0 and hi is inf: the range must be finite");
  EXPECT_EQ(refused(10, kNaN, 1), "lo is nan and hi is 1: the range must be finite");
}

TEST(Histogram2d, CountsPairsOfTypesAsAPlainLoopDoes) {
  for (std::size_t n : kSizes) {
    const std::vector<double> x = sample<double>(n, 3);
    const std::vector<std::int16_t> y = keys<std::int16_t>(n, 40, 4);
    for (const auto& [bins_x, bins_y] : {std::pair<std::int64_t, std::int64_t>{7, 9}, {64, 70}}) {
      std::vector<std::int64_t> want(static_cast<std::size_t>(bins_x * bins_y));
      std::int64_t outside = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t a = plain_bin(x[i], bins_x, 0, 5.5, false), b = plain_bin(y[i], bins_y, -2, 38, false);
        a < 0 || b < 0 ? ++outside : ++want[static_cast<std::size_t>(a * bins_y + b)];
      }
      everywhere([&, bins_x = bins_x, bins_y = bins_y](Level level, const Cut& cut, std::size_t offset) {
        SerialRun run(kernel("histogram2d", level));
        run.in(x, {}, offset).in(y, {}, offset + 1).cut(cut);
        run.param("bins_x", double(bins_x))
            .param("bins_y", double(bins_y))
            .param("lo_x", 0)
            .param("hi_x", 5.5)
            .param("lo_y", -2)
            .param("hi_y", 38);
        ASSERT_EQ(run(), CADRE_OK) << run.message();
        EXPECT_EQ(run.out<std::int64_t>("out"), want);
        EXPECT_EQ(run.output("out").shape(), (std::vector<std::int64_t>{bins_x, bins_y}));
        EXPECT_EQ(run.one<std::int64_t>("outside"), outside);
      });
    }
  }
}

TEST(Histogram2d, RefusesMoreBinsThanIndexesCanName) {
  SerialRun run(kernel("histogram2d", Level::v2));
  run.in(std::vector<double>{1}).in(std::vector<double>{1}).param("bins_x", 100000).param("bins_y", 100000);
  run.param("lo_x", 0).param("hi_x", 1).param("lo_y", 0).param("hi_y", 1);
  EXPECT_EQ(run(), CADRE_BAD_DATA);
  EXPECT_EQ(run.message(), "bins_x * bins_y is 10000000000: at most 4293918719 bins are possible");
}

template <class F>
void for_every_integer_type(F f) {
  for_each_type([&](auto t) {
    if constexpr (std::is_integral_v<decltype(t)>) f(t);
  });
}

TEST(Bincount, CountsAllIntegerTypes) {
  for_every_integer_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : kSizes)
      for (std::uint64_t most : {std::uint64_t{0}, std::uint64_t{100}, std::uint64_t{30000}}) {
        if (most > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) continue;
        const std::vector<T> x = keys<T>(n, most, 5);
        for (std::size_t minlength : {0, 50}) {
          std::size_t rows = minlength;
          for (T v : x) rows = std::max(rows, static_cast<std::size_t>(v) + 1);
          std::vector<std::int64_t> want(rows);
          for (T v : x) ++want[static_cast<std::size_t>(v)];
          everywhere([&](Level level, const Cut& cut, std::size_t offset) {
            SerialRun run(kernel("bincount", level));
            run.in(x, {}, offset).param("minlength", static_cast<double>(minlength)).cut(cut);
            ASSERT_EQ(run(), CADRE_OK) << run.message();
            EXPECT_EQ(run.out<std::int64_t>("out"), want);
          });
        }
      }
  });
}

TEST(Bincount, NamesTheFirstRowThatIsNoKey) {
  std::vector<std::int32_t> x(5000, 7);
  x[3210] = -4, x[3300] = -5;
  std::vector<std::uint64_t> large(2000, 1);
  large[1999] = 1ull << 40;
  for (Level level : levels()) {
    SerialRun run(kernel("bincount", level));
    run.in(x).cut({.seed = 1, .chunks = 3});
    EXPECT_EQ(run(), CADRE_BAD_DATA);
    EXPECT_EQ(run.bad_row(), 3210u);
    EXPECT_EQ(run.message(), "x is -4: keys are not negative");
    SerialRun second(kernel("bincount", level));
    second.in(large);
    EXPECT_EQ(second(), CADRE_BAD_DATA);
    EXPECT_EQ(second.bad_row(), 1999u);
    EXPECT_EQ(second.message(), "x is 1099511627776: keys up to 4293918718 are possible");
  }
}

TEST(GroupSum, AgreesWithAPlainLoopOverTypes) {
  for_every_integer_type([](auto tk) {
    for_each_type([](auto tx) {
      using K = decltype(tk);
      using X = decltype(tx);
      const std::size_t n = 5003;
      std::vector<K> key = keys<K>(n, 99, 6);
      const std::vector<X> x = sample<X>(n, 7);
      for (K& k : key) k = k == 42 ? K{41} : k;  // a key that does not occur
      const std::size_t rows = 105;
      std::vector<std::int64_t> count(rows);
      std::vector<long double> sum(rows), magnitude(rows);
      std::vector<double> low(rows, kInfinity), high(rows, -kInfinity);
      for (std::size_t i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(key[i]);
        const auto v = static_cast<double>(x[i]);
        ++count[k], sum[k] += v, magnitude[k] += std::fabs(v), low[k] = std::min(low[k], v), high[k] = std::max(high[k], v);
      }
      everywhere([&](Level level, const Cut& cut, std::size_t offset) {
        SerialRun run(kernel("group_sum", level));
        run.in(key, {}, offset).in(x, {}, offset).param("minlength", static_cast<double>(rows)).cut(cut);
        ASSERT_EQ(run(), CADRE_OK) << run.message();
        EXPECT_EQ(run.out<std::int64_t>("count"), count);
        const auto sums = run.out<double>("sum"), lows = run.out<double>("min"), highs = run.out<double>("max");
        for (std::size_t k = 0; k < rows; ++k) {
          EXPECT_NEAR(sums[k], sum[k], static_cast<double>(count[k]) * kUnit * magnitude[k]);
          if (count[k] == 0) {
            EXPECT_TRUE(std::isnan(lows[k]) && std::isnan(highs[k]));
          } else {
            EXPECT_EQ(lows[k], low[k]);
            EXPECT_EQ(highs[k], high[k]);
          }
        }
      });
    });
  });
}

TEST(GroupSum, KeepsNaNAndInfinityInTheirOwnGroup) {
  const std::vector<std::uint8_t> key{0, 1, 2, 0, 1, 2, 1};
  const std::vector<double> x{1, kNaN, kInfinity, 2, 5, 3, -1};
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("group_sum", level));
    run.in(key, {}, offset).in(x, {}, offset).cut(cut);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    const auto sum = run.out<double>("sum"), low = run.out<double>("min"), high = run.out<double>("max");
    EXPECT_EQ(sum[0], 3);
    EXPECT_TRUE(std::isnan(sum[1]) && std::isnan(low[1]) && std::isnan(high[1]));
    EXPECT_EQ(sum[2], kInfinity);
    EXPECT_EQ(low[0], 1);
    EXPECT_EQ(low[2], 3);
    EXPECT_EQ(high[2], kInfinity);
  });
}

TEST(GroupSum, OfNothingHasMinlengthRows) {
  for (Level level : levels()) {
    SerialRun run(kernel("group_sum", level));
    run.in(std::vector<std::int64_t>{}).in(std::vector<float>{}).param("minlength", 2);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    EXPECT_EQ(run.out<std::int64_t>("count"), (std::vector<std::int64_t>{0, 0}));
    EXPECT_TRUE(std::isnan(run.out<double>("min")[1]));
    SerialRun none(kernel("group_sum", level));
    none.in(std::vector<std::int64_t>{}).in(std::vector<float>{});
    ASSERT_EQ(none(), CADRE_OK) << none.message();
    EXPECT_TRUE(none.out<double>("sum").empty());
  }
}

}  // namespace
}  // namespace cadre::test
