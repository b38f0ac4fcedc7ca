/* The kernels against NumPy and SciPy themselves (Debian's, /usr/bin/python3), through files of raw numbers. Without them the tests are skipped. */
#include "fold_case.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <unistd.h>

namespace cadre::test {
namespace {

class NumPy : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import numpy, scipy' >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "/usr/bin/python3 has no numpy and scipy: nothing to compare with";
    std::string pattern = (std::filesystem::temp_directory_path() / "cadre-numpy-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  /** Makes x the Python variable `name` of the next evaluate(). */
  template <class T>
  void set(const std::string& name, const std::vector<T>& x) {
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(x.data()), static_cast<std::streamsize>(x.size() * sizeof(T)));
    constexpr cadre_dtype t = builtin::dtype_of<T>();
    script_ += name + " = np.fromfile('" + (folder_ / name).string() + "', '" +
               (t.code == CADRE_FLOAT ? "f"
                : t.code == CADRE_INT ? "i"
                                      : "u") +
               std::to_string(t.bits / 8) + "')\n";
  }

  /** The numbers of a Python expression, as Out. */
  template <class Out>
  std::vector<Out> evaluate(const std::string& expression) {
    const std::filesystem::path script = folder_ / "script.py", result = folder_ / "result";
    std::ofstream(script) << "import numpy as np\n"
                          << (expression.find("scipy") == std::string::npos ? "" : "import scipy.stats\n") << "np.seterr(all='ignore')\n"
                          << script_ << "out = np.asarray(" << expression << ")\nout.astype('" << (std::is_integral_v<Out> ? "i8" : "f8")
                          << "').tofile('" << result.string() << "')\n";
    script_.clear();
    EXPECT_EQ(std::system(("/usr/bin/python3 -W ignore " + script.string()).c_str()), 0) << expression;
    std::vector<Out> out(std::filesystem::file_size(result) / sizeof(Out));
    std::ifstream(result, std::ios::binary)
        .read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size() * sizeof(Out)));
    return out;
  }

  std::filesystem::path folder_;
  std::string script_;
};

std::string number(double v) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

/** Values on, just below and just above the edges of the bins, near the ends of the range and outside, in the type of T. */
template <class T>
std::vector<T> adversaries(std::int64_t bins, double lo, double hi) {
  const T infinity = std::numeric_limits<T>::infinity();
  std::vector<T> x{-infinity, infinity, std::numeric_limits<T>::quiet_NaN(), T(0), T(-0.0), std::numeric_limits<T>::max()};
  std::mt19937_64 random(7);
  for (std::int64_t i = 0; i <= bins; ++i) {
    const double step = (hi - lo) / static_cast<double>(bins);
    for (double v :
         {static_cast<double>(i) * step + lo, lo + (hi - lo) * static_cast<double>(i) / static_cast<double>(bins), i == bins ? hi : lo}) {
      const T edge = static_cast<T>(v), below = std::nextafter(edge, -infinity), above = std::nextafter(edge, infinity);
      for (T w : {edge, below, above, std::nextafter(below, -infinity), std::nextafter(above, infinity)}) x.push_back(w);
    }
    x.push_back(static_cast<T>(std::uniform_real_distribution<double>(lo - step, hi + step)(random)));
  }
  return x;
}

struct Range {
  std::int64_t bins;
  double lo, hi;
};
const Range kRanges[] = {
    {1, 0, 1},        {10, 0, 1},   {100, 0, 1},          {1000, 0.1, 0.7}, {256, -1, 1}, {999, 1, 1000},      {49, 0, 49},
    {77, -0.3, 12.1}, {4096, 0, 3}, {5000, 1e3, 1e3 + 1}, {60000, -2, 7},   {7, 2, 2},    {300, 1e9, 1e9 + 1}, {1000, 1e9, 1e9 + 1e-4},
    {256, 0, 1},      {4096, 0, 2}, {65536, 0, 16}};

