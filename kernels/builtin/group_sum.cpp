#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/keys.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"key", "integers, none negative", CADRE_INTEGERS, CADRE_ROWS, 1, 1},
                               {"x", "a value for each", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"count", "int64: rows with this key", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 1},
                                 {"sum", "float64: of their x; 0 where there are none", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 0},
                                 {"min", "float64: NaN where there are none", CADRE_OUT_COLUMN, 0, 0, CADRE_MIN, 0},
                                 {"max", "float64: NaN where there are none", CADRE_OUT_COLUMN, 0, 0, CADRE_MAX, 0}};
enum { kCount, kSum, kMin, kMax };
const cadre_param kParams[] = {{"minlength", "number of keys at least", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  if (int bad = check_minlength(p, integer(p, 0))) return bad;
  if (p->pass == 0) {
    p->bytes = bytes_of(p->inputs[0].dtype);
    p->cost_ns = 0.02 * static_cast<double>(p->bytes) + 0.05;
    p->accumulator_bytes = sizeof(LargestKey);
    return CADRE_OK;
  }
  const uint64_t rows = rows_for_keys(p, integer(p, 0));
  p->bytes = bytes_of(p->inputs[0].dtype) + bytes_of(p->inputs[1].dtype);
  p->cost_ns = rows <= 16384 ? 2 : 8;
  p->scatter.rows = rows;
  p->scatter.value = kF64;
  p->outputs[kCount] = vector(kI64, rows);
  for (int i = kSum; i <= kMax; ++i) p->outputs[i] = vector(kF64, rows);
  return CADRE_OK;
}

void add_dense(cadre_scatter* s, const uint32_t* key, const double* x, uint64_t n) {
  auto* count = static_cast<int64_t*>(s->dense[kCount]);
  auto *sum = static_cast<double*>(s->dense[kSum]), *low = static_cast<double*>(s->dense[kMin]),
       *high = static_cast<double*>(s->dense[kMax]);
  for (uint64_t i = 0; i < n; ++i) {
    const uint32_t k = key[i];
    const double v = x[i];
    ++count[k];
    sum[k] += v;
    // A NaN replaces what is there, and then stays: it is not above or below anything.
    low[k] = !(v >= low[k]) && low[k] == low[k] ? v : low[k];
    high[k] = !(v <= high[k]) && high[k] == high[k] ? v : high[k];
  }
}

int run(cadre_chunk* c) {
  if (c->pass == 0) return find_largest_key(c, "key");
  const Column<uint32_t> key(c->inputs[0]);
  const Column<double> x(c->inputs[1]);
  cadre_scatter* s = c->scatter;
  alignas(64) uint32_t key_room[kBlock];
  alignas(64) double x_room[kBlock];
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    if (s->dense) {
      add_dense(s, key.load(at, n, key_room), x.load(at, n, x_room), n);
      continue;
    }
    if (s->capacity - s->used < n)
      if (int full = s->flush(s)) return full;
    key.copy(at, n, s->index + s->used);
    x.copy(at, n, static_cast<double*>(s->value) + s->used);
    s->used += n;
  }
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  if (f->pass == 0 || f->plan->scatter.rows == 0) return CADRE_OK;
  const auto* count = static_cast<const int64_t*>(f->columns[kCount]);
  auto *low = static_cast<double*>(f->columns[kMin]), *high = static_cast<double*>(f->columns[kMax]);
  for (uint64_t k = 0; k < f->plan->scatter.rows; ++k)
    if (count[k] == 0) low[k] = high[k] = std::numeric_limits<double>::quiet_NaN();
  return CADRE_OK;
}

}  // namespace

const cadre_kernel group_sum_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "group_sum",
    .doc = "count, sum, smallest and largest x of each key",
    .accuracy = "count, min and max exact; sum: |error| <= m u sum|x| for m rows with a key, u = 2^-53; NaN propagates within its key",
    .example = "cadre run group_sum --in key.npy --in x.npy --out count.npy --out sum.npy --out min.npy --out max.npy",
    .flags = 0,
    .passes = 2,
    .n_inputs = 2,
    .n_outputs = 4,
    .n_params = 1,
    .n_results = 0,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = kParams,
    .results = nullptr,
    .plan = plan,
    .run = run,
    .identity = no_key,
    .combine = larger_key,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
