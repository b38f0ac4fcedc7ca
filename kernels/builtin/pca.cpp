/* pca: principal components. The first pass folds the covariance matrix of the columns, whose eigenvectors its finish leaves to the second, which
   projects the rows where that is wanted. */
#include <Eigen/Eigenvalues>
#include <limits>

#include <cadre/kernels/builtin/column_products.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "one observation per row, one variable per column; at least one row", CADRE_NUMBERS, CADRE_ROWS, 2, 2}};
const cadre_output kOutputs[] = {{"components", "float64 (k x d): directions of the largest variance first, each of length 1; its largest entry is positive", CADRE_OUT_FINISH, 0, 0, 0, 0},
                                 {"transformed", "float64 (n x k): (X - mean) projected onto the components", CADRE_OUT_MAP, CADRE_OUT_OPTIONAL, std::numeric_limits<double>::quiet_NaN(), 0, 0}};
enum { kComponents, kTransformed };
const cadre_param kParams[] = {{"components", "how many, at most the lesser of n and d; all of them unless given", CADRE_INTEGER, CADRE_PARAM_OPTIONAL, 0}};
const cadre_result kResults[] = {{"mean", "of each column"}, {"explained_variance", "of each component, ddof 1"}, {"explained_variance_ratio", "share of the variance of all columns"}};

constexpr uint64_t kMost = 2048;  // columns

uint64_t columns_of(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[0].shape[1]); }
uint64_t components_of(const cadre_plan* p) {
  return static_cast<uint64_t>(integer(p, 0, std::min(p->inputs[0].shape[0], p->inputs[0].shape[1])));
}
uint64_t padded_components(const cadre_plan* p) { return (components_of(p) + 7) / 8 * 8; }

/** What the first pass leaves, in the place of its sums: the mean, then variances (d), then components, the largest variance first (d x d), then the variance of all columns. */
struct Found {
  double *mean, *variance, *component;
  double& all;
  Found(void* accumulator, uint64_t d) : mean(static_cast<double*>(accumulator)), variance(mean + d), component(variance + d), all(component[d * d]) {}
};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t n = p->inputs[0].shape[0], d = p->inputs[0].shape[1];
  if (n == 0 || d == 0) return refuse(p, "X is %lld x %lld: give at least one row and one column", static_cast<long long>(n), static_cast<long long>(d));
  if (d > static_cast<int64_t>(kMost)) return refuse(p, "X has %lld columns: at most %llu are possible", static_cast<long long>(d), static_cast<unsigned long long>(kMost));
  const int64_t k = integer(p, 0, std::min(n, d));
  if (k < 1 || k > std::min(n, d)) return refuse(p, "components is %lld: 1 to %lld are possible for %lld rows of %lld columns", static_cast<long long>(k), static_cast<long long>(std::min(n, d)), static_cast<long long>(n), static_cast<long long>(d));
  const uint64_t columns = columns_of(p), wanted = components_of(p);
  if (p->pass == 0) {
    p->bytes = columns * bytes_of(p->inputs[0].dtype);
    p->cost_ns = product_cost(columns);
    p->operations = product_operations(columns);
    p->grain = std::max(block_rows(columns), 8 * columns);
    p->accumulator_bytes = product_doubles(columns) * sizeof(double);
    p->scratch_bytes = product_scratch_doubles(columns) * sizeof(double);
    return CADRE_OK;
  }
  const bool projects = p->outputs_wanted >> kTransformed & 1;
  p->bytes = projects ? columns * bytes_of(p->inputs[0].dtype) + wanted * sizeof(double) : 0;
  p->cost_ns = projects ? 5 + 0.15 * static_cast<double>(columns * padded_components(p)) : 0.001;
  p->operations = projects ? static_cast<double>(columns + 2 * columns * wanted) : 0;
  p->scratch_bytes = projects ? (columns + padded_components(p) * (columns + 1)) * sizeof(double) : 0;
  p->outputs[kComponents] = matrix(kF64, wanted, columns);
  p->outputs[kTransformed] = matrix(kF64, p->elements, wanted);
  p->results[0] = vector(kF64, columns);
  p->results[1] = p->results[2] = vector(kF64, wanted);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, product_doubles(columns_of(p)) * sizeof(double)); }
void combine(const cadre_plan* p, void* into, const void* from) { combine_products(into, from, columns_of(p)); }

