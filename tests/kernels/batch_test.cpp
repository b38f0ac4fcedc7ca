/* The kernels for batch jobs against plain references: quantiles, argmin and argmax, mandelbrot, two_point_counts, monte_carlo_option, fft_rows, subtract, abs,
   scale, polynomial. */
#include "map_case.hpp"

#include <algorithm>
#include <array>
#include <complex>
#include <numbers>
#include <numeric>

#include <cadre/shm/sanitizers.hpp>

namespace cadre::test {
namespace {

/** np.quantile, method linear, on a sorted copy. */
double quantile(std::vector<double> x, double q) {
  std::sort(x.begin(), x.end());
  const double position = q * static_cast<double>(x.size() - 1), t = position - std::floor(position);
  const double a = x[static_cast<std::size_t>(position)], b = x[std::min(static_cast<std::size_t>(position) + 1, x.size() - 1)];
  if (a == b) return a;
  return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

TEST(Quantiles, AreThoseOfTheSortedArray) {
  const std::vector<double> q{0, 0.001, 0.25, 0.5, 1.0 / 3, 0.9, 0.999999, 1};
  for (Level level : levels())
    for (std::size_t n : {1, 2, 7, 1000, 200'003}) {
      std::vector<double> x = numbers<double>(n, 3);
      for (std::size_t i = 0; i < n; i += 5) x[i] = x[0];  // ties
      SerialRun run(kernel("quantiles", level));
      run.in(x).in(q).cut({.seed = 2, .chunks = 4});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      const std::vector<double> got = run.out<double>("out");
      for (std::size_t k = 0; k < q.size(); ++k) EXPECT_EQ(got[k], quantile(x, q[k])) << n << " elements, q = " << q[k];
    }
}

TEST(Quantiles, TakeEveryTypeInfinitiesAndNaN) {
  for (Level level : levels()) {
    const double inf = INFINITY;
    const auto of = [&](const auto& x, const std::vector<double>& q) {
      SerialRun run(kernel("quantiles", level));
      run.in(x).in(q);
      EXPECT_EQ(run(), CADRE_OK) << run.message();
      return run.out<double>("out");
    };
    EXPECT_EQ(of(std::vector<std::int8_t>{-128, 127, 0}, {0, 0.5, 1}), (std::vector<double>{-128, 0, 127}));
    EXPECT_EQ(of(std::vector<float>{1.5f, -2.5f}, {0.5}), (std::vector<double>{-0.5}));
    EXPECT_EQ(of(std::vector<double>{inf, -inf, 1}, {0.25, 0.75})[0], -inf);
    EXPECT_TRUE(std::isnan(of(std::vector<double>{1, std::nan(""), 2}, {0.5})[0]));
    SerialRun nothing(kernel("quantiles", level)), outside(kernel("quantiles", level));
    EXPECT_EQ(nothing.in(std::vector<double>{}).in(std::vector<double>{0.5})(), CADRE_BAD_DATA);
    EXPECT_EQ(outside.in(std::vector<double>{1}).in(std::vector<double>{0.5, 1.5})(), CADRE_BAD_DATA);
    EXPECT_EQ(outside.message(), "q[1] is 1.5: probabilities are from 0 to 1");
  }
}

template <class T>
std::int64_t extreme(const char* name, Level level, const std::vector<T>& x, unsigned chunks) {
  SerialRun run(kernel(name, level));
  run.in(x).cut({.seed = chunks, .chunks = chunks});
  EXPECT_EQ(run(), CADRE_OK) << run.message();
  return run.one<std::int64_t>("index");
}

TEST(ArgExtremes, AreTheFirstOfEquals) {
  for_each_type([](auto type) {
    using T = decltype(type);
    for (Level level : levels())
      for (std::size_t n : {1, 2, 33, 1000, 5003}) {
        std::vector<T> x = numbers<T>(n, 9);
        for (std::size_t i = n / 2; i < n; ++i) x[i] = x[i - n / 2];  // every value twice
        for (unsigned chunks : {1, 3}) {
          EXPECT_EQ(extreme("argmin", level, x, chunks), std::min_element(x.begin(), x.end()) - x.begin());
          EXPECT_EQ(extreme("argmax", level, x, chunks), std::max_element(x.begin(), x.end()) - x.begin());
        }
      }
  });
}

TEST(ArgExtremes, OfNaNAreTheFirstNaN) {
  std::vector<double> x = uniform(5000, -1, 1, 1);
  x[1234] = x[4000] = std::nan("");
  for (Level level : levels())
    for (unsigned chunks : {1, 4}) {
      EXPECT_EQ(extreme("argmin", level, x, chunks), 1234);
      EXPECT_EQ(extreme("argmax", level, x, chunks), 1234);
      EXPECT_EQ(extreme("argmin", level, std::vector<double>{0.0, -0.0, INFINITY}, chunks), 0);
      EXPECT_EQ(extreme("argmax", level, std::vector<double>{-INFINITY, -INFINITY}, chunks), 0);
    }
}

TEST(Mandelbrot, CountsTheStepsOfTheRecurrence) {
  constexpr int width = 133, height = 37, most = 150;
  for (Level level : levels()) {
    SerialRun run(kernel("mandelbrot", level));
    run.param("width", width).param("height", height).param("iterations", most).cut({.seed = 1, .chunks = 3});
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    const auto got = run.out<std::int32_t>("out");
    const auto at = [](double lo, double hi, int n, int i) { return i == n - 1 ? hi : i * ((hi - lo) / (n - 1)) + lo; };
    for (int r = 0; r < height; ++r)
      for (int k = 0; k < width; ++k) {
        const double cx = at(-2, 0.5, width, k), cy = at(-1.25, 1.25, height, r);
        double x = 0, y = 0;
        int steps = 0;
        while (steps < most) {
          const double xx = x * x, yy = y * y, xy = x * y;
          if (!(xx + yy <= 4)) break;
          ++steps;
          x = (xx - yy) + cx;
          y = (xy + xy) + cy;
        }
        ASSERT_EQ(got[static_cast<std::size_t>(r * width + k)], steps) << r << " " << k << " on " << name_of(level);
      }
  }
}

struct PairCounts {
  std::vector<std::int64_t> bins;
  std::int64_t outside = 0;
};

/** By the definition: np.histogram's bins over [lo, hi], 20 of them, of the distances of all pairs of points of d coordinates. */
template <class T>
PairCounts pair_counts(const std::vector<T>& x, std::size_t d, double lo, double hi) {
  const std::size_t n = x.size() / d;
  PairCounts counts{std::vector<std::int64_t>(20)};
  if (lo == hi) lo -= 0.5, hi += 0.5;
  const double step = (hi - lo) / 20;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      double square = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const double way = static_cast<double>(x[j * d + k]) - static_cast<double>(x[i * d + k]);
        square += way * way;
      }
      const double distance = std::sqrt(square);
      if (!(distance >= lo && distance <= hi)) {
        ++counts.outside;
        continue;
      }
      auto bin = static_cast<std::int64_t>(std::min((distance - lo) / step, 19.0));
      while (bin > 0 && distance < static_cast<double>(bin) * step + lo) --bin;
      while (bin < 19 && distance >= static_cast<double>(bin + 1) * step + lo) ++bin;
      ++counts.bins[static_cast<std::size_t>(bin)];
    }
  return counts;
}

template <class T>
void expect_pair_counts(Level level, const std::vector<T>& x, std::size_t d, double lo, double hi, const PairCounts& expected) {
  for (unsigned chunks : {1, 3}) {
    SerialRun run(kernel("two_point_counts", level));
    run.in(x, shape(x.size() / d, d)).param("bins", 20).param("lo", lo).param("hi", hi).cut({.seed = 3, .chunks = chunks});
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    EXPECT_EQ(run.template out<std::int64_t>("out"), expected.bins) << x.size() / d << " points of " << d << " from " << lo << " to " << hi;
    EXPECT_EQ(run.template one<std::int64_t>("outside"), expected.outside);
  }
}

TEST(TwoPointCounts, AreThoseOfAllPairs) {
  for (std::size_t d : {1, 2, 3, 4, 5, 6, 7, 8})
    for (std::size_t n : {0, 1, 2, 65, d < 4 ? 2100 : 700}) {
      const std::vector<double> x = uniform(n * d, 0, 1, 5);
      for (double hi : {0.02, 0.2, 1.0, 4.0})
        for (double lo : {0.0, 0.3 * hi}) {
          const PairCounts expected = pair_counts(x, d, lo, hi);
          for (Level level : levels()) expect_pair_counts(level, x, d, lo, hi, expected);
        }
    }
}

TEST(TwoPointCounts, AreThoseOfAllPairsWhereverThePointsLie) {
  const double kNaN = std::nan(""), kInf = INFINITY;
  std::mt19937_64 random(8);
  for (std::size_t d : {1, 3}) {
    const std::size_t n = 1500;
    // Clusters far from each other and from zero, one far beyond all cells; lattices, whose pairs lie on the edges of bins and of boxes; one point many times.
    std::vector<double> clusters(n * d), lattice(n * d), same(n * d, 0.1);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < d; ++k) {
        clusters[i * d + k] = 1e6 + static_cast<double>(i % 7) * 3 + std::uniform_real_distribution<double>(-0.1, 0.1)(random) + (i == 77 ? 1e300 : 0.0);
        lattice[i * d + k] = static_cast<double>(random() % 12) * 0.25;
      }
    std::vector<double> odd = lattice;
    for (std::size_t i = 0; i < odd.size(); i += 97) odd[i] = std::array{kNaN, kInf, -kInf, 1e308, -1e308, 5e-324}[i / 97 % 6];
    std::vector<double> nowhere(n * d, kNaN);
    nowhere.front() = nowhere.back() = 0;
    std::vector<float> narrow(lattice.begin(), lattice.end());
    for (double hi : {0.25, 1.0, 5.0})
      for (double lo : {-1.0, 0.0, 0.25}) {
        for (const auto& x : {clusters, lattice, same, odd, nowhere}) {
          const PairCounts expected = pair_counts(x, d, lo, hi);
          for (Level level : levels()) expect_pair_counts(level, x, d, lo, hi, expected);
        }
        expect_pair_counts(best_level(), narrow, d, lo, hi, pair_counts(narrow, d, lo, hi));
      }
  }
}

TEST(TwoPointCounts, OfSeveralSortedRunsAreThoseOfAllPairs) {
  // Of whole numbers how many pairs are how far apart is known.
  const std::size_t n = 150'000;
  std::vector<double> x(n);
  std::iota(x.begin(), x.end(), -1000.0);
  std::shuffle(x.begin(), x.end(), std::mt19937_64(4));
  PairCounts expected{std::vector<std::int64_t>(20)};
  std::int64_t inside = 0;
  for (std::int64_t away = 1; away <= 40; ++away) {
    expected.bins[static_cast<std::size_t>(std::min<std::int64_t>(away / 2, 19))] += static_cast<std::int64_t>(n) - away;
    inside += static_cast<std::int64_t>(n) - away;
  }
  expected.outside = static_cast<std::int64_t>(n) * (static_cast<std::int64_t>(n) - 1) / 2 - inside;
  for (Level level : levels()) expect_pair_counts(level, x, 1, 0, 40, expected);
}

TEST(TwoPointCounts, OfPointsThatShareLongerStretchesAreThoseOfAllPairs) {
  if (CADRE_UNDER_ASAN) GTEST_SKIP() << "nine million points";
  const std::int64_t n = 9'000'000;  // in pairs at the same place, as many places one from the next
  std::vector<float> x(n);
  for (std::int64_t i = 0; i < n; ++i) x[static_cast<std::size_t>(i)] = static_cast<float>(i * 7'654'321 % n / 2);
  SerialRun run(kernel("two_point_counts", best_level()));
  run.in(x, shape(x.size(), 1)).param("bins", 2).param("lo", -0.5).param("hi", 1.5).cut({.seed = 3, .chunks = 2});
  ASSERT_EQ(run(), CADRE_OK) << run.message();
  EXPECT_EQ(run.out<std::int64_t>("out"), (std::vector<std::int64_t>{n / 2, 4 * (n / 2 - 1)}));
  EXPECT_EQ(run.one<std::int64_t>("outside"), n / 2 * (n - 1) - n / 2 - 4 * (n / 2 - 1));
}

double normal(double d) { return std::erfc(-d / std::numbers::sqrt2) / 2; }

TEST(MonteCarloOption, IsWithinItsErrorOfTheFormula) {
  const double s = 100, k = 105, t = 2, r = 0.03, v = 0.25;
  const double d1 = (std::log(s / k) + (r + v * v / 2) * t) / (v * std::sqrt(t)), d2 = d1 - v * std::sqrt(t);
  const double call = s * normal(d1) - k * std::exp(-r * t) * normal(d2), put = call - s + k * std::exp(-r * t);
  for (Level level : levels())
    for (int is_put : {0, 1}) {
      SerialRun run(kernel("monte_carlo_option", level));
      run.param("spot", s).param("strike", k).param("time", t).param("rate", r).param("volatility", v).param("paths", 200'000).param("put", is_put).cut({.seed = 1, .chunks = 3});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      const double error = run.one<double>("standard_error");
      EXPECT_GT(error, 0.01);
      EXPECT_LT(error, 0.1);
      EXPECT_NEAR(run.one<double>("price"), is_put ? put : call, 5 * error);
    }
}

/* On the geometric mean there is a formula; the arithmetic one is a little more, and less than the European price. */
TEST(MonteCarloOption, OnTheAverageIsBetweenTheGeometricAndTheEuropeanPrice) {
  const double s = 100, k = 100, t = 1, r = 0.05, v = 0.2, dates = 12;
  const double mean_time = t * (dates + 1) / (2 * dates), variance = v * v * t * (dates + 1) * (2 * dates + 1) / (6 * dates * dates);
  const double forward = s * std::exp((r - v * v / 2) * mean_time + variance / 2), deviation = std::sqrt(variance);
  const double d1 = (std::log(forward / k) + variance / 2) / deviation;
  const double geometric = std::exp(-r * t) * (forward * normal(d1) - k * normal(d1 - deviation));
  for (Level level : levels()) {
    SerialRun run(kernel("monte_carlo_option", level));
    run.param("paths", 100'000).param("dates", dates).param("seed", 4);
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    const double error = run.one<double>("standard_error");
    EXPECT_GT(run.one<double>("price"), geometric - 5 * error);
    EXPECT_LT(run.one<double>("price"), geometric + 0.5);
    EXPECT_EQ(SerialRun(kernel("monte_carlo_option", level)).param("put", 2)(), CADRE_BAD_DATA);
  }
}

TEST(TopK, IsTheBeginningOfTheSortedArray) {
  for_each_type([](auto type) {
    using T = decltype(type);
    for (Level level : levels())
      for (std::size_t n : {5, 1000, 20'003})
        for (std::size_t k : {1, 5}) {
          std::vector<T> x = numbers<T>(n, 4);
          for (std::size_t i = n / 2; i < n; ++i) x[i] = x[i - n / 2];
          std::vector<std::int64_t> order(n);
          for (std::size_t i = 0; i < n; ++i) order[i] = static_cast<std::int64_t>(i);
          std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return x[static_cast<std::size_t>(a)] > x[static_cast<std::size_t>(b)]; });
          SerialRun run(kernel("topk", level));
          run.in(x).param("k", static_cast<double>(k)).cut({.seed = 2, .chunks = 4});
          ASSERT_EQ(run(), CADRE_OK) << run.message();
          order.resize(k);
          EXPECT_EQ(run.out<std::int64_t>("index"), order);
          const std::vector<T> values = run.out<T>("values");
          for (std::size_t i = 0; i < k; ++i) EXPECT_EQ(values[i], x[static_cast<std::size_t>(order[i])]);
        }
  });
  for (Level level : levels()) {
    SerialRun nan(kernel("topk", level)), many(kernel("topk", level));
    EXPECT_EQ(nan.in(std::vector<double>{1, std::nan(""), INFINITY}).param("k", 2)(), CADRE_OK);
    EXPECT_EQ(nan.out<std::int64_t>("index"), (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(many.in(std::vector<double>{1, 2}).param("k", 3)(), CADRE_BAD_DATA);
  }
}

TEST(Spmv, IsTheDenseProduct) {
  constexpr std::size_t rows = 211, columns = 60;
  std::mt19937_64 random(3);
  std::vector<double> data, x = uniform(columns, -1, 1, 2), expected(rows);
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> indptr{0};
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = r % 7; k < columns; k += 1 + random() % 20) {
      data.push_back(std::uniform_real_distribution<double>(-1, 1)(random));
      indices.push_back(static_cast<std::int32_t>(k));
      expected[r] += data.back() * x[k];
    }
    indptr.push_back(static_cast<std::int64_t>(data.size()));
  }
  for (Level level : levels()) {
    SerialRun run(kernel("spmv", level));
    run.in(data).in(indices).in(indptr).in(x).cut({.seed = 1, .chunks = 5});
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    EXPECT_EQ(run.out<double>("out"), expected);
    std::vector<std::int32_t> wrong = indices;
    wrong[static_cast<std::size_t>(indptr[100])] = 60;
    SerialRun outside(kernel("spmv", level));
    EXPECT_EQ(outside.in(data).in(wrong).in(indptr).in(x)(), CADRE_BAD_DATA);
    EXPECT_EQ(outside.bad_row(), 100u);
    std::vector<std::int64_t> backwards = indptr;
    backwards[50] = -1;
    SerialRun before(kernel("spmv", level));
    EXPECT_EQ(before.in(data).in(indices).in(backwards).in(x)(), CADRE_BAD_DATA);
  }
}

TEST(PairwiseDistances, AreThoseOfAllRows) {
  for (Level level : levels())
    for (std::size_t d : {1, 3, 20})
      for (std::size_t n : {1, 70}) {
        const std::size_t m = 301;
        const std::vector<double> x = uniform(n * d, -1, 1, 1), y = uniform(m * d, -1, 1, 2);
        SerialRun run(kernel("pairwise_distances", level));
        run.in(x, {static_cast<std::int64_t>(n), static_cast<std::int64_t>(d)}).in(y, {static_cast<std::int64_t>(m), static_cast<std::int64_t>(d)}).cut({.seed = 1, .chunks = 2});
        ASSERT_EQ(run(), CADRE_OK) << run.message();
        const std::vector<double> got = run.out<double>("out");
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < m; ++j) {
            double square = 0;
            for (std::size_t k = 0; k < d; ++k) square += (x[i * d + k] - y[j * d + k]) * (x[i * d + k] - y[j * d + k]);
            ASSERT_EQ(got[i * m + j], std::sqrt(square));
          }
      }
}

TEST(FftRows, IsTheTransformOfEachRow) {
  for (Level level : levels())
    for (std::int64_t d : {1, 2, 7, 12, 64, 100}) {
      const std::int64_t n = 5;
      const std::vector<double> x = uniform(static_cast<std::size_t>(n * d), -1, 1, 8);
      SerialRun run(kernel("fft_rows", level));
      run.in(x, {n, d}).cut({.seed = 1, .chunks = 2});
      ASSERT_EQ(run(), CADRE_OK) << run.message();
      const std::vector<double> got = run.out<double>("out");
      ASSERT_EQ(run.output("out").shape(), (std::vector<std::int64_t>{n, d / 2 + 1, 2}));
      for (std::int64_t row = 0; row < n; ++row)
        for (std::int64_t k = 0; k <= d / 2; ++k) {
          std::complex<long double> sum = 0;
          for (std::int64_t j = 0; j < d; ++j) {
            const long double angle = -2 * std::numbers::pi_v<long double> * static_cast<long double>(j * k % d) / static_cast<long double>(d);
            sum += static_cast<long double>(x[static_cast<std::size_t>(row * d + j)]) * std::complex<long double>(std::cos(angle), std::sin(angle));
          }
          const std::size_t at = static_cast<std::size_t>((row * (d / 2 + 1) + k) * 2);
          // Each of log2 d stages adds some units in the last place of the row's norm, which is below sqrt(d).
          const double bound = 4e-16 * std::sqrt(static_cast<double>(d)) * (1 + std::log2(static_cast<double>(d)));
          EXPECT_NEAR(got[at], static_cast<double>(sum.real()), bound);
          EXPECT_NEAR(got[at + 1], static_cast<double>(sum.imag()), bound);
        }
    }
}

TEST(Elementary, SubtractAbsAndScaleAreNumPys) {
  for_each_type([](auto type) {
    using T = decltype(type);
    const std::vector<T> x = numbers<T>(1003, 1), y = numbers<T>(1003, 2);
    for (Level level : levels()) {
      std::vector<T> difference(x.size()), magnitude(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        if constexpr (std::is_integral_v<T>) {
          difference[i] = static_cast<T>(static_cast<std::uint64_t>(x[i]) - static_cast<std::uint64_t>(y[i]));
          magnitude[i] = x[i] < 0 ? static_cast<T>(0 - static_cast<std::uint64_t>(x[i])) : x[i];
        } else {
          difference[i] = x[i] - y[i];
          magnitude[i] = std::fabs(x[i]);
        }
      }
      expect_same(map_two<T>("subtract", level, x, y), difference);
      expect_same(map_one<T>("abs", level, x), magnitude);
      if constexpr (std::is_same_v<T, float>) {
        std::vector<float> scaled;
        for (float v : x) scaled.push_back(2.5f * v);
        expect_same(map_one<float>("scale", level, x, {{"factor", 2.5}}), scaled);
      } else {
        std::vector<double> scaled;
        for (T v : x) scaled.push_back(2.5 * static_cast<double>(v));
        expect_same(map_one<double>("scale", level, x, {{"factor", 2.5}}), scaled);
      }
    }
  });
}

TEST(Elementary, PolynomialsAreHorners) {
  const std::vector<double> x = uniform(2500, -2, 2, 6), c{1, -2.5, 0.5, 3, -0.125};
  for (Level level : levels()) {
    SerialRun run(kernel("polynomial", level));
    run.in(x).in(c).cut({.seed = 1, .chunks = 3});
    ASSERT_EQ(run(), CADRE_OK) << run.message();
    std::vector<double> expected;
    for (double v : x) {
      double value = c[4];
      for (int k = 3; k >= 0; --k) {
        const double product = value * v;
        value = c[static_cast<std::size_t>(k)] + product;
      }
      expected.push_back(value);
    }
    expect_same(run.out<double>("out"), expected);
    SerialRun constant(kernel("polynomial", level)), none(kernel("polynomial", level));
    EXPECT_EQ(constant.in(std::vector<double>{1, 2}).in(std::vector<double>{7})(), CADRE_OK);
    EXPECT_EQ(constant.out<double>("out"), (std::vector<double>{7, 7}));
    EXPECT_EQ(none.in(std::vector<double>{1}).in(std::vector<double>{})(), CADRE_BAD_DATA);
  }
}

}  // namespace
}  // namespace cadre::test
