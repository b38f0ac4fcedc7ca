#pragma once
/* Means of columns and sums of products of their distances from them, by blocks of rows: the block's own mean is taken off its rows, their products are added up
   by tiles that stay in registers, and blocks are merged as in Chan, Golub and LeVeque. Blocks of few columns are turned first, so that vectors run along
   rows; of many, vectors run along columns. covariance, pca and linear_regression are made of these. */
#include <algorithm>

#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {

constexpr uint64_t kTileRows = 4, kTile = 2 * kLanes;  // a tile of products: 4 x two vectors, 8 sums
constexpr uint64_t kPad = 16;                          // columns are padded to this, on every level
static_assert(kPad % kTile == 0 && kTile % kTileRows == 0);

inline uint64_t padded_width(uint64_t d) { return (d + kPad - 1) / kPad * kPad; }
/** Rows of a block: 64 KiB of doubles if that leaves 64 rows, 1024 at most. */
inline uint64_t block_rows(uint64_t d) { return std::clamp<uint64_t>(8192 / padded_width(d), 64, 1024); }

/** In an accumulator: n, the mean as mean + low (d each), and the sums of products of distances from it (d x d), of which only j >= i is
    kept. */
struct ColumnProducts {
  double *n, *mean, *low, *products;
  ColumnProducts(void* accumulator, uint64_t d) : n(static_cast<double*>(accumulator)), mean(n + 1), low(mean + d), products(low + d) {}
};
inline uint64_t product_doubles(uint64_t d) { return 1 + 2 * d + d * d; }

constexpr uint64_t kMostColumns = 8192;

/** What is found of a block: means, sums of what is left beside them, products with rows of `stride`; room for all of it. */
struct Block {
  double *mean, *rest, *products;
  uint64_t stride;
};

/** Adds n more rows, of a block or a chunk, to a. `delta` is room for d doubles. */
inline void merge(ColumnProducts a, double n, const double* mean, const double* low, const double* products, uint64_t stride, uint64_t d, double* delta) {
  if (n == 0) return;
  if (*a.n == 0) {
    std::copy(mean, mean + d, a.mean);
    std::copy(low, low + d, a.low);
  }
  const double all = *a.n + n, share = n / all, weight = *a.n * share;
  for (uint64_t j = 0; j < d; ++j) delta[j] = (mean[j] - a.mean[j]) + (low[j] - a.low[j]);
  for (uint64_t i = 0; i < d; ++i) {
    const double w = delta[i] * weight;
    double* row = a.products + i * d;
    const double* from = products + i * stride;
    for (uint64_t j = i; j < d; ++j) row[j] += from[j] + w * delta[j];
  }
  for (uint64_t j = 0; j < d; ++j) {
    const double move = delta[j] * share, sum = a.mean[j] + move, t = sum - a.mean[j];
    a.low[j] += (a.mean[j] - (sum - t)) + (move - t);
    a.mean[j] = sum;
  }
  *a.n = all;
}

/** A block of few columns: columns[j][r], `stride` long, centred. Fills mean, what is left of the sums after it was taken off, and
    products[i][j] for i <= j. */
inline void multiply_columns(const double* rows, uint64_t n, uint64_t d, double* columns, uint64_t stride, Block out) {
  for (uint64_t r = 0; r < n; ++r)
    for (uint64_t j = 0; j < d; ++j) columns[j * stride + r] = rows[r * d + j];
  const uint64_t whole = (n + kStep - 1) / kStep * kStep;
  for (uint64_t j = 0; j < d; ++j) {
    double* column = columns + j * stride;
    std::fill(column + n, column + whole, 0.0);
    out.mean[j] = sum_block(column, whole) / static_cast<double>(n);
    for (uint64_t r = 0; r < n; ++r) column[r] -= out.mean[j];
    out.rest[j] = sum_block(column, whole);
  }
  if (d % 2) std::fill_n(columns + d * stride, whole, 0.0);
  for (uint64_t i = 0; i < d; i += 2)
    for (uint64_t j = i; j < d; j += 2) {
      Lanes sum[2][2] = {};
      const double *a = columns + i * stride, *b = columns + j * stride;
      for (uint64_t r = 0; r < whole; r += kLanes) {
        const Lanes a0 = load(a + r), a1 = load(a + stride + r), b0 = load(b + r), b1 = load(b + stride + r);
        sum[0][0] = fused(a0, b0, sum[0][0]);
        sum[0][1] = fused(a0, b1, sum[0][1]);
        sum[1][0] = fused(a1, b0, sum[1][0]);
        sum[1][1] = fused(a1, b1, sum[1][1]);
      }
      for (uint64_t k = 0; k < 4; ++k) out.products[(i + k / 2) * out.stride + j + k % 2] = total(sum[k / 2][k % 2]);
    }
}

