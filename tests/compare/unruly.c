/* Kernels that a comparison must find out, each in its own way. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <cadre/kernels/kernel.h>

static int map_plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}

static void pause_for(long microseconds) {
  struct timespec pause = {0, microseconds * 1000};
  nanosleep(&pause, NULL);
}

/* Every call leaves something in a static variable and uses it later: alone in its process it finds what it left. */
static volatile uint64_t current;
static int racy_run(cadre_chunk* chunk) {
  double* out = chunk->outputs[0].data;
  current = chunk->first;
  pause_for(300);
  for (uint64_t i = 0; i < chunk->count; ++i) out[i] = (double)(current + i);
  return CADRE_OK;
}

/* Worker processes are called that. */
static int placed_run(cadre_chunk* chunk) {
  double* out = chunk->outputs[0].data;
  char name[16] = "";
  prctl(PR_GET_NAME, name);
  for (uint64_t i = 0; i < chunk->count; ++i) out[i] = strcmp(name, "cadre-worker") == 0;
  pause_for(300);
  return CADRE_OK;
}

/* Crashes of one element. */
static int fragile_run(cadre_chunk* chunk) {
  double* out = chunk->outputs[0].data;
  const double* in = chunk->inputs[0].data;
  for (uint64_t i = 0; i < chunk->count; ++i) {
    if (in[i] < 0) raise(SIGSEGV);
    out[i] = in[i];
  }
  pause_for(300);
  return CADRE_OK;
}

/* Never comes back from negative elements, and keeps a CPU busy meanwhile. */
static int endless_run(cadre_chunk* chunk) {
  double* out = chunk->outputs[0].data;
  const double* in = chunk->inputs[0].data;
  for (uint64_t i = 0; i < chunk->count; ++i) {
    while (in[i] < 0) current = i;
    out[i] = in[i];
  }
  pause_for(300);
  return CADRE_OK;
}

static const cadre_input inputs[] = {{"x", "any values", CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_output outputs[] = {{"out", "what comes of it", CADRE_OUT_MAP, 0, 0, CADRE_ADD, 0}};

#define KERNEL(name, doc, run)                                                                                                                   \
  {CADRE_KERNEL_ABI, sizeof(cadre_kernel), name, doc, "exact", "cadre run " name " --plugin unruly.so --in x.npy", 0, 1, 1, 1, 0, 0, inputs, outputs, \
   NULL, NULL, map_plan, run, NULL, NULL, NULL, NULL}
static const cadre_kernel racy = KERNEL("racy", "uses a static variable", racy_run);
static const cadre_kernel placed = KERNEL("placed", "tells where it runs", placed_run);
static const cadre_kernel fragile = KERNEL("fragile", "crashes of negative elements", fragile_run);
static const cadre_kernel endless = KERNEL("endless", "never comes back from negative elements", endless_run);
static const cadre_kernel* const kernels[] = {&racy, &placed, &fragile, &endless};
static const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 4, 0, kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
