/* sort against std::sort. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

template <class T>
std::vector<T> sorted(const std::vector<T>& x, Level level, const Cut& cut, std::size_t offset = 0) {
  SerialRun run(kernel("sort", level));
  run.in(x, {}, offset).cut(cut);
  EXPECT_EQ(run(), CADRE_OK) << run.message();
  return run.out<T>("out");
}

TEST(Sort, PutsEveryTypeInOrder) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t n : kSizes) {
      std::vector<T> x = sample<T>(n, 1), want = x;
      std::sort(want.begin(), want.end());
      everywhere([&](Level level, const Cut& cut, std::size_t offset) { ASSERT_EQ(sorted(x, level, cut, offset), want) << n << " of " << sizeof(T) << " bytes"; });
    }
  });
}

TEST(Sort, OfSeveralRunsIsInOrderHoweverTheyAreMixed) {
  constexpr std::size_t kMany = 1'300'000;  // ten runs, three parts
  std::mt19937_64 random(3);
  std::vector<std::vector<double>> inputs{sample<double>(kMany, 2), std::vector<double>(kMany, 7.0), sample<double>(kMany, 4), sample<double>(kMany, 5)};
  std::sort(inputs[2].begin(), inputs[2].end());
  std::reverse(inputs[2].begin(), inputs[2].end());
  for (double& v : inputs[3]) v = static_cast<double>(random() % 5);  // a few values, often
  for (const std::vector<double>& x : inputs) {
    std::vector<double> want = x;
    std::sort(want.begin(), want.end());
    EXPECT_TRUE(sorted(x, best_level(), {}) == want);
    EXPECT_TRUE(sorted(x, best_level(), {.seed = 5, .chunks = 4}) == want);
  }
}

TEST(Sort, PutsNaNLastAndInfinitiesAtTheEnds) {
  const double least = std::numeric_limits<double>::denorm_min();
  const std::vector<double> x{kNaN, 1, -kInfinity, -kNaN, kInfinity, -least, 0.0, -1, least, -0.0};
  for (Level level : levels()) {
    const auto got = sorted(x, level, {});
    EXPECT_EQ(std::vector<double>(got.begin(), got.begin() + 8), (std::vector<double>{-kInfinity, -1, -least, -0.0, 0.0, least, 1, kInfinity}));
    EXPECT_TRUE(std::signbit(got[3]) && !std::signbit(got[4]));
    EXPECT_TRUE(std::isnan(got[8]) && std::isnan(got[9]));
  }
}

}  // namespace
}  // namespace cadre::test