TEST_F(NumPy, HistogramPutsEveryAdversaryIntoTheSameBin) {
  const auto check = [&](const auto& x, const Range& r) {
    set("x", x);
    const auto want =
        evaluate<std::int64_t>("np.histogram(x, " + std::to_string(r.bins) + ", (" + number(r.lo) + ", " + number(r.hi) + "))[0]");
    everywhere([&](Level level, const Cut& cut, std::size_t offset) {
      SerialRun run(kernel("histogram", level));
      run.in(x, {}, offset).param("bins", static_cast<double>(r.bins)).param("lo", r.lo).param("hi", r.hi).cut(cut);
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      EXPECT_EQ(run.out<std::int64_t>("out"), want)
          << r.bins << " bins from " << r.lo << " to " << r.hi << ", " << 8 * sizeof(x[0]) << " bits";
      EXPECT_EQ(run.one<std::int64_t>("outside"),
                static_cast<std::int64_t>(x.size()) - std::accumulate(want.begin(), want.end(), std::int64_t{0}));
    });
  };
  for (const Range& r : kRanges) {
    check(adversaries<double>(r.bins, r.lo, r.hi), r);
    if (r.lo < 1e9) check(adversaries<float>(r.bins, r.lo, r.hi), r);
  }
  check(keys<std::int16_t>(3000, 1000, 8), {999, 1, 1000});
  check(keys<std::uint8_t>(3000, 255, 8), {64, 0, 256});
}

TEST_F(NumPy, Histogram2dPutsEveryAdversaryIntoTheSameCell) {
  for (const auto& [a, b] :
       {std::pair{kRanges[1], kRanges[7]}, {kRanges[3], kRanges[0]}, {kRanges[6], kRanges[2]}, {kRanges[13], kRanges[4]}}) {
    std::vector<double> x = adversaries<double>(a.bins, a.lo, a.hi), y = adversaries<double>(b.bins, b.lo, b.hi);
    const std::size_t n = std::max(x.size(), y.size());
    std::mt19937 random(3);
    while (x.size() < n) x.push_back(x[random() % x.size()]);
    while (y.size() < n) y.push_back(y[random() % y.size()]);
    std::shuffle(y.begin(), y.end(), random);
    set("x", x), set("y", y);
    const auto want = evaluate<std::int64_t>("np.histogram2d(x, y, (" + std::to_string(a.bins) + ", " + std::to_string(b.bins) + "), ((" +
                                             number(a.lo) + ", " + number(a.hi) + "), (" + number(b.lo) + ", " + number(b.hi) + ")))[0]");
    everywhere([&, a = a, b = b](Level level, const Cut& cut, std::size_t offset) {
      SerialRun run(kernel("histogram2d", level));
      run.in(x, {}, offset)
          .in(y, {}, offset)
          .cut(cut)
          .param("bins_x", static_cast<double>(a.bins))
          .param("bins_y", static_cast<double>(b.bins));
      run.param("lo_x", a.lo).param("hi_x", a.hi).param("lo_y", b.lo).param("hi_y", b.hi);
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      EXPECT_EQ(run.out<std::int64_t>("out"), want);
    });
  }
}

TEST_F(NumPy, BincountAndGroupSumAgree) {
  const auto key = keys<std::int32_t>(20000, 500, 9);
  const auto x = sample<double>(20000, 10);
  set("key", key);
  const auto counts = evaluate<std::int64_t>("np.bincount(key, minlength=600)");
  set("key", key), set("x", x);
  const auto sums = evaluate<double>("np.bincount(key, x)");
  for (Level level : levels()) {
    SerialRun count(kernel("bincount", level));
    count.in(key).param("minlength", 600);
    ASSERT_EQ(count(), CADRE_OK);
    EXPECT_EQ(count.out<std::int64_t>("out"), counts);
    SerialRun group(kernel("group_sum", level));
    group.in(key).in(x).cut({.seed = 1, .chunks = 5});
    ASSERT_EQ(group(), CADRE_OK);
    const auto got = group.out<double>("sum");
    ASSERT_EQ(got.size(), sums.size());
    for (std::size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], sums[k], 1e-12);
  }
}

