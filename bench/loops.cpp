/* Compiled once per level, with BENCH_LEVEL and Eigen's namespace renamed, so that no inline function of one level is linked into another. */
#include <cadre/bench/loops.hpp>
#include <cadre/kernels/math.hpp>

#include <immintrin.h>
#include <Eigen/Core>
#include <cmath>

#define CADRE_BENCH_NAME2(level) loops_v##level
#define CADRE_BENCH_NAME(level) CADRE_BENCH_NAME2(level)

namespace cadre::bench {
namespace {

constexpr std::size_t kBlock = 1024;  // cells computed ahead of the counting

double sum(const double* x, std::size_t n) {
  constexpr std::size_t kLanes = 32;  // four vectors of v4 at once: one alone waits for its own addition
  double lane[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
#pragma omp simd
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += x[i + j];
  for (; i < n; ++i) lane[0] += x[i];
  double total = 0;
  for (double l : lane) total += l;
  return total;
}

void sigmoid(double slope, const double* __restrict x, double* __restrict out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = 1.0 / (1.0 + cadre::exp(-slope * x[i]));
}

__attribute__((optimize("fp-contract=off"))) void mandelbrot_row(std::size_t width, std::size_t height, std::size_t row, std::int32_t most, std::int32_t* out) {
  const auto place = [](double lo, double hi, std::size_t n, std::size_t i) { return i == n - 1 ? hi : static_cast<double>(i) * ((hi - lo) / static_cast<double>(n - 1)) + lo; };
  const double cy = place(-1.25, 1.25, height, row);
  for (std::size_t k = 0; k < width; ++k) {
    const double cx = place(-2, 0.5, width, k);
    double x = 0, y = 0;
    std::int32_t steps = 0;
    while (steps < most) {
      const double xx = x * x, yy = y * y, xy = x * y;
      if (!(xx + yy <= 4)) break;
      ++steps;
      x = (xx - yy) + cx;
      y = (xy + xy) + cy;
    }
    out[k] = steps;
  }
}

void axpy(double a, const double* __restrict x, const double* __restrict y, double* __restrict out, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) out[i] = a * x[i] + y[i];
}

void axpy_streaming(double a, const double* x, const double* y, double* out, std::size_t n) {
#if defined(__AVX512F__)
  const __m512d factor = _mm512_set1_pd(a);
  for (std::size_t i = 0; i < n; i += 8) _mm512_stream_pd(out + i, _mm512_fmadd_pd(factor, _mm512_loadu_pd(x + i), _mm512_loadu_pd(y + i)));
#elif defined(__FMA__)
  const __m256d factor = _mm256_set1_pd(a);
  for (std::size_t i = 0; i < n; i += 4) _mm256_stream_pd(out + i, _mm256_fmadd_pd(factor, _mm256_loadu_pd(x + i), _mm256_loadu_pd(y + i)));
#else
  const __m128d factor = _mm_set1_pd(a);
  for (std::size_t i = 0; i < n; i += 2) _mm_stream_pd(out + i, _mm_add_pd(_mm_mul_pd(factor, _mm_loadu_pd(x + i)), _mm_loadu_pd(y + i)));
#endif
  _mm_sfence();
}

bool take(const double* x, std::size_t rows, const std::int64_t* index, double* __restrict out, std::size_t n) {
  bool outside = false;
  for (std::size_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::uint64_t>(index[i]);
    const bool bad = at >= rows;
    outside |= bad;
    out[i] = x[bad ? 0 : at];
  }
  return !outside;
}

bool take_prefetch(const double* x, std::size_t rows, const std::int64_t* index, double* __restrict out, std::size_t n) {
  constexpr std::size_t kAhead = 32;
  bool outside = false;
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) __builtin_prefetch(x + index[i + kAhead]);
    const auto at = static_cast<std::uint64_t>(index[i]);
    const bool bad = at >= rows;
    outside |= bad;
    out[i] = x[bad ? 0 : at];
  }
  return !outside;
}

bool take_unchecked(const double* x, std::size_t, const std::int64_t* index, double* __restrict out, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) out[i] = x[index[i]];
  return true;
}

