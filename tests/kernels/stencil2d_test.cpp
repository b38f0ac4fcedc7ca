/* stencil2d against one sweep after the other over the whole array. */
#include "fold_case.hpp"

namespace cadre::test {
namespace {

enum Mode { kReflect, kConstant, kWrap };

/** The plain definition: every iteration is over before the next begins. */
std::vector<double> sweeps(std::vector<double> x, std::int64_t n, std::int64_t m, const std::vector<double>& w, int iterations, int mode, double cval) {
  const auto value = [&](std::int64_t r, std::int64_t c) {
    if (mode == kWrap) return x[static_cast<std::size_t>((r + n) % n * m + (c + m) % m)];
    const bool outside = r < 0 || r >= n || c < 0 || c >= m;
    if (outside && mode == kConstant) return cval;
    return x[static_cast<std::size_t>(std::clamp<std::int64_t>(r, 0, n - 1) * m + std::clamp<std::int64_t>(c, 0, m - 1))];
  };
  for (int k = 0; k < iterations; ++k) {
    std::vector<double> next(x.size());
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c < m; ++c)
        for (std::int64_t t = 0; t < 9; ++t)
          if (w[static_cast<std::size_t>(t)] != 0) next[static_cast<std::size_t>(r * m + c)] += w[static_cast<std::size_t>(t)] * value(r + t / 3 - 1, c + t % 3 - 1);
    x = next;
  }
  return x;
}

const std::vector<double> kHeat{0, 0.125, 0, 0.125, 0.5, 0.125, 0, 0.125, 0}, kAll{0.05, 0.1, 0.15, -0.2, 0.3, 0.2, 0.05, -0.1, 0.25};

TEST(Stencil2d, IsOneSweepAfterTheOther) {
  struct Size {
    std::int64_t n, m;
    int iterations;
  };
  for (const Size& s : {Size{1, 1, 3}, Size{2, 3, 5}, Size{40, 30, 1}, Size{200, 7, 12}, Size{70, 1100, 4}, Size{150, 140, 40}})
    for (int mode : {kReflect, kConstant, kWrap})
      for (const std::vector<double>& w : {kHeat, kAll}) {
        const std::vector<double> x = sample<double>(static_cast<std::size_t>(s.n * s.m), 1);
        const std::vector<double> want = sweeps(x, s.n, s.m, w, s.iterations, mode, 2.5);
        for (Level level : levels())
          for (unsigned chunks : {1u, 5u}) {
            SerialRun run(kernel("stencil2d", level));
            run.in(x, {s.n, s.m}).in(w, {3, 3}).param("iterations", s.iterations).param("mode", mode).param("cval", 2.5).cut({.seed = 1, .chunks = chunks});
            ASSERT_EQ(run(), CADRE_OK) << run.message();
            const auto got = run.out<double>("out");
            // Magnitudes of the weights add up to 1.4 at most, of the values to 12.
            const double bound = 10 * kUnit * 12 * s.iterations * std::pow(1.4, w == kAll ? s.iterations : 0);
            for (std::size_t i = 0; i < got.size(); ++i)
              ASSERT_NEAR(got[i], want[i], bound) << s.n << " x " << s.m << ", " << s.iterations << " iterations, mode " << mode << ", element " << i;
          }
      }
}

TEST(Stencil2d, TakesEveryTypeAndAnyPartOfTheRows) {
  for_each_type([](auto t) {
    using T = decltype(t);
    using Out = std::conditional_t<std::is_same_v<T, float>, float, double>;
    const std::int64_t n = 130, m = 20;
    const std::vector<T> x = keys<T>(static_cast<std::size_t>(n * m), 100, 4);
    const std::vector<double> want = sweeps({x.begin(), x.end()}, n, m, kHeat, 3, kReflect, 0);  // powers of two: exact in float64
    everywhere([&](Level level, const Cut& cut, std::size_t offset) {
      SerialRun run(kernel("stencil2d", level));
      run.in(x, {n, m}, offset).in(kHeat, {3, 3}).param("iterations", 3).cut(cut);
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      EXPECT_EQ(run.out<Out>("out"), (std::vector<Out>(want.begin(), want.end())));
    });
  });
}

TEST(Stencil2d, DoesNotReadWhatHasNoWeight) {
  std::vector<double> x(100, 1.0);
  x[55] = kNaN;
  for (Level level : levels()) {
    SerialRun run(kernel("stencil2d", level));
    run.in(x, {10, 10}).in(kHeat, {3, 3});
    ASSERT_EQ(run(), CADRE_OK);
    const auto got = run.out<double>("out");
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(got[i]), i == 55 || i == 45 || i == 65 || i == 54 || i == 56) << i;
    SerialRun none(kernel("stencil2d", level));
    none.in(x, {10, 10}).in(std::vector<double>(9), {3, 3});
    ASSERT_EQ(none(), CADRE_OK);
    EXPECT_EQ(none.out<double>("out"), std::vector<double>(100));
  }
}

TEST(Stencil2d, RefusesWhatItCanNotDo) {
  const auto refused = [](std::vector<std::int64_t> weights, double iterations, double mode) {
    SerialRun run(kernel("stencil2d", Level::v2));
    run.in(std::vector<double>(6), {2, 3}).in(std::vector<double>(static_cast<std::size_t>(weights[0] * weights[1])), weights).param("iterations", iterations).param("mode", mode);
    EXPECT_EQ(run(), CADRE_BAD_DATA);
    return run.message();
  };
  EXPECT_EQ(refused({5, 5}, 1, 0), "weights is 5 x 5: give 3 x 3");
  EXPECT_EQ(refused({3, 3}, 300, 0), "iterations is 300: 1 to 256 are possible; for more, let one step take what another gave");
  EXPECT_EQ(refused({3, 3}, 1, 3), "mode is 3: give 0 (reflect), 1 (constant) or 2 (wrap)");
}

}  // namespace
}  // namespace cadre::test
