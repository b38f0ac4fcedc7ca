/* linear_regression against data that are made of known coefficients, and against residuals: least squares leave nothing that any column explains. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

TEST(LinearRegression, FindsTheCoefficientsThatMadeTheData) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t d : {1, 2, 5, 16, 33})
      for (double intercept : {0.0, 7.0}) {
        const std::size_t n = 3001;
        const std::vector<T> x = keys<T>(n * d, 100, 1);
        std::vector<double> b(d), y(n, intercept);
        for (std::size_t j = 0; j < d; ++j) b[j] = static_cast<double>(j % 5) - 1.5;
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < d; ++j) y[i] += b[j] * static_cast<double>(x[i * d + j]);
        everywhere([&](Level level, const Cut& cut, std::size_t offset) {
          SerialRun run(kernel("linear_regression", level));
          run.in(x, shape(n, d), offset).in(y, {}, offset).param("intercept", intercept != 0).cut(cut);
          ASSERT_EQ(run(), CADRE_OK) << run.message();
          const auto got = run.out<double>("coefficients");
          for (std::size_t j = 0; j < d; ++j) ASSERT_NEAR(got[j], b[j], 1e-11) << j << " of " << d;
          EXPECT_NEAR(run.one<double>("intercept"), intercept, 1e-8);
          EXPECT_NEAR(run.one<double>("r_squared"), 1, 1e-10);
          EXPECT_EQ(run.one<std::int64_t>("rank"), static_cast<std::int64_t>(d));
        });
      }
  });
}

TEST(LinearRegression, LeavesResidualsThatNoColumnExplains) {
  const std::size_t n = 5000, d = 4;
  const std::vector<double> x = sample<double>(n * d, 2), y = sample<double>(n, 3);
  for (Level level : levels())
    for (bool intercept : {false, true}) {
      SerialRun run(kernel("linear_regression", level));
      run.in(x, shape(n, d)).in(y).param("intercept", intercept).cut({.seed = 1, .chunks = 5});
      ASSERT_EQ(run(), CADRE_OK);
      const auto b = run.out<double>("coefficients");
      std::vector<long double> left(d + 1);
      long double squares = 0, mean = 0, spread = 0;
      for (double v : y) mean += static_cast<long double>(v) / static_cast<long double>(n);
      for (std::size_t i = 0; i < n; ++i) {
        long double residual = static_cast<long double>(y[i]) - static_cast<long double>(run.one<double>("intercept"));
        for (std::size_t j = 0; j < d; ++j) residual -= static_cast<long double>(b[j]) * static_cast<long double>(x[i * d + j]);
        for (std::size_t j = 0; j < d; ++j) left[j] += residual * static_cast<long double>(x[i * d + j]);
        left[d] += residual;
        squares += residual * residual;
        spread += (static_cast<long double>(y[i]) - mean) * (static_cast<long double>(y[i]) - mean);
      }
      for (std::size_t j = 0; j < d; ++j) EXPECT_NEAR(static_cast<double>(left[j]), 0, 1e-8);
      if (intercept) {
        EXPECT_NEAR(static_cast<double>(left[d]), 0, 1e-8);
      } else {
        EXPECT_EQ(run.one<double>("intercept"), 0);
      }
      EXPECT_NEAR(run.one<double>("r_squared"), static_cast<double>(1 - squares / spread), 1e-11);
    }
}

TEST(LinearRegression, SplitsACoefficientAmongColumnsThatDependOnEachOther) {
  const std::size_t n = 1000;
  const std::vector<double> x = sample<double>(n, 4);
  std::vector<double> two(2 * n), y(n);
  for (std::size_t i = 0; i < n; ++i) two[2 * i] = two[2 * i + 1] = x[i], y[i] = 6 * x[i] + 1;
  for (Level level : levels()) {
    SerialRun run(kernel("linear_regression", level));
    run.in(two, shape(n, 2)).in(y);
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_EQ(run.one<std::int64_t>("rank"), 1);
    for (double b : run.out<double>("coefficients")) EXPECT_NEAR(b, 3, 1e-12);
    EXPECT_NEAR(run.one<double>("intercept"), 1, 1e-11);
  }
}

TEST(LinearRegression, OfOneColumnTakesOneDimensionAndOfAConstantOneIsFlat) {
  for (Level level : levels()) {
    SerialRun line(kernel("linear_regression", level)), flat(kernel("linear_regression", level));
    line.in(std::vector<double>{1, 2, 4}).in(std::vector<float>{3, 5, 9});
    ASSERT_EQ(line(), CADRE_OK);
    EXPECT_NEAR(line.out<double>("coefficients")[0], 2, 1e-14);
    EXPECT_NEAR(line.one<double>("intercept"), 1, 1e-14);
    flat.in(std::vector<double>{2, 2, 2}).in(std::vector<double>{1, 2, 3});
    ASSERT_EQ(flat(), CADRE_OK);
    EXPECT_EQ(flat.out<double>("coefficients")[0], 0);
    EXPECT_EQ(flat.one<double>("intercept"), 2);
    EXPECT_EQ(flat.one<std::int64_t>("rank"), 0);
  }
}

TEST(LinearRegression, IsNaNWithANaNAndRefusesNothing) {
  for (Level level : levels()) {
    SerialRun nan(kernel("linear_regression", level)), none(kernel("linear_regression", level));
    nan.in(std::vector<double>{1, 2, kNaN, 4}, shape(2, 2)).in(std::vector<double>{1, 2});
    ASSERT_EQ(nan(), CADRE_OK);
    for (double b : nan.out<double>("coefficients")) EXPECT_TRUE(std::isnan(b));
    EXPECT_EQ(nan.one<std::int64_t>("rank"), -1);
    EXPECT_EQ(none.in(std::vector<double>{}, shape(0, 2)).in(std::vector<double>{})(), CADRE_BAD_DATA);
    EXPECT_EQ(none.message(), "X is 0 x 2: give at least one row and one column");
  }
}

}  // namespace
}  // namespace cadre::test
