/* covariance and kmeans_step against long double. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

/** Mean and covariance (ddof 1) in long double. */
template <class T>
std::pair<std::vector<long double>, std::vector<long double>> plain_covariance(const std::vector<T>& x, std::size_t n, std::size_t d) {
  std::vector<long double> mean(d), products(d * d);
  for (std::size_t r = 0; r < n; ++r)
    for (std::size_t j = 0; j < d; ++j) mean[j] += static_cast<long double>(x[r * d + j]) / static_cast<long double>(n);
  for (std::size_t r = 0; r < n; ++r)
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j)
        products[i * d + j] += (static_cast<long double>(x[r * d + i]) - mean[i]) * (static_cast<long double>(x[r * d + j]) - mean[j]);
  for (auto& p : products) p /= static_cast<long double>(n - 1);
  return {mean, products};
}

template <class T>
void check_covariance(const std::vector<T>& x, std::size_t n, std::size_t d, double tolerance) {
  const auto [mean, want] = plain_covariance(x, n, d);
  everywhere([&, &mean = mean, &want = want](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("covariance", level));
    run.in(x, shape(n, d), offset).want("covariance").cut(cut);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    const auto got = run.result<double>("covariance"), means = run.result<double>("mean");
    EXPECT_EQ(run.out<double>("covariance"), got);
    for (std::size_t i = 0; i < d; ++i) {
      ASSERT_NEAR(means[i], mean[i], 1e-13 * std::fabs(mean[i]) + 1e-13 * std::sqrt(want[i * d + i]));
      for (std::size_t j = 0; j < d; ++j) {
        ASSERT_NEAR(got[i * d + j], want[i * d + j], tolerance * std::sqrt(want[i * d + i] * want[j * d + j])) << i << ", " << j;
        ASSERT_EQ(got[i * d + j], got[j * d + i]);
      }
    }
  });
}

TEST(Covariance, AgreesWithLongDoubleForAllTypesAndWidths) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t d : {1, 3, 4, 5, 15, 16, 17, 40}) {
      const std::size_t n = d == 4 ? 20003 : 701;
      check_covariance(sample<T>(n * d, 1), n, d, 1e-13);
    }
  });
  check_covariance(sample<double>(3000 * 150, 2), 3000, 150, 1e-13);
}

TEST(Covariance, SurvivesMeansFarAboveTheDeviations) {
  std::vector<double> x = sample<double>(6 * 30000, 3);
  for (double& v : x) v += 1e8;
  check_covariance(x, 30000, 6, 1e-11);
}

TEST(Covariance, OfTooFewRowsIsNaNOrInfiniteAsInNumPy) {
  for (Level level : levels()) {
    SerialRun one(kernel("covariance", level));
    one.in(std::vector<double>{1, 2}, shape(1, 2));
    ASSERT_EQ(one(), CADRE_OK);
    EXPECT_EQ(one.result<double>("mean"), (std::vector<double>{1, 2}));
    for (double v : one.result<double>("covariance")) EXPECT_TRUE(std::isnan(v));
    SerialRun none(kernel("covariance", level));
    none.in(std::vector<double>{}, shape(0, 2));
    ASSERT_EQ(none(), CADRE_OK);
    for (double v : none.result<double>("mean")) EXPECT_TRUE(std::isnan(v));
    SerialRun whole(kernel("covariance", level));
    whole.in(std::vector<double>{1, 2, 3, 6}, shape(2, 2)).param("ddof", 0);
    ASSERT_EQ(whole(), CADRE_OK);
    EXPECT_EQ(whole.result<double>("covariance"), (std::vector<double>{1, 2, 2, 4}));
  }
}

TEST(Covariance, KeepsNaNInItsRowAndColumn) {
  for (std::size_t d : {3, 20}) {
    std::vector<double> x = sample<double>(2000 * d, 4);
    x[1500 * d + 1] = kNaN;
    everywhere([&](Level level, const Cut& cut, std::size_t offset) {
      SerialRun run(kernel("covariance", level));
      run.in(x, shape(2000, d), offset).cut(cut);
      ASSERT_EQ(run(), CADRE_OK);
      const auto got = run.result<double>("covariance");
      for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) EXPECT_EQ(std::isnan(got[i * d + j]), i == 1 || j == 1);
    });
  }
}

struct Step {
  std::vector<double> centers;
  std::vector<std::int64_t> count;
  std::vector<std::int32_t> label;
  double inertia;
};

