#include "map_case.hpp"

namespace cadre::test {
namespace {

template <class T>
T step(Level level, T a, T b, T c) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(c) + static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  } else {
    if (level != Level::v2) return std::fma(a, b, c);
    volatile T product = a * b;
    return product + c;
  }
}

/** Every element must be this chain, bit for bit. */
template <class T>
std::vector<T> product(Level level, const std::vector<T>& a, const std::vector<T>& b, std::size_t m, std::size_t k, std::size_t n) {
  std::vector<T> c(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t d = 0; d < k; ++d)
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] = step(level, a[i * k + d], b[d * n + j], c[i * n + j]);
  return c;
}

template <class A, class B, class T>
void check(std::size_t m, std::size_t k, std::size_t n) {
  const std::vector<A> a = numbers<A>(m * k, 1);
  const std::vector<B> b = numbers<B>(k * n, 2);
  for (Level level : levels()) {
    const std::vector<T> want = product<T>(level, {a.begin(), a.end()}, {b.begin(), b.end()}, m, k, n);
    for (unsigned variant : {0u, 1u, 2u}) {
      SerialRun run(kernel("matmul", level));
      run.in(a, shape(m, k), variant).in(b, shape(k, n), 3 * variant).cut({.seed = variant, .chunks = 1 + 3 * variant, .out_offset = variant});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      EXPECT_EQ(run.plan().outputs[0].shape[0], static_cast<std::int64_t>(m));
      expect_same(run.out<T>("out"), want);
    }
  }
}

TEST(Matmul, EveryElementIsTheChainOfFusedProductsAtAllEdges) {
  for (std::size_t m : {1, 7, 8, 9, 65})
    for (std::size_t k : {1, 5, 256, 257})
      for (std::size_t n : {1, 23, 24, 25, 200}) {
        check<double, double, double>(m, k, n);
        check<float, float, float>(m, k, n);
      }
  check<double, double, double>(300, 300, 300);
}

TEST(Matmul, MixedAndIntegerTypesFollowNumPy) {
  check<float, double, double>(17, 33, 50);
  check<std::int32_t, float, double>(17, 33, 50);
  check<std::int8_t, std::int8_t, std::int8_t>(17, 33, 50);
  check<std::int16_t, std::uint8_t, std::int16_t>(17, 300, 50);
  check<std::int64_t, std::int64_t, std::int64_t>(17, 33, 50);
  check<std::uint64_t, std::uint32_t, std::uint64_t>(17, 33, 50);
}

TEST(Matmul, EmptyMatricesGiveZerosOrNothing) {
  check<double, double, double>(0, 3, 4);
  check<double, double, double>(3, 0, 4);
  check<double, double, double>(3, 4, 0);
}

TEST(Matmul, InnerSizesThatDifferAreRefusedWithBoth) {
  SerialRun run(kernel("matmul", Level::v2));
  run.in(std::vector<double>(6), {2, 3}).in(std::vector<double>(8), {4, 2});
  EXPECT_EQ(run(), CADRE_BAD_DATA);
  EXPECT_EQ(run.message(), "A has 3 columns and B has 4 rows: they must be equal");
}

TEST(Matmul, NaNAndInfinitySpreadOnlyInTheirRowAndColumn) {
  for (Level level : levels()) {
    std::vector<double> a(10 * 10, 1.0), b(10 * 10, 1.0);
    a[3 * 10 + 4] = std::numeric_limits<double>::quiet_NaN();
    SerialRun run(kernel("matmul", level));
    run.in(a, {10, 10}).in(b, {10, 10});
    ASSERT_EQ(run(), CADRE_OK);
    const std::vector<double> c = run.out<double>("out");
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(c[i]), i / 10 == 3) << i;
  }
}

}  // namespace
}  // namespace cadre::test