void black_scholes(const double* spot, const double* strike, const double* time, const double* rate, const double* volatility, double* out,
                   std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const double width = volatility[i] * std::sqrt(time[i]);
    const double d1 = (std::log(spot[i] / strike[i]) + (rate[i] + 0.5 * volatility[i] * volatility[i]) * time[i]) / width;
    const double d2 = d1 - width;
    out[i] = 0.5 * (spot[i] * std::erfc(-d1 * M_SQRT1_2) - strike[i] * std::exp(-rate[i] * time[i]) * std::erfc(-d2 * M_SQRT1_2));
  }
}

void cells(const double* __restrict x, std::size_t n, const Grid& grid, std::uint32_t* __restrict cell) {
  const double lo = grid.lo, hi = grid.hi, scale = grid.bins / (hi - lo);
  const auto bins = static_cast<std::int32_t>(grid.bins);
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    const bool inside = (x[i] >= lo) & (x[i] <= hi);
    const auto at = static_cast<std::int32_t>(((inside ? x[i] : lo) - lo) * scale);
    cell[i] = static_cast<std::uint32_t>(inside ? (at < bins ? at : bins - 1) : bins);
  }
}

template <class Count>
[[gnu::always_inline]] inline void in_blocks(const double* x, std::size_t n, const Grid& grid, const Count& count) {
  alignas(64) std::uint32_t cell[kBlock];
  for (std::size_t i = 0; i < n; i += kBlock) {
    const std::size_t m = n - i < kBlock ? n - i : kBlock;
    cells(x + i, m, grid, cell);
    count(cell, m);
  }
}

void count_1(const double* x, std::size_t n, const Grid& grid, std::uint32_t* table) {
  in_blocks(x, n, grid, [=](const std::uint32_t* cell, std::size_t m) {
    for (std::size_t j = 0; j < m; ++j) ++table[cell[j]];
  });
}

void count_4(const double* x, std::size_t n, const Grid& grid, std::uint32_t* tables) {
  const std::size_t stride = grid.bins + 1;
  in_blocks(x, n, grid, [=](const std::uint32_t* cell, std::size_t m) {
    std::size_t j = 0;
    for (; j + 4 <= m; j += 4) {
      ++tables[cell[j]];
      ++tables[stride + cell[j + 1]];
      ++tables[2 * stride + cell[j + 2]];
      ++tables[3 * stride + cell[j + 3]];
    }
    for (; j < m; ++j) ++tables[cell[j]];
  });
}

void count_wide(const double* x, std::size_t n, const Grid& grid, std::int64_t* table) {
  in_blocks(x, n, grid, [=](const std::uint32_t* cell, std::size_t m) {
    for (std::size_t j = 0; j < m; ++j) ++table[cell[j]];
  });
}

void count_prefetch(const double* x, std::size_t n, const Grid& grid, std::uint32_t* table) {
  in_blocks(x, n, grid, [=](const std::uint32_t* cell, std::size_t m) {
    constexpr std::size_t kAhead = 32;
    for (std::size_t j = 0; j < m; ++j) {
      if (j + kAhead < m) __builtin_prefetch(table + cell[j + kAhead], 1);
      ++table[cell[j]];
    }
  });
}

void count_atomic(const double* x, std::size_t n, const Grid& grid, std::int64_t* table) {
  in_blocks(x, n, grid, [=](const std::uint32_t* cell, std::size_t m) {
    for (std::size_t j = 0; j < m; ++j) __atomic_fetch_add(table + cell[j], 1, __ATOMIC_RELAXED);
  });
}

void add_tables(std::uint32_t* const* tables, std::size_t n_tables, std::size_t first, std::size_t count, std::int64_t* __restrict out) {
  for (std::size_t t = 0; t < n_tables; ++t) {
    const std::uint32_t* __restrict table = tables[t] + first;
    if (t == 0) {
#pragma omp simd
      for (std::size_t i = 0; i < count; ++i) out[first + i] = table[i];
    } else {
#pragma omp simd
      for (std::size_t i = 0; i < count; ++i) out[first + i] += table[i];
    }
  }
}

