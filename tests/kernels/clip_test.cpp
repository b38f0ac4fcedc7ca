#include "map_case.hpp"

namespace cadre::test {
namespace {

TEST(Clip, LimitsEveryType) {
  for_each_type([](auto type) {
    using T = decltype(type);
    for (std::size_t n : {0, 1, 7, 1000, 100003}) {
      const std::vector<T> x = numbers<T>(n, 1);
      std::vector<T> want(x);
      for (T& v : want) v = std::clamp(v, T{3}, T{90});
      for (Level level : levels()) expect_same(map_one<T>("clip", level, x, {{"lo", 3}, {"hi", 90}}), want);
    }
  });
}

TEST(Clip, OneBoundIsEnoughAndNoneIsRefused) {
  const std::vector<double> x{-2, 0.5, 7};
  expect_same(map_one<double>("clip", Level::v2, x, {{"lo", 0}}), {0, 0.5, 7});
  expect_same(map_one<double>("clip", Level::v2, x, {{"hi", 1}}), {-2, 0.5, 1});
  SerialRun run(kernel("clip", Level::v2));
  run.in(x);
  EXPECT_EQ(run(), CADRE_BAD_DATA);
  EXPECT_EQ(run.message(), "neither lo nor hi is given: give one or both");
}

TEST(Clip, NaNPassesAndANaNBoundSpoilsEverything) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (Level level : levels()) {
    expect_same(map_one<double>("clip", level, std::vector<double>{nan, 5, -5}, {{"lo", -1}, {"hi", 1}}), {nan, 1, -1});
    expect_same(map_one<double>("clip", level, std::vector<double>{1, 5}, {{"lo", nan}, {"hi", 1}}), {nan, nan});
    expect_same(map_one<double>("clip", level, std::vector<std::int32_t>{1, 5}, {{"hi", nan}}), {nan, nan});
  }
}

TEST(Clip, TheUpperBoundWinsWhereTheyAreSwapped) {
  for (Level level : levels()) expect_same(map_one<double>("clip", level, std::vector<double>{0, 5, 9}, {{"lo", 7}, {"hi", 3}}), {3, 3, 3});
}

TEST(Clip, IntegersStayIntegersUnlessABoundIsAFraction) {
  const std::vector<std::uint8_t> x{0, 100, 255};
  for (Level level : levels()) {
    expect_same(map_one<std::uint8_t>("clip", level, x, {{"lo", -5}, {"hi", 1000}}), x);
    expect_same(map_one<std::uint8_t>("clip", level, x, {{"lo", 300}}), {255, 255, 255});
    expect_same(map_one<double>("clip", level, x, {{"lo", 0.5}}), {0.5, 100, 255});
    expect_same(map_one<double>("clip", level, x, {{"hi", INFINITY}}), {0, 100, 255});
  }
  const std::vector<std::int64_t> big{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};
  for (Level level : levels()) expect_same(map_one<std::int64_t>("clip", level, big, {{"lo", -1e30}, {"hi", 1e30}}), big);
}

}  // namespace
}  // namespace cadre::test
