/* cumsum against plain running sums. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

template <class T>
using Sums = std::conditional_t<std::is_floating_point_v<T>, T, std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;

template <class T>
std::vector<Sums<T>> cumsum(const std::vector<T>& x, Level level, const Cut& cut, std::size_t offset = 0) {
  SerialRun run(kernel("cumsum", level));
  run.in(x, {}, offset).cut(cut);
  EXPECT_EQ(run(), CADRE_OK) << run.message();
  return run.out<Sums<T>>("out");
}

TEST(Cumsum, IsExactForIntegersAndWithinItsBoundForFloatingPoint) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, std::size_t{1025}, std::size_t{100'003}}) {
      const std::vector<T> x = sample<T>(n, 1);
      std::vector<Sums<T>> exact(n);
      std::vector<long double> sum(n), magnitude(n);
      std::uint64_t wrapped = 0;
      for (std::size_t i = 0; i < n; ++i) {
        exact[i] = static_cast<Sums<T>>(std::is_integral_v<T> ? wrapped += static_cast<std::uint64_t>(x[i]) : 0);
        sum[i] = (i ? sum[i - 1] : 0) + static_cast<long double>(x[i]);
        magnitude[i] = (i ? magnitude[i - 1] : 0) + std::fabs(static_cast<long double>(x[i]));
      }
      everywhere([&](Level level, const Cut& cut, std::size_t offset) {
        const auto got = cumsum(x, level, cut, offset);
        ASSERT_EQ(got.size(), n);
        if constexpr (std::is_integral_v<T>) {
          EXPECT_EQ(got, exact);
        } else {
          const long double last = std::is_same_v<T, float> ? 0x1p-24L : 0;  // the rounding to float32
          for (std::size_t i = 0; i < n; ++i) ASSERT_LE(std::fabs(static_cast<long double>(got[i]) - sum[i]), 1100 * kUnit * magnitude[i] + last * std::fabs(sum[i])) << i << " of " << n;
        }
      });
    }
  });
}

TEST(Cumsum, IsTheSameWhereverAChunkBegins) {
  const std::vector<double> x = sample<double>(200'000, 2);
  for (Level level : levels()) {
    // Small integers add up exactly: only an element that is missed or counted twice can make a difference.
    const auto whole = keys<std::int16_t>(200'000, 100, 3);
    const std::vector<double> exact(whole.begin(), whole.end());
    const auto one = cumsum(exact, level, {});
    const auto sums = cumsum(whole, level, {});
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_EQ(one[i], static_cast<double>(sums[i]));
    // Chunks of the plan are whole blocks, which are of the data alone.
    const auto expected = cumsum(x, level, {});
    for (unsigned seed : {1u, 2u}) EXPECT_EQ(cumsum(x, level, {.seed = seed, .chunks = 6}), expected);
  }
}

TEST(Cumsum, KeepsWhatIsSmallBesideWhatIsLarge) {
  std::vector<double> x(200'000, 1.0);
  x[0] = 1e18;
  for (Level level : levels()) {
    const auto got = cumsum(x, level, {});
    EXPECT_NEAR(got.back() - 1e18, 199'999, 1024);  // one by one nothing at all would be added
  }
}

TEST(Cumsum, StaysInfiniteAndNaNFromTheFirstOn) {
  std::vector<double> x(100'000, 1.0);
  x[1000] = kInfinity, x[60'000] = -kInfinity, x[99'000] = kNaN;
  for (Level level : levels()) {
    const auto got = cumsum(x, level, {});
    EXPECT_EQ(got[999], 1000);
    for (std::size_t i = 1000; i < 60'000; ++i) ASSERT_EQ(got[i], kInfinity) << i;
    for (std::size_t i = 60'000; i < x.size(); ++i) ASSERT_TRUE(std::isnan(got[i])) << i;
  }
}

}  // namespace
}  // namespace cadre::test
