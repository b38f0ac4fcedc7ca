#pragma once
/* The inner loops of the oneTBB contestants: what a good user writes for one thread and one range, in plain C++ that the compiler vectorises.
   loops.cpp is compiled three times, for x86-64-v2, v3 and v4, as Cadre's kernels are; the contestants take the level that Cadre takes. */
#include <cstddef>
#include <cstdint>

namespace cadre::bench {

/** bins equal cells of [lo, hi], the last edge included; cell `bins` takes what lies outside and NaN. bins / (hi - lo) must be a power of two
    and lo a small whole number, so that no rounding moves a value across an edge. */
struct Grid {
  double lo, hi;
  std::uint32_t bins;
};

struct Loops {
  int level;
  double (*sum)(const double* x, std::size_t n);
  void (*axpy)(double a, const double* x, const double* y, double* out, std::size_t n);
  void (*axpy_streaming)(double a, const double* x, const double* y, double* out,
                         std::size_t n);  // out past the cache; 64-byte aligned, n a multiple of 8
  // out[i] = x[index[i]]; false: an index out of range (take_unchecked does not look)
  bool (*take)(const double* x, std::size_t rows, const std::int64_t* index, double* out, std::size_t n);
  bool (*take_prefetch)(const double* x, std::size_t rows, const std::int64_t* index, double* out, std::size_t n);
  bool (*take_unchecked)(const double* x, std::size_t rows, const std::int64_t* index, double* out, std::size_t n);
  void (*black_scholes)(const double* spot, const double* strike, const double* time, const double* rate, const double* volatility,
                        double* out, std::size_t n);
  void (*cells)(const double* x, std::size_t n, const Grid&, std::uint32_t* cell);
  // Counts into `tables` tables of bins + 1, used in turn so that equal neighbours do not wait for each other's store
  void (*count_1)(const double* x, std::size_t n, const Grid&, std::uint32_t* table);
  void (*count_4)(const double* x, std::size_t n, const Grid&, std::uint32_t* tables);
  void (*count_wide)(const double* x, std::size_t n, const Grid&, std::int64_t* table);
  void (*count_prefetch)(const double* x, std::size_t n, const Grid&, std::uint32_t* table);
  void (*count_atomic)(const double* x, std::size_t n, const Grid&, std::int64_t* table);
  void (*add_tables)(std::uint32_t* const* tables, std::size_t n_tables, std::size_t first, std::size_t count,
                     std::int64_t* out);  // out[i] = sum of tables[t][i]
  // One step over points of 4 coordinates: sums (k x 4), counts (k) and inertia are added to
  void (*kmeans_4)(const double* points, std::size_t n, const double* centers, std::size_t k, double* sums, std::int64_t* counts,
                   double* inertia);
  void (*sigmoid)(double slope, const double* x, double* out, std::size_t n);  // 1 / (1 + exp(-slope x)), with cadre::exp
  // Steps of z^2 + c until |z| > 2, for one row of a grid over [-2, 0.5] x [-1.25, 1.25]
  void (*mandelbrot_row)(std::size_t width, std::size_t height, std::size_t row, std::int32_t most, std::int32_t* out);
  // Pairs of point `row` and points [from, to), x[k * n + i] coordinate k of point i: counts into 4 tables of bins + 1, used in turn
  void (*pair_counts)(const double* x, std::size_t n, std::size_t row, std::size_t from, std::size_t to, double bins_per_unit, std::uint32_t bins, std::uint32_t* tables);
  // A row of a 3 x 3 stencil with weights w, in which the edges are repeated beyond the borders
  void (*stencil_row)(const double* above, const double* here, const double* below, const double* w, double* out, std::size_t m);
  // C[rows, columns] = A[rows, :] * B[:, columns], row-major, Eigen
  void (*gemm_tile)(const double* a, const double* b, double* c, std::size_t n, std::size_t row, std::size_t rows, std::size_t column,
                    std::size_t columns);
};

/** Level 2, 3 or 4. */
const Loops& loops(int level);

}  // namespace cadre::bench
