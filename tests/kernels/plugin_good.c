/* A plug-in in plain C: scale, a map with one parameter, and count, a fold. */
#include <cadre/kernels/kernel.h>

#include <stdio.h>

static const cadre_input inputs[] = {{"x", "values", CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_param params[] = {{"factor", "what the values are multiplied by", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
static const cadre_output scaled[] = {{"out", "factor * x", CADRE_OUT_MAP, 0, 0, 0, 0}};
static const cadre_result counted[] = {{"count", "number of values above zero"}};

static int plan_scale(cadre_plan* plan) {
  if (plan->params[0].real == 0) {
    snprintf(plan->message, sizeof plan->message, "factor is 0: give another");
    return CADRE_BAD_DATA;
  }
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}
static int run_scale(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  double* out = chunk->outputs[0].data;
  for (uint64_t i = 0; i < chunk->count; ++i) out[i] = chunk->plan->params[0].real * x[i];
  return CADRE_OK;
}

static int plan_count(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->accumulator_bytes = sizeof(int64_t);
  plan->results[0].dtype.code = CADRE_INT;
  plan->results[0].dtype.bits = 64;
  plan->results[0].dtype.lanes = 1;
  return CADRE_OK;
}
static int run_count(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  for (uint64_t i = 0; i < chunk->count; ++i) *(int64_t*)chunk->accumulator += x[i] > 0;
  return CADRE_OK;
}
static void identity(const cadre_plan* plan, void* accumulator) {
  (void)plan;
  *(int64_t*)accumulator = 0;
}
static void combine(const cadre_plan* plan, void* into, const void* from) {
  (void)plan;
  *(int64_t*)into += *(const int64_t*)from;
}
static int finish(cadre_finish* f) {
  *(int64_t*)f->results[0].data = *(int64_t*)f->accumulator;
  return CADRE_OK;
}

static const cadre_kernel scale = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "scale", .doc = "values times a factor", .accuracy = "correctly rounded",
    .example = "cadre run scale --in x.npy --param factor=2 --out y.npy", .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1,
    .n_outputs = 1, .n_params = 1, .inputs = inputs, .outputs = scaled, .params = params, .plan = plan_scale, .run = run_scale};
static const cadre_kernel count = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "count_positive", .doc = "number of values above zero", .passes = 1,
    .n_inputs = 1, .n_results = 1, .inputs = inputs, .results = counted, .plan = plan_count, .run = run_count,
    .identity = identity, .combine = combine, .finish = finish};
static const cadre_kernel* const kernels[] = {&scale, &count};
static const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 2, 0, kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
