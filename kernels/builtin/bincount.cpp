#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/keys.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "integers, none negative", CADRE_INTEGERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"out", "int64: out[k] is how often k occurs, k up to the largest", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 1}};
const cadre_param kParams[] = {{"minlength", "length of out at least", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  if (int bad = check_minlength(p, integer(p, 0))) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype);
  if (p->pass == 0) {
    p->cost_ns = 0.02 * static_cast<double>(p->bytes) + 0.05;
    p->accumulator_bytes = sizeof(LargestKey);
    return CADRE_OK;
  }
  const uint64_t rows = rows_for_keys(p, integer(p, 0));
  p->cost_ns = rows <= 2048 ? 0.3 : rows <= 65536 ? 0.6 : 4;
  p->scatter.rows = rows;
  p->scratch_bytes = Counter::scratch_bytes(rows);
  p->outputs[0] = vector(kI64, rows);
  return CADRE_OK;
}

int run(cadre_chunk* c) {
  if (c->pass == 0) return find_largest_key(c, "x");
  const Column<uint32_t> x(c->inputs[0]);
  Counter count(c->scatter, c->count, c->scratch);
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    uint32_t* index = count.room();
    if (!index) return CADRE_FULL;
    x.copy(at, n, index);
    count.add(index, n);
  }
  count.finish();
  return CADRE_OK;
}

}  // namespace

const cadre_kernel bincount_kernel = {.abi = CADRE_KERNEL_ABI,
                                      .size = sizeof(cadre_kernel),
                                      .name = "bincount",
                                      .doc = "how often each integer occurs, as np.bincount(x, minlength=minlength)",
                                      .accuracy = "exact",
                                      .example = "cadre run bincount --in x.npy --out out.npy",
                                      .flags = 0,
                                      .passes = 2,
                                      .n_inputs = 1,
                                      .n_outputs = 1,
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
                                      .finish = nullptr,
                                      .state = nullptr};

}  // namespace cadre::builtin