/** A block of many columns: rows of padded width w = out.stride, centred here. */
inline void multiply_rows(double* rows, uint64_t n, Block out) {
  const uint64_t w = out.stride;
  std::fill(out.mean, out.mean + w, 0.0);
  std::fill(out.rest, out.rest + w, 0.0);
  for (uint64_t r = 0; r < n; ++r)
    for (uint64_t j = 0; j < w; ++j) out.mean[j] += rows[r * w + j];
  for (uint64_t j = 0; j < w; ++j) out.mean[j] /= static_cast<double>(n);
  for (uint64_t r = 0; r < n; ++r)
    for (uint64_t j = 0; j < w; ++j) {
      rows[r * w + j] -= out.mean[j];
      out.rest[j] += rows[r * w + j];
    }
  for (uint64_t j = 0; j < w; j += kTile)
    for (uint64_t i = 0; i < j + kTile; i += kTileRows) {
      Lanes sum[kTileRows][2] = {};
      const double* row = rows;
      for (uint64_t r = 0; r < n; ++r, row += w) {
        const Lanes left = load(row + j), right = load(row + j + kLanes);
        for (uint64_t k = 0; k < kTileRows; ++k) {
          const Lanes factor = every(row[i + k]);
          sum[k][0] = fused(factor, left, sum[k][0]);
          sum[k][1] = fused(factor, right, sum[k][1]);
        }
      }
      for (uint64_t k = 0; k < kTileRows; ++k) {
        store(out.products + (i + k) * w + j, sum[k][0]);
        store(out.products + (i + k) * w + j + kLanes, sum[k][1]);
      }
    }
}

inline uint64_t product_scratch_doubles(uint64_t d) {
  const uint64_t w = padded_width(d);
  return block_rows(d) * w * (d < kPad ? 2 : 1) + w * w + 3 * w;
}

/** For a row: each product with its sum, once for both halves, and the way to the mean. */
inline double product_operations(uint64_t d) { return static_cast<double>(d * (d + 1) + d); }

/** Time for a row, ns. */
inline double product_cost(uint64_t d) {
  const double width = static_cast<double>(d), w = static_cast<double>(padded_width(d));
  return d < kPad ? 1 + 0.5 * width + 0.08 * width * width : 0.3 * width + 0.025 * w * (w + static_cast<double>(kPad));
}

/** Adds `count` rows of d columns to `all`. rows.packed(at, n, room): rows [at, at + n), one behind the other, in place or in `room`; rows.spread(at, n, stride, to): the
    same into `to`, `stride` apart. `scratch`: product_scratch_doubles(d). */
template <class Rows>
void add_products(ColumnProducts all, uint64_t count, uint64_t d, double* scratch, const Rows& rows_of) {
  const uint64_t w = padded_width(d), most = block_rows(d);
  double* rows = scratch;
  double* columns = rows + most * w;  // for few columns only
  double* mean = columns + (d < kPad ? most * w : 0);
  const Block b{mean, mean + w, mean + 2 * w, w};
  double* delta = b.products + w * w;
  for (uint64_t at = 0; at < count; at += most) {
    const uint64_t n = std::min(most, count - at);
    if (d < kPad) {
      multiply_columns(rows_of.packed(at, n, rows), n, d, columns, most, b);
    } else {
      rows_of.spread(at, n, w, rows);
      for (uint64_t r = 0; r < n; ++r) std::fill(rows + r * w + d, rows + (r + 1) * w, 0.0);
      multiply_rows(rows, n, b);
    }
    const double share = 1 / static_cast<double>(n);
    // The mean is rounded: what is left of the distances' sums corrects it and the products.
    for (uint64_t i = 0; i < d; ++i)
      for (uint64_t j = i; j < d; ++j) b.products[i * w + j] -= b.rest[i] * b.rest[j] * share;
    for (uint64_t j = 0; j < d; ++j) b.rest[j] = std::isfinite(b.mean[j]) ? b.rest[j] * share : 0;
    merge(all, static_cast<double>(n), b.mean, b.rest, b.products, w, d, delta);
  }
}

/** The rows of one matrix. */
struct MatrixRows {
  Column<double> x;
  uint64_t d;
  const double* packed(uint64_t at, uint64_t n, double* room) const { return x.load(at * d, n * d, room); }
  void spread(uint64_t at, uint64_t n, uint64_t stride, double* to) const {
    for (uint64_t r = 0; r < n; ++r) x.copy((at + r) * d, d, to + r * stride);
  }
};

/** Merges two accumulators. */
inline void combine_products(void* into, const void* from, uint64_t d) {
  double delta[kMostColumns];
  const ColumnProducts b(const_cast<void*>(from), d);
  merge(ColumnProducts(into, d), *b.n, b.mean, b.low, b.products, d, d, delta);
}

}  // namespace cadre::builtin
