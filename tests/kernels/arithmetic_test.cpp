#include "map_case.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace cadre::test {
namespace {

/** The C++ type of an element type. */
template <cadre_dtype D>
auto cpp_type() {
  if constexpr (D.code == CADRE_FLOAT) return std::conditional_t<D.bits == 64, double, float>{};
  else if constexpr (D.code == CADRE_INT)
    return std::conditional_t<D.bits == 64, std::int64_t, std::conditional_t<D.bits == 32, std::int32_t,
                              std::conditional_t<D.bits == 16, std::int16_t, std::int8_t>>>{};
  else
    return std::conditional_t<D.bits == 64, std::uint64_t, std::conditional_t<D.bits == 32, std::uint32_t,
                              std::conditional_t<D.bits == 16, std::uint16_t, std::uint8_t>>>{};
}

/** What C++ gives for a op b in the promoted type, wrapping for integers. */
template <class T, class Op>
std::vector<T> expected(const std::vector<T>& a, const std::vector<T>& b, Op op) {
  std::vector<T> out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if constexpr (std::is_integral_v<T>)
      out[i] = static_cast<T>(op(static_cast<std::uint64_t>(a[i]), static_cast<std::uint64_t>(b[i])));
    else
      out[i] = op(a[i], b[i]);
  }
  return out;
}

TEST(Arithmetic, AddAndMultiplyAreExactOverAllPairsOfTypesAndWrapAsNumPyDoes) {
  for_each_type([](auto tx) {
    for_each_type([](auto ty) {
      using X = decltype(tx);
      using Y = decltype(ty);
      using T = decltype(cpp_type<builtin::promoted(builtin::dtype_of<X>(), builtin::dtype_of<Y>())>());
      for (std::size_t n : {0, 1, 7, 1000}) {
        const std::vector<X> x = numbers<X>(n, 1);
        const std::vector<Y> y = numbers<Y>(n, 2);
        const std::vector<T> a(x.begin(), x.end()), b(y.begin(), y.end());
        const auto sum = expected<T>(a, b, std::plus<>{});
        const auto product = expected<T>(a, b, std::multiplies<>{});
        for (Level level : levels()) {
          expect_same(map_two<T>("add", level, x, y), sum);
          expect_same(map_two<T>("multiply", level, x, y), product);
        }
      }
    });
  });
}

TEST(Arithmetic, PromotionIsThatOfNumPy) {
  using namespace builtin;
  constexpr cadre_dtype i8{CADRE_INT, 8, 1}, i16{CADRE_INT, 16, 1}, u8{CADRE_UINT, 8, 1}, u16{CADRE_UINT, 16, 1}, u32{CADRE_UINT, 32, 1};
  EXPECT_TRUE(promoted(i8, u8) == i16);
  EXPECT_TRUE(promoted(u32, i8) == kI64);
  EXPECT_TRUE(promoted(kU64, i8) == kF64);
  EXPECT_TRUE(promoted(kU64, u8) == kU64);
  EXPECT_TRUE(promoted(kF32, i16) == kF32);
  EXPECT_TRUE(promoted(kF32, u16) == kF32);
  EXPECT_TRUE(promoted(kF32, kI32) == kF64);
  EXPECT_TRUE(promoted(kF32, kF64) == kF64);
}

TEST(Arithmetic, ALargeArrayIsComputedInEveryChunk) {
  const std::vector<double> x = numbers<double>(100003, 3), y = numbers<double>(100003, 4);
  for (Level level : levels())
    expect_same(map_two<double>("add", level, x, y), expected<double>(x, y, std::plus<>{}));
}

TEST(Arithmetic, DivisionOfIntegersIsInFloat64AndByZeroGivesInfinityOrNaN) {
  const std::vector<std::int32_t> x{7, -7, 0, 1}, y{2, 0, 0, 3};
  for (Level level : levels())
    expect_same(map_two<double>("divide", level, x, y),
                {3.5, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(), 1.0 / 3.0});
}

TEST(Arithmetic, DivisionStaysInFloat32) {
  const std::vector<float> x = numbers<float>(1000, 5), y = numbers<float>(1000, 6);
  for (Level level : levels())
    expect_same(map_two<float>("divide", level, x, y), expected<float>(x, y, std::divides<>{}));
}

TEST(Axpy, RoundsOnceWhereTheLevelHasFma) {
  const std::vector<double> x = numbers<double>(1000, 7), y = numbers<double>(1000, 8);
  for (Level level : levels()) {
    std::vector<double> want(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      volatile double product = 1.7 * x[i];
      want[i] = level == Level::v2 ? product + y[i] : std::fma(1.7, x[i], y[i]);
    }
    expect_same(map_two<double>("axpy", level, x, y, {{"a", 1.7}}), want);
  }
}

TEST(Axpy, IsInFloat32OnlyForTwoFloat32Arrays) {
  const std::vector<float> x = numbers<float>(100, 9), y = numbers<float>(100, 10);
  const std::vector<std::int16_t> k = numbers<std::int16_t>(100, 11);
  for (Level level : levels()) {
    std::vector<float> want(x.size());
    std::vector<double> wide(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) want[i] = x[i] + y[i], wide[i] = static_cast<double>(x[i]) + k[i];
    expect_same(map_two<float>("axpy", level, x, y), want);
    expect_same(map_two<double>("axpy", level, x, k), wide);
  }
}

TEST(Arithmetic, LengthsThatDifferAreRefusedWithBoth) {
  SerialRun run(kernel("add", Level::v2));
  run.in(std::vector<double>(3)).in(std::vector<double>(4));
  EXPECT_EQ(run(), CADRE_BAD_DATA);
  EXPECT_EQ(run.message(), "x has 3 rows and y has 4: give arrays of one length");
}

}  // namespace
}  // namespace cadre::test
