/* kmeans against steps of kmeans_step, one after the other. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

/** Small integers around 0, 30, 60 ...: sums are exact whatever their order. */
std::vector<double> clouds(std::size_t n, std::size_t d, std::size_t k) {
  std::vector<double> x(n * d);
  std::mt19937_64 random(5);
  std::normal_distribution<double> near(0, 8);
  for (std::size_t i = 0; i < n * d; ++i) x[i] = std::round(30 * static_cast<double>(i / d % k) + near(random));
  return x;
}

TEST(Kmeans, StopsWhereAStepChangesNothing) {
  for (Level level : levels())
    for (std::size_t d : {1, 3, 6}) {
      const std::size_t n = 3000, k = 4;
      const std::vector<double> x = clouds(n, d, k);
      std::vector<double> centers(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(k * d));
      for (double& c : centers) c = std::floor(c / 2);
      SerialRun all(kernel("kmeans", level));
      all.in(x, shape(n, d)).in(centers, shape(k, d)).want("label").cut({.seed = 2, .chunks = 5});
      ASSERT_EQ(all(), CADRE_OK) << all.message();
      std::int64_t steps = 0;
      for (std::vector<double> before; before != centers; ++steps) {
        before = centers;
        SerialRun step(kernel("kmeans_step", level));
        step.in(x, shape(n, d)).in(centers, shape(k, d)).want("label");
        ASSERT_EQ(step(), CADRE_OK);
        centers = step.out<double>("centers");
        if (before == centers) {
          EXPECT_EQ(all.out<std::int64_t>("count"), step.out<std::int64_t>("count"));
          EXPECT_EQ(all.out<std::int32_t>("label"), step.out<std::int32_t>("label"));
          EXPECT_NEAR(all.one<double>("inertia"), step.one<double>("inertia"), 1e-9);
        }
      }
      EXPECT_GT(steps, 3);
      EXPECT_EQ(all.one<std::int64_t>("iterations"), steps);
      EXPECT_EQ(all.out<double>("centers"), centers);
      EXPECT_EQ(all.one<double>("shift"), 0);
    }
}

TEST(Kmeans, StopsEarlierWhereItIsToldTo) {
  const std::vector<double> x = clouds(1000, 2, 4);
  const std::vector<double> centers{0, 1, 1, 0, 2, 2, 3, 1};
  const auto run = [&](double max_iter, double tol) {
    SerialRun r(kernel("kmeans", best_level()));
    r.in(x, shape(1000, 2)).in(centers, shape(4, 2)).param("max_iter", max_iter).param("tol", tol);
    EXPECT_EQ(r(), CADRE_OK) << r.message();
    return std::pair(r.one<std::int64_t>("iterations"), r.one<double>("shift"));
  };
  EXPECT_EQ(run(1, 0).first, 1);
  EXPECT_EQ(run(2, 0).first, 2);
  const auto [steps, shift] = run(300, 0);
  EXPECT_EQ(shift, 0);
  const auto [fewer, moved] = run(300, 2);
  EXPECT_LT(fewer, steps);
  EXPECT_LE(moved, 2);
  EXPECT_GT(run(static_cast<double>(fewer - 1), 2).second, 2);
}

TEST(Kmeans, EndsWithNaNAndRefusesWhatCanNotBe) {
  std::vector<double> x(200, 1.0);
  x[7] = kNaN;
  for (Level level : levels()) {
    SerialRun nan(kernel("kmeans", level)), steps(kernel("kmeans", level)), tolerance(kernel("kmeans", level));
    nan.in(x, shape(100, 2)).in(std::vector<double>{0, 0, 1, 1}, shape(2, 2));
    ASSERT_EQ(nan(), CADRE_OK);
    EXPECT_EQ(nan.one<std::int64_t>("iterations"), 1);
    EXPECT_TRUE(std::isnan(nan.one<double>("shift")));
    EXPECT_EQ(steps.in(x, shape(100, 2)).in(x, shape(100, 2)).param("max_iter", 0)(), CADRE_BAD_DATA);
    EXPECT_EQ(steps.message(), "max_iter is 0: give 1 or more");
    EXPECT_EQ(tolerance.in(x, shape(100, 2)).in(x, shape(100, 2)).param("tol", -1)(), CADRE_BAD_DATA);
  }
}

}  // namespace
}  // namespace cadre::test
