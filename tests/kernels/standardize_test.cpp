#include "map_case.hpp"

namespace cadre::test {
namespace {

struct Reference {
  long double mean = 0, deviation = 0, largest = 0;
};

template <class T>
Reference reference(const std::vector<T>& x, int ddof) {
  Reference r;
  for (T v : x) r.mean += v, r.largest = std::max(r.largest, std::fabs(static_cast<long double>(v)));
  r.mean /= static_cast<long double>(x.size());
  long double squares = 0;
  for (T v : x) squares += (v - r.mean) * (v - r.mean);
  r.deviation = sqrtl(squares / static_cast<long double>(static_cast<std::int64_t>(x.size()) - ddof));
  return r;
}

template <class T>
void check(const std::vector<T>& x, int ddof) {
  using Out = std::conditional_t<std::is_same_v<T, float>, float, double>;
  const Reference want = reference(x, ddof);
  for (Level level : levels())
    for (unsigned offset : {0u, 3u}) {
      SerialRun run(kernel("standardize", level));
      run.in(x, {}, offset).param("ddof", ddof).cut({.seed = 3, .chunks = 7});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      const double mean = run.one<double>("mean"), deviation = run.one<double>("std");
      EXPECT_NEAR(mean, static_cast<double>(want.mean), static_cast<double>(1e-15L * want.largest));
      EXPECT_NEAR(deviation, static_cast<double>(want.deviation), static_cast<double>(1e-14L * want.deviation));
      const std::vector<Out> out = run.out<Out>("out");
      for (std::size_t i = 0; i < x.size(); ++i)  // exactly this, from the mean and std that were reported
        ASSERT_EQ(out[i], static_cast<Out>((static_cast<double>(x[i]) - mean) / deviation)) << i;
    }
}

TEST(Standardize, GivesMeanStdAndTheScaledValuesForEveryType) {
  for_each_type([](auto type) {
    using T = decltype(type);
    for (std::size_t n : {7, 1000, 100003}) check(numbers<T>(n, 1), 0), check(numbers<T>(n, 2), 1);
  });
}

TEST(Standardize, KeepsItsDigitsFarFromZero) {
  std::vector<double> x = numbers<double>(100003, 3);
  for (double& v : x) v = 1e9 + std::fmod(v, 1.0);
  check(x, 0);
}

TEST(Standardize, TheBitsDoNotDependOnWhereTheDataLie) {
  const std::vector<float> x = numbers<float>(5000, 4);
  for (Level level : levels()) {
    std::vector<std::vector<float>> all;
    for (unsigned offset : {0u, 1u, 5u, 13u}) {
      SerialRun run(kernel("standardize", level));
      run.in(x, {}, offset).cut({.seed = 9, .chunks = 5, .out_offset = offset});
      ASSERT_EQ(run(), CADRE_OK);
      all.push_back(run.out<float>("out"));
    }
    for (const auto& other : all) EXPECT_EQ(other, all[0]);
  }
}

TEST(Standardize, ConstantDataGiveNaNAndNothingGivesNothing) {
  for (Level level : levels()) {
    SerialRun run(kernel("standardize", level));
    run.in(std::vector<double>(1000, 4.0)).cut({.seed = 1, .chunks = 3});
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_EQ(run.one<double>("mean"), 4.0);
    EXPECT_EQ(run.one<double>("std"), 0.0);
    for (double v : run.out<double>("out")) EXPECT_TRUE(std::isnan(v));
    SerialRun empty(kernel("standardize", level));
    empty.in(std::vector<double>{});
    ASSERT_EQ(empty(), CADRE_OK);
    EXPECT_TRUE(std::isnan(empty.one<double>("mean")));
    EXPECT_TRUE(empty.out<double>("out").empty());
  }
}

TEST(Standardize, OneElementWithDdofOneGivesNaN) {
  SerialRun run(kernel("standardize", Level::v2));
  run.in(std::vector<double>{2.5}).param("ddof", 1);
  ASSERT_EQ(run(), CADRE_OK);
  EXPECT_EQ(run.one<double>("mean"), 2.5);
  EXPECT_TRUE(std::isnan(run.one<double>("std")));
}

TEST(Standardize, AnInfinityMakesTheMeanInfiniteAndTheStdNaN) {
  std::vector<double> x(3000, 1.0);
  x[10] = x[2000] = INFINITY;
  for (Level level : levels()) {
    SerialRun run(kernel("standardize", level));
    run.in(x).cut({.seed = 2, .chunks = 4});
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_EQ(run.one<double>("mean"), INFINITY);
    EXPECT_TRUE(std::isnan(run.one<double>("std")));
  }
}

}  // namespace
}  // namespace cadre::test
