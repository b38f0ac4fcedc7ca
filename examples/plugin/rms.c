/* A fold in C, with kernel.h alone: the root mean square. */
#include <cadre/kernels/kernel.h>
#include <math.h>

typedef struct Sum { double squares; uint64_t count; } Sum;

static int plan(cadre_plan* p) {
  p->elements = (uint64_t)p->inputs[0].shape[0];
  p->accumulator_bytes = sizeof(Sum);
  p->results[0] = (cadre_shape){.dtype = {CADRE_FLOAT, 64, 1}};
  return CADRE_OK;
}
static void identity(const cadre_plan* p, void* a) { (void)p; *(Sum*)a = (Sum){0, 0}; }
static int run(cadre_chunk* c) {
  const double* x = c->inputs[0].data;
  Sum* sum = c->accumulator;
  for (uint64_t i = 0; i < c->count; ++i) sum->squares += x[i] * x[i];
  sum->count += c->count;
  return CADRE_OK;
}
static void combine(const cadre_plan* p, void* into, const void* from) {
  (void)p;
  ((Sum*)into)->squares += ((const Sum*)from)->squares;
  ((Sum*)into)->count += ((const Sum*)from)->count;
}
static int finish(cadre_finish* f) {
  const Sum* sum = f->accumulator;
  *(double*)f->results[0].data = sqrt(sum->squares / (double)sum->count);
  return CADRE_OK;
}

static const cadre_input inputs[] = {{.name = "x", .doc = "values", .types = CADRE_F64, .min_ndim = 1, .max_ndim = 1}};
static const cadre_result results[] = {{"rms", "NaN of no values"}};
static const cadre_kernel kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "rms", .doc = "Root mean square.", .passes = 1, .n_inputs = 1, .inputs = inputs,
    .n_results = 1, .results = results, .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};
static const cadre_kernel* const kernels[] = {&kernel};
static const cadre_library library = {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_library), .count = 1, .kernels = kernels};
CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
