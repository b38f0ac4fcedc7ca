/* A plug-in that is not fit for every input, as routines that have served for years may be: it inverts the exponential distribution by a walk
   through cells and a search, crashes below 0 (there is no cell) and never ends above 1 (there is no such quantile). */
#include <math.h>
#include <stddef.h>

#include <cadre/kernels/kernel.h>

struct cell {
  double from; /* of probability */
  double x;    /* where the search begins */
  const struct cell* next;
};
static const struct cell lowest = {0.0, 0.0, NULL}, low = {0.25, 0.28, &lowest}, high = {0.5, 0.69, &low}, highest = {0.75, 1.38, &high};

static double invert_cdf(double p) {
  const struct cell* c = &highest;
  while (p < c->from) c = c->next;
  double x = c->x;
  while (1 - exp(-x) < p) x += 0x1p-10;
  return x;
}

static int plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}

static int run(cadre_chunk* chunk) {
  const double* p = chunk->inputs[0].data;
  double* x = chunk->outputs[0].data;
  for (uint64_t i = 0; i < chunk->count; ++i) x[i] = invert_cdf(p[i]);
  return CADRE_OK;
}

static const cadre_input inputs[] = {{"p", "probabilities, 0 to 1", CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_output outputs[] = {{"x", "quantiles of the exponential distribution", CADRE_OUT_MAP, 0, NAN, CADRE_ADD, 0}};
static const cadre_kernel kernel = {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "invert_cdf", .doc = "quantiles of the exponential distribution",
                                    .accuracy = "absolute error below 0.001", .example = "cadre run invert_cdf --plugin invert_cdf.so --in p.npy --out x.npy",
                                    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = inputs, .outputs = outputs, .plan = plan, .run = run};
static const cadre_kernel* const kernels[] = {&kernel};
static const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 1, 0, kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