TEST_F(NumPy, FoldsAgree) {
  const auto x = sample<double>(40000, 11);
  set("x", x);
  const auto want = evaluate<double>(
      "[x.sum(), x.min(), x.max(), x.mean(), x.var(), scipy.stats.skew(x), scipy.stats.kurtosis(x), x @ x, np.linalg.norm(x)]");
  set("x", x);
  const auto covariance = evaluate<double>("np.cov(x.reshape(-1, 5), rowvar=False)");
  for (Level level : levels()) {
    const auto fold = [&](const char* name, const char* result) {
      SerialRun run(kernel(name, level));
      run.in(x).cut({.seed = 1, .chunks = 9});
      if (std::string(name) == "dot") run.in(x);
      EXPECT_EQ(run(), CADRE_OK);
      return run.one<double>(result);
    };
    EXPECT_NEAR(fold("sum", "sum") / want[0], 1, 1e-14);
    EXPECT_EQ(fold("min", "min"), want[1]);
    EXPECT_EQ(fold("max", "max"), want[2]);
    EXPECT_NEAR(fold("moments", "mean") / want[3], 1, 1e-14);
    EXPECT_NEAR(fold("moments", "variance") / want[4], 1, 1e-13);
    EXPECT_NEAR(fold("moments", "skewness"), want[5], 1e-12);
    EXPECT_NEAR(fold("moments", "kurtosis"), want[6], 1e-12);
    EXPECT_NEAR(fold("dot", "dot") / want[7], 1, 1e-14);
    EXPECT_NEAR(fold("norm", "norm") / want[8], 1, 1e-14);
    SerialRun run(kernel("covariance", level));
    run.in(x, {8000, 5}).cut({.seed = 1, .chunks = 9});
    ASSERT_EQ(run(), CADRE_OK);
    const auto got = run.result<double>("covariance");
    ASSERT_EQ(got.size(), covariance.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], covariance[i], 1e-12);
  }
}

TEST_F(NumPy, QuantilesAreTheSameBitsBesideInfinitiesToo) {
  const double largest = std::numeric_limits<double>::max();
  const std::vector<std::vector<double>> samples{sample<double>(1003, 5), {kInfinity, -kInfinity, 1}, {1, kInfinity}, {kInfinity, kInfinity}, {-kInfinity, 1, 2}, {1, 2, kInfinity, kInfinity},
                                                 {-largest, largest}, {-0.0}, {-0.0, 0.0}, {3, kNaN, 1}};
  const std::vector<double> q{0, 0.1, 0.25, 1.0 / 3, 0.5, 0.75, 0.999, 1};
  for (const std::vector<double>& x : samples) {
    set("x", x), set("q", q);
    const auto want = evaluate<double>("np.quantile(x, q)");
    for (Level level : levels()) {
      SerialRun run(kernel("quantiles", level));
      run.in(x).in(q).cut({.seed = 3, .chunks = 2});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      const auto got = run.out<double>("out");
      for (std::size_t k = 0; k < q.size(); ++k)
        EXPECT_TRUE(std::isnan(want[k]) ? std::isnan(got[k]) : got[k] == want[k] && std::signbit(got[k]) == std::signbit(want[k]))
            << got[k] << " for " << want[k] << ": q = " << q[k] << " of " << x.size() << " numbers from " << x[0];
    }
  }
}

TEST_F(NumPy, MomentsOfConstantDataAreNaNWhereSciPySaysSo) {
  for (double value : {0.0, 1.0, 0.1, -1e9}) {
    const std::vector<double> x(2500, value);
    set("x", x);
    const auto want = evaluate<double>("[scipy.stats.skew(x), scipy.stats.kurtosis(x)]");
    SerialRun run(kernel("moments", best_level()));
    run.in(x).cut({.seed = 1, .chunks = 3});
    ASSERT_EQ(run(), CADRE_OK);
    EXPECT_EQ(std::isnan(run.one<double>("skewness")), std::isnan(want[0])) << value;
    EXPECT_EQ(std::isnan(run.one<double>("kurtosis")), std::isnan(want[1])) << value;
  }
}

}  // namespace
}  // namespace cadre::test
