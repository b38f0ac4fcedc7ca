#include <cadre/kernels/builtin/counting.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/uniform_bins.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "the values", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"out", "int64, one count per bin", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 1}};
const cadre_param kParams[] = {{"bins", "number of bins, all of one width", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0},
                               {"lo", "left edge of the first bin", CADRE_REAL, CADRE_PARAM_REQUIRED, 0},
                               {"hi", "right edge of the last bin, which includes it", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
const cadre_result kResults[] = {{"outside", "values below lo, above hi, or NaN"}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t bins = integer(p, 0);
  if (int bad = check_bins(p, "bins", bins, "lo", real(p, 1), "hi", real(p, 2))) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = bins <= 2048 ? 0.4 : bins <= 65536 ? 0.8 : 2;
  p->scatter.rows = static_cast<uint64_t>(bins);
  p->scatter.hidden = 1;
  p->scratch_bytes = Counter::scratch_bytes(p->scatter.rows + 1);
  p->outputs[0] = vector(kI64, p->scatter.rows);
  p->results[0] = scalar(kI64);
  return CADRE_OK;
}

constexpr uint64_t kGroup = 64;

int run(cadre_chunk* c) {
  const bool narrow = c->inputs[0].dtype == kF32;
  const UniformBins bins(integer(c->plan, 0), real(c->plan, 1), real(c->plan, 2), UniformBins::Rule::histogram, narrow);
  const Column<double> x(c->inputs[0]);
  alignas(64) double room[kBlock];
  Counter count(c->scatter, c->count, c->scratch);
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    uint64_t whole = n;
    const double* v = padded(x.load(at, n, room), whole, room, 0.0);
    uint32_t* index = count.room();
    if (!index) return CADRE_FULL;
    // By small groups, so that the processor counts one while it computes the next: the two use different units.
    for (uint64_t i = 0; i < n; i += kGroup) {
      bins.index(v + i, std::min(kGroup, whole - i), index + i);
      count.add(index + i, std::min(kGroup, n - i));
    }
  }
  count.finish();
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  *static_cast<int64_t*>(f->results[0].data) = static_cast<const int64_t*>(f->columns[0])[f->plan->scatter.rows];
  return CADRE_OK;
}

}  // namespace

const cadre_kernel histogram_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "histogram",
    .doc = "counts per bin, as np.histogram(x, bins, (lo, hi))[0]",
    .accuracy = "exact: NumPy's edges (float32 for float32 data), each value in the bin whose edges enclose it",
    .example = "cadre run histogram --in x.npy --param bins=100 --param lo=0 --param hi=1 --out out.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 1,
    .n_outputs = 1,
    .n_params = 3,
    .n_results = 1,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = kParams,
    .results = kResults,
    .plan = plan,
    .run = run,
    .identity = nullptr,
    .combine = nullptr,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
