/* pca by what principal components are: an orthonormal system in which the data do not correlate, the largest variance first. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

/** Rows whose columns mix each other with different weights. */
template <class T>
std::vector<T> mixed(std::size_t n, std::size_t d) {
  const std::vector<double> noise = sample<double>(n * d, 1);
  std::vector<T> x(n * d);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < d; ++j)
      x[i * d + j] = static_cast<T>(3 * static_cast<double>(d - j) * noise[i * d + j] / static_cast<double>(d) + noise[i * d + (j + 1) % d] + 20);
  return x;
}

template <class T>
void check(const std::vector<T>& x, std::size_t n, std::size_t d, std::size_t k) {
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("pca", level));
    run.in(x, shape(n, d), offset).want("transformed").param("components", static_cast<double>(k)).cut(cut);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    const auto c = run.out<double>("components"), scores = run.out<double>("transformed"), mean = run.result<double>("mean"), variance = run.result<double>("explained_variance"),
               ratio = run.result<double>("explained_variance_ratio");
    long double all = 0;
    std::vector<long double> exact(d);
    for (std::size_t i = 0; i < n * d; ++i) exact[i % d] += static_cast<long double>(x[i]) / static_cast<long double>(n);
    for (std::size_t i = 0; i < n * d; ++i) all += (static_cast<long double>(x[i]) - exact[i % d]) * (static_cast<long double>(x[i]) - exact[i % d]) / static_cast<long double>(n - 1);
    for (std::size_t j = 0; j < d; ++j) ASSERT_NEAR(mean[j], static_cast<double>(exact[j]), 1e-12 * std::fabs(mean[j]));
    for (std::size_t a = 0; a < k; ++a) {
      std::size_t largest = 0;
      for (std::size_t j = 0; j < d; ++j)
        if (std::fabs(c[a * d + j]) > std::fabs(c[a * d + largest])) largest = j;
      EXPECT_GT(c[a * d + largest], 0);
      if (a > 0) {
        EXPECT_GE(variance[a - 1], variance[a]);
      }
      EXPECT_NEAR(ratio[a], variance[a] / static_cast<double>(all), 1e-12);
      for (std::size_t b = 0; b <= a; ++b) {
        double product = 0;
        long double together = 0;
        for (std::size_t j = 0; j < d; ++j) product += c[a * d + j] * c[b * d + j];
        for (std::size_t i = 0; i < n; ++i) together += static_cast<long double>(scores[i * k + a]) * static_cast<long double>(scores[i * k + b]);
        EXPECT_NEAR(product, a == b, 1e-12);
        EXPECT_NEAR(static_cast<double>(together) / static_cast<double>(n - 1), a == b ? variance[a] : 0, 1e-10 * static_cast<double>(all)) << a << ", " << b;
      }
    }
    if (k == d) {
      double sum = 0;
      for (double r : ratio) sum += r;
      EXPECT_NEAR(sum, 1, 1e-12);  // nothing is left outside
    }
    for (std::size_t i = 0; i < n; i += 97)
      for (std::size_t a = 0; a < k; ++a) {
        long double score = 0;
        for (std::size_t j = 0; j < d; ++j) score += (static_cast<long double>(x[i * d + j]) - static_cast<long double>(mean[j])) * static_cast<long double>(c[a * d + j]);
        ASSERT_NEAR(scores[i * k + a], static_cast<double>(score), 1e-12 * std::sqrt(static_cast<double>(all)) * static_cast<double>(d));
      }
  });
}

TEST(Pca, TurnsTheDataSoThatTheyDoNotCorrelate) {
  check(mixed<double>(2000, 5), 2000, 5, 5);
  check(mixed<double>(3000, 20), 3000, 20, 3);
  check(mixed<float>(1500, 3), 1500, 3, 2);
  check(mixed<std::int16_t>(1500, 4), 1500, 4, 4);
}

TEST(Pca, FindsTheDirectionOfALine) {
  std::vector<double> x;
  for (int i = 0; i < 100; ++i) x.insert(x.end(), {3.0 * i, -4.0 * i});
  for (Level level : levels()) {
    SerialRun run(kernel("pca", level));
    run.in(x, shape(100, 2));
    ASSERT_EQ(run(), CADRE_OK);
    const auto c = run.out<double>("components"), ratio = run.result<double>("explained_variance_ratio");
    EXPECT_NEAR(c[0], -0.6, 1e-14);
    EXPECT_NEAR(c[1], 0.8, 1e-14);
    EXPECT_NEAR(ratio[0], 1, 1e-14);
    EXPECT_NEAR(ratio[1], 0, 1e-14);
  }
}

TEST(Pca, IsNaNOfNaNAndOfASingleRowAndRefusesMoreComponentsThanThereAre) {
  for (Level level : levels()) {
    SerialRun nan(kernel("pca", level)), one(kernel("pca", level)), many(kernel("pca", level)), none(kernel("pca", level));
    nan.in(std::vector<double>{1, 2, kNaN, 4, 5, 7}, shape(3, 2)).want("transformed");
    ASSERT_EQ(nan(), CADRE_OK);
    for (double v : nan.out<double>("transformed")) EXPECT_TRUE(std::isnan(v));
    one.in(std::vector<double>{1, 2}, shape(1, 2));
    ASSERT_EQ(one(), CADRE_OK);
    EXPECT_TRUE(std::isnan(one.result<double>("explained_variance")[0]));
    EXPECT_EQ(many.in(std::vector<double>{1, 2, 3, 4, 5, 6}, shape(2, 3)).param("components", 3)(), CADRE_BAD_DATA);
    EXPECT_EQ(many.message(), "components is 3: 1 to 2 are possible for 2 rows of 3 columns");
    EXPECT_EQ(none.in(std::vector<double>{}, shape(0, 3))(), CADRE_BAD_DATA);
  }
}

}  // namespace
}  // namespace cadre::test