/** Row by row, one vector of components at a time: what a row gives does not depend on its neighbours. */
void project(cadre_chunk* c) {
  const uint64_t d = columns_of(c->plan), k = components_of(c->plan), wide = padded_components(c->plan);
  const Found found(const_cast<void*>(c->plan->previous), d);
  auto* room = static_cast<double*>(c->scratch);
  double *turned = room + d, *sum = turned + d * wide;
  for (uint64_t j = 0; j < d; ++j)
    for (uint64_t i = 0; i < wide; ++i) turned[j * wide + i] = i < k ? found.component[i * d + j] : 0;
  const Column<double> x(c->inputs[0]);
  auto* out = static_cast<double*>(c->outputs[kTransformed].data);
  for (uint64_t row = 0; row < c->count; ++row) {
    const double* v = x.load(row * d, d, room);
    std::fill(sum, sum + wide, 0.0);
    for (uint64_t j = 0; j < d; ++j) {
      const Lanes way = every(v[j] - found.mean[j]);
      for (uint64_t i = 0; i < wide; i += kLanes) store(sum + i, fused(way, load(turned + j * wide + i), load(sum + i)));
    }
    std::memcpy(out + row * k, sum, k * sizeof(double));
  }
}

int run(cadre_chunk* c) {
  const uint64_t d = columns_of(c->plan);
  if (c->pass == 1) {
    if (c->outputs[kTransformed].data) project(c);
    return CADRE_OK;
  }
  identity(c->plan, c->accumulator);
  add_products(ColumnProducts(c->accumulator, d), c->count, d, static_cast<double*>(c->scratch), MatrixRows{Column<double>(c->inputs[0]), d});
  return CADRE_OK;
}

int decompose(cadre_finish* f) {
  const uint64_t d = columns_of(f->plan);
  const auto size = static_cast<Eigen::Index>(d);
  const ColumnProducts a(f->accumulator, d);
  Eigen::MatrixXd covariance(size, size);
  Eigen::VectorXd mean(size);
  double all = 0;
  bool finite = true;
  for (uint64_t i = 0; i < d; ++i) {
    mean[static_cast<Eigen::Index>(i)] = a.mean[i] + a.low[i];
    for (uint64_t j = i; j < d; ++j) {
      const double v = a.products[i * d + j] / std::max(*a.n - 1, 0.0);
      covariance(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = covariance(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(i)) = v;
      finite = finite && std::isfinite(v);
      if (i == j) all += v;
    }
  }
  const Found found(f->accumulator, d);
  std::memcpy(found.mean, mean.data(), d * sizeof(double));
  found.all = all;
  std::fill(found.variance, found.variance + d + d * d, std::numeric_limits<double>::quiet_NaN());
  if (!finite) return CADRE_OK;  // NaN in the data, or a single row
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  if (solver.info() != Eigen::Success) return refuse(f, "the eigenvalues of the covariance matrix (%llu x %llu) are not found in 30 steps each", static_cast<unsigned long long>(d), static_cast<unsigned long long>(d));
  for (uint64_t i = 0; i < d; ++i) {
    const auto from = static_cast<Eigen::Index>(d - 1 - i);  // it sorts the least first
    found.variance[i] = std::max(solver.eigenvalues()[from], 0.0);
    const auto direction = solver.eigenvectors().col(from);
    Eigen::Index largest = 0;
    direction.cwiseAbs().maxCoeff(&largest);
    const double sign = direction[largest] < 0 ? -1 : 1;
    for (uint64_t j = 0; j < d; ++j) found.component[i * d + j] = sign * direction[static_cast<Eigen::Index>(j)];
  }
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  if (f->pass == 0) return decompose(f);
  const uint64_t d = columns_of(f->plan), k = components_of(f->plan);
  const Found found(const_cast<void*>(f->plan->previous), d);
  std::memcpy(f->results[0].data, found.mean, d * sizeof(double));
  std::memcpy(f->results[1].data, found.variance, k * sizeof(double));
  for (uint64_t i = 0; i < k; ++i) static_cast<double*>(f->results[2].data)[i] = found.variance[i] / found.all;
  std::memcpy(f->outputs[kComponents].data, found.component, k * d * sizeof(double));
  return CADRE_OK;
}

}  // namespace

const cadre_kernel pca_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "pca", .doc = "principal components of the columns of X, as sklearn.decomposition.PCA(components).fit_transform(X)",
    .accuracy = "eigenvectors of the covariance matrix in float64: variances within d * 2000 u of the largest, u = 2^-53; directions of equal variance are any of their plane",
    .example = "cadre run pca --in X.npy --param components=2 --out transformed=scores.npy", .flags = 0, .passes = 2, .n_inputs = 1, .n_outputs = 2, .n_params = 1, .n_results = 3,
    .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = kResults, .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
