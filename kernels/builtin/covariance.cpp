/* The covariance matrix of columns. */
#include <limits>

#include <cadre/kernels/builtin/column_products.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "one observation per row, one variable per column", CADRE_NUMBERS, CADRE_ROWS, 2, 2}};
const cadre_output kOutputs[] = {{"covariance", "float64 (d x d)", CADRE_OUT_FINISH, CADRE_OUT_OPTIONAL, 0, 0, 0}};
const cadre_param kParams[] = {{"ddof", "the divisor is n - ddof", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1}};
const cadre_result kResults[] = {{"mean", "of each column"}, {"covariance", "(d x d)"}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const uint64_t d = static_cast<uint64_t>(p->inputs[0].shape[1]);
  if (d == 0) return refuse(p, "X has no columns: give at least one");
  if (d > kMostColumns) return refuse(p, "X has %llu columns: at most 8192 are possible", static_cast<unsigned long long>(d));
  p->bytes = d * bytes_of(p->inputs[0].dtype);
  p->cost_ns = product_cost(d);
  p->operations = product_operations(d);
  p->grain = std::max(block_rows(d), 8 * d);  // an accumulator is small beside the rows that it stands for
  p->accumulator_bytes = product_doubles(d) * sizeof(double);
  p->scratch_bytes = product_scratch_doubles(d) * sizeof(double);
  p->outputs[0] = matrix(kF64, d, d);
  p->results[0] = vector(kF64, d);
  p->results[1] = matrix(kF64, d, d);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) {
  std::memset(accumulator, 0, product_doubles(static_cast<uint64_t>(p->inputs[0].shape[1])) * sizeof(double));
}

int run(cadre_chunk* c) {
  const uint64_t d = static_cast<uint64_t>(c->plan->inputs[0].shape[1]);
  identity(c->plan, c->accumulator);
  add_products(ColumnProducts(c->accumulator, d), c->count, d, static_cast<double*>(c->scratch), MatrixRows{Column<double>(c->inputs[0]), d});
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) { combine_products(into, from, static_cast<uint64_t>(p->inputs[0].shape[1])); }

int finish(cadre_finish* f) {
  const uint64_t d = static_cast<uint64_t>(f->plan->inputs[0].shape[1]);
  const ColumnProducts a(f->accumulator, d);
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
