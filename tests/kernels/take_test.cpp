#include "map_case.hpp"

namespace cadre::test {
namespace {

TEST(Take, FindsElementsOfEveryTypeByIndexesOfEveryIntegerType) {
  for_each_type([](auto element) {
    using T = decltype(element);
    const std::vector<T> x = numbers<T>(100, 1);
    for_each_type([&](auto place) {
      using I = decltype(place);
      if constexpr (std::is_integral_v<I>) {
        for (std::size_t n : {0, 1, 7, 3000}) {
          std::vector<I> index(n);
          std::vector<T> want(n);
          std::mt19937 random(2);
          for (std::size_t i = 0; i < n; ++i) index[i] = static_cast<I>(random() % x.size()), want[i] = x[static_cast<std::size_t>(index[i])];
          for (Level level : levels()) expect_same(map_anywhere<T>("take", level, {}, x, index), want);
        }
      }
    });
  });
}

TEST(Take, NegativeIndexesCountFromTheEnd) {
  const std::vector<float> x{1, 2, 3};
  const std::vector<std::int16_t> index{-1, -3, 0, 2};
  for (Level level : levels()) expect_same(map_anywhere<float>("take", level, {}, x, index), {3, 1, 1, 3});
}

template <class I>
void expect_bad(std::vector<I> index, std::uint64_t row, const std::string& message, std::size_t length = 3) {
  for (Level level : levels()) {
    SerialRun run(kernel("take", level));
    run.in(std::vector<double>(length)).in(index).cut({.seed = 5, .chunks = 4});
    EXPECT_EQ(run(), CADRE_BAD_DATA);
    EXPECT_EQ(run.bad_row(), row);
    EXPECT_EQ(run.message(), message);
  }
}

TEST(Take, AnIndexOutOfRangeIsReportedWithItsRow) {
  expect_bad<std::int64_t>({0, 1, 3, 2}, 2, "index 3 is out of range for x of length 3");
  expect_bad<std::int64_t>({0, -4}, 1, "index -4 is out of range for x of length 3");
  expect_bad<std::int8_t>({-128}, 0, "index -128 is out of range for x of length 3");
  expect_bad<std::uint64_t>({~0ull}, 0, "index 18446744073709551615 is out of range for x of length 3");
  expect_bad<std::int64_t>({0}, 0, "index 0 is out of range for x of length 0", 0);
  std::vector<std::int64_t> index(5000, 1);
  index[4321] = 7;
  expect_bad(index, 4321, "index 7 is out of range for x of length 3");
}

}  // namespace
}  // namespace cadre::test