void kmeans_4(const double* points, std::size_t n, const double* centers, std::size_t k, double* sums, std::int64_t* counts,
              double* inertia) {
  constexpr std::size_t kPoints = 64;  // a block of points, coordinate by coordinate: one lane per point
  alignas(64) double x[4][kPoints], best[kPoints];
  alignas(64) std::int64_t label[kPoints];
  double total = 0;
  for (std::size_t i = 0; i < n; i += kPoints) {
    const std::size_t m = n - i < kPoints ? n - i : kPoints;
    for (std::size_t p = 0; p < kPoints; ++p)
      for (std::size_t d = 0; d < 4; ++d) x[d][p] = points[4 * (i + (p < m ? p : 0)) + d];
    for (std::size_t p = 0; p < kPoints; ++p) best[p] = INFINITY, label[p] = 0;
    for (std::size_t c = 0; c < k; ++c) {
      const double c0 = centers[4 * c], c1 = centers[4 * c + 1], c2 = centers[4 * c + 2], c3 = centers[4 * c + 3];
#pragma omp simd
      for (std::size_t p = 0; p < kPoints; ++p) {
        const double d0 = x[0][p] - c0, d1 = x[1][p] - c1, d2 = x[2][p] - c2, d3 = x[3][p] - c3;
        const double distance = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3;
        const bool closer = distance < best[p];
        best[p] = closer ? distance : best[p];
        label[p] = closer ? static_cast<std::int64_t>(c) : label[p];
      }
    }
    for (std::size_t p = 0; p < m; ++p) {
      double* sum_of = sums + 4 * label[p];
      for (std::size_t d = 0; d < 4; ++d) sum_of[d] += points[4 * (i + p) + d];
      ++counts[label[p]];
      total += best[p];
    }
  }
  *inertia += total;
}

void pair_counts(const double* x, std::size_t n, std::size_t row, std::size_t from, std::size_t to, double bins_per_unit, std::uint32_t bins, std::uint32_t* tables) {
  constexpr std::size_t kPairs = 512;
  alignas(64) std::uint32_t bin[kPairs];
  const double x0 = x[row], y0 = x[n + row], z0 = x[2 * n + row], end = bins;
  for (std::size_t i = from; i < to; i += kPairs) {
    const std::size_t m = to - i < kPairs ? to - i : kPairs;
#pragma omp simd
    for (std::size_t j = 0; j < m; ++j) {
      const double dx = x[i + j] - x0, dy = x[n + i + j] - y0, dz = x[2 * n + i + j] - z0;
      const double at = std::sqrt(dx * dx + dy * dy + dz * dz) * bins_per_unit;
      const double inside = at == end ? end - 1 : at;
      bin[j] = inside < end ? static_cast<std::uint32_t>(static_cast<std::int32_t>(inside)) : bins;
    }
    for (std::size_t j = 0; j < m; ++j) ++tables[j % 4 * (bins + 1) + bin[j]];
  }
}

void stencil_row(const double* above, const double* here, const double* below, const double* w, double* __restrict out, std::size_t m) {
  const auto at = [=](std::size_t left, std::size_t j, std::size_t right) {
    return w[0] * above[left] + w[1] * above[j] + w[2] * above[right] + w[3] * here[left] + w[4] * here[j] + w[5] * here[right] + w[6] * below[left] + w[7] * below[j] + w[8] * below[right];
  };
  out[0] = at(0, 0, m > 1 ? 1 : 0);
#pragma omp simd
  for (std::size_t j = 1; j < m - 1; ++j) out[j] = at(j - 1, j, j + 1);
  if (m > 1) out[m - 1] = at(m - 2, m - 1, m - 1);
}

void gemm_tile(const double* a, const double* b, double* c, std::size_t n, std::size_t row, std::size_t rows, std::size_t column,
               std::size_t columns) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto size = static_cast<Eigen::Index>(n);
  const auto r = static_cast<Eigen::Index>(row), rs = static_cast<Eigen::Index>(rows), co = static_cast<Eigen::Index>(column),
             cs = static_cast<Eigen::Index>(columns);
  Eigen::Map<const Matrix> left(a, size, size), right(b, size, size);
  Eigen::Map<Matrix> out(c, size, size);
  out.block(r, co, rs, cs).noalias() = left.middleRows(r, rs) * right.middleCols(co, cs);
}

}  // namespace

extern const Loops CADRE_BENCH_NAME(BENCH_LEVEL);
const Loops CADRE_BENCH_NAME(BENCH_LEVEL){BENCH_LEVEL,    sum,           axpy,       axpy_streaming, take,     take_prefetch,
                                          take_unchecked, black_scholes, cells,      count_1,        count_4,  count_wide,
                                          count_prefetch, count_atomic,  add_tables, kmeans_4,       sigmoid,  mandelbrot_row, pair_counts, stencil_row, gemm_tile};

}  // namespace cadre::bench
