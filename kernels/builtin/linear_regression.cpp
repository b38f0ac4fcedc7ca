/* linear_regression: ordinary least squares by the normal equations of centred columns, which are scaled to one length before they are solved. A fold of the
   products of all columns, y the last of them, and a small dense solution. */
#include <Eigen/QR>
#include <limits>

#include <cadre/kernels/builtin/column_products.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "n x d, one observation per row; 1-d for one variable", CADRE_NUMBERS, CADRE_ROWS, 1, 2}, {"y", "what is to be explained", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"coefficients", "float64 (d): one for each column; the shortest such vector where the columns depend on each other", CADRE_OUT_FINISH, 0, 0, 0, 0}};
const cadre_param kParams[] = {{"intercept", "1: y = X b + intercept; 0: y = X b", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1}};
const cadre_result kResults[] = {{"intercept", "0 where it is left out"}, {"r_squared", "1 - sum (y - fit)^2 / sum (y - mean)^2"}, {"rank", "columns that do not depend on others; -1 where there is a NaN or infinity"}};

constexpr uint64_t kMost = 2048;  // columns

uint64_t columns_of(const cadre_plan* p) { return width_of(p->inputs[0]); }

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const uint64_t d = columns_of(p), all = d + 1;
  if (p->elements == 0 || d == 0) return refuse(p, "X is %llu x %llu: give at least one row and one column", static_cast<unsigned long long>(p->elements), static_cast<unsigned long long>(d));
  if (d > kMost) return refuse(p, "X has %llu columns: at most %llu are possible", static_cast<unsigned long long>(d), static_cast<unsigned long long>(kMost));
  if (integer(p, 0) != 0 && integer(p, 0) != 1) return refuse(p, "intercept is %lld: give 0 or 1", static_cast<long long>(integer(p, 0)));
  p->bytes = d * bytes_of(p->inputs[0].dtype) + bytes_of(p->inputs[1].dtype);
  p->cost_ns = product_cost(all) + 1;
  p->operations = product_operations(all);
  p->grain = std::max(block_rows(all), 8 * all);
  p->accumulator_bytes = product_doubles(all) * sizeof(double);
  p->scratch_bytes = (product_scratch_doubles(all) + block_rows(all)) * sizeof(double);
  p->outputs[0] = vector(kF64, d);
  p->results[0] = p->results[1] = scalar(kF64);
  p->results[2] = scalar(kI64);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, product_doubles(columns_of(p) + 1) * sizeof(double)); }
void combine(const cadre_plan* p, void* into, const void* from) { combine_products(into, from, columns_of(p) + 1); }

/** Rows of X with y behind them. */
struct BothRows {
  Column<double> x, y;
  uint64_t d;
  double* room;  // for y of a block
  const double* packed(uint64_t at, uint64_t n, double* to) const {
    spread(at, n, d + 1, to);
    return to;
  }
  void spread(uint64_t at, uint64_t n, uint64_t stride, double* to) const {
    const double* last = y.load(at, n, room);
    for (uint64_t r = 0; r < n; ++r) {
      x.copy((at + r) * d, d, to + r * stride);
      to[r * stride + d] = last[r];
    }
  }
};

int run(cadre_chunk* c) {
  const uint64_t d = columns_of(c->plan);
  identity(c->plan, c->accumulator);
  auto* scratch = static_cast<double*>(c->scratch);
  const BothRows rows{Column<double>(c->inputs[0]), Column<double>(c->inputs[1]), d, scratch + product_scratch_doubles(d + 1)};
  add_products(ColumnProducts(c->accumulator, d + 1), c->count, d + 1, scratch, rows);
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  const uint64_t d = columns_of(f->plan), all = d + 1;
  const auto size = static_cast<Eigen::Index>(d);
  const ColumnProducts a(f->accumulator, all);
  const bool with_intercept = integer(f->plan, 0) != 0;
  const auto mean = [&](uint64_t j) { return a.mean[j] + a.low[j]; };
  // Without an intercept distances are from 0, not from the mean.
  const auto product = [&](uint64_t i, uint64_t j) { return a.products[i * all + j] + (with_intercept ? 0 : *a.n * mean(i) * mean(j)); };
  Eigen::MatrixXd normal(size, size);
  Eigen::VectorXd right(size), length(size);
  bool finite = std::isfinite(product(d, d));
  for (uint64_t i = 0; i < d; ++i) {
    const auto r = static_cast<Eigen::Index>(i);
    for (uint64_t j = i; j < d; ++j) {
      normal(r, static_cast<Eigen::Index>(j)) = normal(static_cast<Eigen::Index>(j), r) = product(i, j);
      finite = finite && std::isfinite(product(i, j));
    }
    right[r] = product(i, d);
    finite = finite && std::isfinite(right[r]);
    length[r] = std::sqrt(normal(r, r));
  }
  auto* out = static_cast<double*>(f->outputs[0].data);
  auto& intercept = *static_cast<double*>(f->results[0].data);
  auto& r_squared = *static_cast<double*>(f->results[1].data);
  auto& rank = *static_cast<int64_t*>(f->results[2].data);
  if (!finite) {
    std::fill(out, out + d, std::numeric_limits<double>::quiet_NaN());
    intercept = r_squared = std::numeric_limits<double>::quiet_NaN();
    rank = -1;
    return CADRE_OK;
  }
  // A column of one value has length 0, and no part in the rank.
  const Eigen::VectorXd scale = length.unaryExpr([](double v) { return v > 0 ? 1 / v : 0.0; });
  Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> solver;
  solver.setThreshold(static_cast<double>(d) * 0x1p-48);
  solver.compute(scale.asDiagonal() * normal * scale.asDiagonal());
  rank = solver.rank();
  Eigen::VectorXd b;
  if (rank == static_cast<int64_t>(d)) {
    b = scale.asDiagonal() * solver.solve(scale.asDiagonal() * right);
  } else {  // the shortest of the solutions is that of the columns as they are
    solver.compute(normal);
    b = solver.solve(right);
  }
  double rest = a.products[d * all + d];
  const double spread = rest;
  intercept = with_intercept ? mean(d) : 0;
  if (!with_intercept) rest = product(d, d);
  rest -= 2 * b.dot(right) - b.dot(normal * b);
  for (uint64_t j = 0; j < d; ++j) {
    out[j] = b[static_cast<Eigen::Index>(j)];
    if (with_intercept) intercept -= out[j] * mean(j);
  }
  r_squared = 1 - std::max(rest, 0.0) / spread;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel linear_regression_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "linear_regression", .doc = "ordinary least squares, as np.linalg.lstsq; with one column as scipy.stats.linregress",
    .accuracy = "coefficients: relative error about 2000 u c^2, u = 2^-53, c the condition of the centred and scaled columns; columns nearer than c = 10^7 to each other count as dependent",
    .example = "cadre run linear_regression --in X.npy --in y.npy", .flags = 0, .passes = 1, .n_inputs = 2, .n_outputs = 1, .n_params = 1, .n_results = 3,
    .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = kResults, .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
