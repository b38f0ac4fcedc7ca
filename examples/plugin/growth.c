/* Two kernels in plain C: a map with a parameter, and a fold. docs/adding-a-kernel.md goes through it line by line.

     cc -shared -fPIC -O2 $(pkg-config --cflags cadre) growth.c -lm -o growth.so
     cadre run logistic --plugin ./growth.so --in x.npy --param k=2 --out y.npy
     cadre run geometric_mean --plugin ./growth.so --in x.npy */
#include <math.h>
#include <stdio.h>

#include <cadre/kernels/kernel.h>

static const cadre_dtype kFloat64 = {CADRE_FLOAT, 64, 1};

/* ---- logistic: out[i] = 1 / (1 + exp(-k (x[i] - x0))) ---- */
static const cadre_input kLogisticInputs[] = {{.name = "x", .doc = "where", .types = CADRE_F64, .min_ndim = 1, .max_ndim = 1}};
static const cadre_output kLogisticOutputs[] = {{.name = "out", .doc = "1 / (1 + exp(-k (x - x0)))", .kind = CADRE_OUT_MAP, .fill = NAN}};
static const cadre_param kLogisticParams[] = {
    {"k", "steepness, not 0", CADRE_REAL, CADRE_PARAM_DEFAULT, 1.0},
    {"x0", "where the curve is at one half", CADRE_REAL, CADRE_PARAM_DEFAULT, 0.0},
};

static int logistic_plan(cadre_plan* plan) {
  if (plan->params[0].real == 0) {
    snprintf(plan->message, sizeof plan->message, "k is 0: the curve would be flat; give any other number");
    return CADRE_BAD_DATA;
  }
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->cost_ns = 5;
  plan->bytes = 2 * sizeof(double);
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}

static int logistic_run(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  double* out = chunk->outputs[0].data;
  const double k = chunk->plan->params[0].real, x0 = chunk->plan->params[1].real;
  for (uint64_t i = 0; i < chunk->count; ++i) out[i] = 1 / (1 + exp(-k * (x[i] - x0)));
  return CADRE_OK;
}

static const cadre_kernel kLogistic = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "logistic",
    .doc = "the logistic curve of each element",
    .accuracy = "that of the C library's exp: within 2 ulp",
    .example = "cadre run logistic --in x.npy --param k=2 --out y.npy",
    .flags = CADRE_ELEMENTWISE,
    .passes = 1,
    .n_inputs = 1, .inputs = kLogisticInputs,
    .n_outputs = 1, .outputs = kLogisticOutputs,
    .n_params = 2, .params = kLogisticParams,
    .plan = logistic_plan,
    .run = logistic_run,
};

/* ---- geometric_mean: exp of the mean of log x[i] ---- */
typedef struct Logs {
  double sum;
  uint64_t count;
} Logs;

static const cadre_input kMeanInputs[] = {{.name = "x", .doc = "positive numbers", .types = CADRE_F64, .min_ndim = 1, .max_ndim = 1}};
static const cadre_result kMeanResults[] = {{"geometric_mean", "NaN of no elements"}};

static int mean_plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->cost_ns = 5;
  plan->bytes = sizeof(double);
  plan->accumulator_bytes = sizeof(Logs);
  plan->results[0] = (cadre_shape){.dtype = kFloat64, .ndim = 0};
  return CADRE_OK;
}

static void mean_identity(const cadre_plan* plan, void* accumulator) {
  (void)plan;
  *(Logs*)accumulator = (Logs){0, 0};
}

static int mean_run(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  Logs* logs = chunk->accumulator;
  for (uint64_t i = 0; i < chunk->count; ++i) {
    if (x[i] <= 0) {
      chunk->bad_row = chunk->first + i;
      snprintf(chunk->message, sizeof chunk->message, "x is %g: a geometric mean is of positive numbers", x[i]);
      return CADRE_BAD_DATA;
    }
    logs->sum += log(x[i]);
  }
  logs->count += chunk->count;
  return CADRE_OK;
}

static void mean_combine(const cadre_plan* plan, void* into, const void* from) {
  (void)plan;
  ((Logs*)into)->sum += ((const Logs*)from)->sum;
  ((Logs*)into)->count += ((const Logs*)from)->count;
}

static int mean_finish(cadre_finish* finish) {
  const Logs* logs = finish->accumulator;
  *(double*)finish->results[0].data = exp(logs->sum / (double)logs->count);
  return CADRE_OK;
}

static const cadre_kernel kGeometricMean = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "geometric_mean",
    .doc = "the geometric mean of positive numbers",
    .accuracy = "relative error below (n / chunks + log2 chunks) ulp of the largest logarithm",
    .example = "cadre run geometric_mean --in x.npy",
    .passes = 1,
    .n_inputs = 1, .inputs = kMeanInputs,
    .n_results = 1, .results = kMeanResults,
    .plan = mean_plan,
    .run = mean_run,
    .identity = mean_identity,
    .combine = mean_combine,
    .finish = mean_finish,
};

/* ---- what the library exports ---- */
static const cadre_kernel* const kKernels[] = {&kLogistic, &kGeometricMean};
static const cadre_library kLibrary = {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_library), .count = 2, .kernels = kKernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &kLibrary; }