/** The step in long double. Samples are small integers, so that squared distances, and ties, are exact. */
template <class X, class C>
Step plain_step(const std::vector<X>& x, const std::vector<C>& centers, std::size_t n, std::size_t k, std::size_t d) {
  Step s{std::vector<double>(k * d), std::vector<std::int64_t>(k), {}, 0};
  std::vector<long double> sum(k * d);
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t best = 0;
    double least = kInfinity;
    for (std::size_t c = 0; c < k; ++c) {
      double square = 0;
      for (std::size_t j = 0; j < d; ++j)
        square += std::pow(static_cast<double>(x[i * d + j]) - static_cast<double>(centers[c * d + j]), 2);
      if (square < least) least = square, best = c;
    }
    s.label.push_back(static_cast<std::int32_t>(best));
    s.inertia += least;
    ++s.count[best];
    for (std::size_t j = 0; j < d; ++j) sum[best * d + j] += static_cast<long double>(x[i * d + j]);
  }
  for (std::size_t i = 0; i < k * d; ++i)
    s.centers[i] = s.count[i / d] ? static_cast<double>(sum[i]) / static_cast<double>(s.count[i / d]) : static_cast<double>(centers[i]);
  return s;
}

TEST(KmeansStep, AgreesWithAPlainLoopOverTypesWidthsAndTies) {
  for_each_type([](auto t) {
    using T = decltype(t);
    for (std::size_t d : {1, 2, 3, 4, 5, 19})
      for (std::size_t n : {1, 7, 1000}) {
        const std::size_t k = 11;
        const std::vector<T> x = keys<T>(n * d, 6, 1);
        std::vector<float> centers = keys<float>(k * d, 6, 2);
        std::copy_n(centers.begin(), d, centers.begin() + static_cast<std::ptrdiff_t>(5 * d));  // equal centres: the second gets nothing
        std::fill_n(centers.begin() + static_cast<std::ptrdiff_t>(7 * d), d, 1000.0f);
        const Step want = plain_step(x, centers, n, k, d);
        everywhere([&](Level level, const Cut& cut, std::size_t offset) {
          SerialRun run(kernel("kmeans_step", level));
          run.in(x, shape(n, d), offset).in(centers, shape(k, d), offset).want("label").cut(cut);
          ASSERT_EQ(run(), CADRE_OK) << run.message();
          EXPECT_EQ(run.out<double>("centers"), want.centers);
          EXPECT_EQ(run.out<std::int64_t>("count"), want.count);
          EXPECT_EQ(run.out<std::int32_t>("label"), want.label);
          EXPECT_EQ(run.one<double>("inertia"), want.inertia);
          EXPECT_EQ(want.count[5], 0);
        });
      }
  });
}

TEST(KmeansStep, IsAccurateOnRealPointsAndRunsWithoutLabels) {
  const std::size_t n = 100003, k = 16, d = 4;
  const std::vector<double> x = sample<double>(n * d, 3), centers = sample<double>(k * d, 4);
  const Step want = plain_step(x, centers, n, k, d);
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("kmeans_step", level));
    run.in(x, shape(n, d), offset).in(centers, shape(k, d), offset).cut(cut);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    EXPECT_EQ(run.out<std::int64_t>("count"), want.count);
    EXPECT_NEAR(run.one<double>("inertia"), want.inertia, 1e-10 * want.inertia);
    const auto moved = run.out<double>("centers");
    for (std::size_t i = 0; i < k * d; ++i) EXPECT_NEAR(moved[i], want.centers[i], 1e-12);
  });
}

TEST(KmeansStep, PutsPointsWithNaNToTheFirstCentre) {
  std::vector<double> x(2 * 100, 1.0);
  x[2 * 50] = kNaN;
  everywhere([&](Level level, const Cut& cut, std::size_t offset) {
    SerialRun run(kernel("kmeans_step", level));
    run.in(x, shape(100, 2), offset).in(std::vector<double>{0, 0, 1, 1}, shape(2, 2)).want("label").cut(cut);
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_EQ(run.out<std::int64_t>("count"), (std::vector<std::int64_t>{1, 99}));
    EXPECT_EQ(run.out<std::int32_t>("label")[50], 0);
    EXPECT_TRUE(std::isnan(run.one<double>("inertia")));
  });
}

TEST(KmeansStep, RefusesShapesThatDoNotFit) {
  const auto refused = [](std::vector<std::int64_t> points, std::vector<std::int64_t> centers) {
    SerialRun run(kernel("kmeans_step", Level::v2));
    run.in(std::vector<double>(static_cast<std::size_t>(points[0] * points[1])), points);
    run.in(std::vector<double>(static_cast<std::size_t>(centers[0] * centers[1])), centers);
    EXPECT_EQ(run(), CADRE_BAD_DATA);
    return run.message();
  };
  EXPECT_EQ(refused({5, 2}, {3, 4}), "X has 2 columns and centers has 4: give points and centres of one dimension");
  EXPECT_EQ(refused({5, 2}, {0, 2}), "centers is 0 x 2: give at least one centre of one dimension");
  EXPECT_EQ(refused({0, 2}, {3, 2}), "X has no rows: give at least one point");
}

}  // namespace
}  // namespace cadre::test
