/* The covariance matrix, by blocks of rows: the block's own mean is taken off its rows, their products are added up by tiles that stay in
   registers, and blocks are merged as in Chan, Golub and LeVeque. Blocks of few columns are turned first, so that vectors run along rows;
   of many, vectors run along columns. */
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "one observation per row, one variable per column", CADRE_NUMBERS, CADRE_ROWS, 2, 2}};
const cadre_output kOutputs[] = {{"covariance", "float64 (d x d)", CADRE_OUT_FINISH, CADRE_OUT_OPTIONAL, 0, 0, 0}};
const cadre_param kParams[] = {{"ddof", "the divisor is n - ddof", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1}};
const cadre_result kResults[] = {{"mean", "of each column"}, {"covariance", "(d x d)"}};

constexpr uint64_t kTileRows = 4, kTile = 2 * kLanes;  // a tile of products: 4 x two vectors, 8 sums
constexpr uint64_t kPad = 16;                          // columns are padded to this, on every level
static_assert(kPad % kTile == 0 && kTile % kTileRows == 0);

uint64_t padded_width(uint64_t d) { return (d + kPad - 1) / kPad * kPad; }
/** Rows of a block: 64 KiB of doubles if that leaves 64 rows, 1024 at most. */
uint64_t block_rows(uint64_t d) { return std::clamp<uint64_t>(8192 / padded_width(d), 64, 1024); }

/** In an accumulator: n, the mean as mean + low (d each), and the sums of products of distances from it (d x d), of which only j >= i is
    kept. */
struct View {
  double *n, *mean, *low, *products;
  View(void* accumulator, uint64_t d) : n(static_cast<double*>(accumulator)), mean(n + 1), low(mean + d), products(low + d) {}
};
uint64_t accumulator_doubles(uint64_t d) { return 1 + 2 * d + d * d; }

/** What is found of a block: means, sums of what is left beside them, products with rows of `stride`; room for all of it. */
struct Block {
  double *mean, *rest, *products;
  uint64_t stride;
};

/** Adds n more rows, of a block or a chunk, to a. `delta` is room for d doubles. */
void merge(View a, double n, const double* mean, const double* low, const double* products, uint64_t stride, uint64_t d, double* delta) {
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
void multiply_columns(const double* rows, uint64_t n, uint64_t d, double* columns, uint64_t stride, Block out) {
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
void multiply_rows(double* rows, uint64_t n, Block out) {
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

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const uint64_t d = static_cast<uint64_t>(p->inputs[0].shape[1]), w = padded_width(d);
  if (d == 0) return refuse(p, "X has no columns: give at least one");
  if (d > 8192) return refuse(p, "X has %llu columns: at most 8192 are possible", static_cast<unsigned long long>(d));
  p->bytes = d * bytes_of(p->inputs[0].dtype);
  const double width = static_cast<double>(d);
  p->cost_ns = d < kPad ? 1 + 0.5 * width + 0.08 * width * width : 0.3 * width + 0.025 * static_cast<double>(w * (w + kPad));
  p->grain = std::max(block_rows(d), 8 * d);  // an accumulator is small beside the rows that it stands for
  p->accumulator_bytes = accumulator_doubles(d) * sizeof(double);
  p->scratch_bytes = (block_rows(d) * w * (d < kPad ? 2 : 1) + w * w + 3 * w) * sizeof(double);
  p->outputs[0] = matrix(kF64, d, d);
  p->results[0] = vector(kF64, d);
  p->results[1] = matrix(kF64, d, d);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) {
  std::memset(accumulator, 0, accumulator_doubles(static_cast<uint64_t>(p->inputs[0].shape[1])) * sizeof(double));
}

int run(cadre_chunk* c) {
  const uint64_t d = static_cast<uint64_t>(c->plan->inputs[0].shape[1]), w = padded_width(d), most = block_rows(d);
  double* rows = static_cast<double*>(c->scratch);
  double* columns = rows + most * w;  // for few columns only
  double* mean = columns + (d < kPad ? most * w : 0);
  const Block b{mean, mean + w, mean + 2 * w, w};
  double* delta = b.products + w * w;
  identity(c->plan, c->accumulator);
  const View all(c->accumulator, d);
  const Column<double> x(c->inputs[0]);
  for (uint64_t at = 0; at < c->count; at += most) {
    const uint64_t n = std::min(most, c->count - at);
    if (d < kPad) {
      multiply_columns(x.load(at * d, n * d, rows), n, d, columns, most, b);
    } else {
      for (uint64_t r = 0; r < n; ++r) {
        x.copy((at + r) * d, d, rows + r * w);
        std::fill(rows + r * w + d, rows + (r + 1) * w, 0.0);
      }
      multiply_rows(rows, n, b);
    }
    const double share = 1 / static_cast<double>(n);
    // The mean is rounded: what is left of the distances' sums corrects it and the products.
    for (uint64_t i = 0; i < d; ++i)
      for (uint64_t j = i; j < d; ++j) b.products[i * w + j] -= b.rest[i] * b.rest[j] * share;
    for (uint64_t j = 0; j < d; ++j) b.rest[j] = std::isfinite(b.mean[j]) ? b.rest[j] * share : 0;
    merge(all, static_cast<double>(n), b.mean, b.rest, b.products, w, d, delta);
  }
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  const uint64_t d = static_cast<uint64_t>(p->inputs[0].shape[1]);
  double delta[8192];
  const View b(const_cast<void*>(from), d);
  merge(View(into, d), *b.n, b.mean, b.low, b.products, d, d, delta);
}

int finish(cadre_finish* f) {
  const uint64_t d = static_cast<uint64_t>(f->plan->inputs[0].shape[1]);
  const View a(f->accumulator, d);
  const double divisor = std::max(*a.n - static_cast<double>(integer(f->plan, 0, 1)), 0.0);  // as NumPy: 0 makes NaN and infinities
  auto* mean = static_cast<double*>(f->results[0].data);
  for (uint64_t j = 0; j < d; ++j) mean[j] = *a.n > 0 ? a.mean[j] + a.low[j] : std::numeric_limits<double>::quiet_NaN();
  for (void* data : {f->results[1].data, f->outputs[0].data}) {
    auto* out = static_cast<double*>(data);
    if (!out) continue;
    for (uint64_t i = 0; i < d; ++i)
      for (uint64_t j = i; j < d; ++j) out[i * d + j] = out[j * d + i] = a.products[i * d + j] / divisor;
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel covariance_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "covariance",
    .doc = "means and covariance matrix of the columns, as np.cov(X, rowvar=False, ddof=ddof)",
    .accuracy = "|error of (i, j)| <= 1100 u std(i) std(j), u = 2^-53, plus (1100 u)^2 of the product of the means, for any number of rows",
    .example = "cadre run covariance --in X.npy --out covariance.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 1,
    .n_outputs = 1,
    .n_params = 1,
    .n_results = 2,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = kParams,
    .results = kResults,
    .plan = plan,
    .run = run,
    .identity = identity,
    .combine = combine,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
