/* A plug-in for tests of the program: each worker keeps a file from set_up() to tear_down(), and writes into it what it has gone through: "up", a dot for each
   call, "down". KEEPER_FOLDER says where. KEEPER_END=hang or crash: tear_down() comes to grief. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cadre/kernels/kernel.h>

static int keep_plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}

static int keep_set_up(cadre_worker* w) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.%u", getenv("KEEPER_FOLDER"), (int)getpid(), w->slot);
  w->worker = fopen(path, "w");
  if (!w->worker) return snprintf(w->message, sizeof w->message, "%.200s can not be opened", path), CADRE_BAD_DATA;
  fputs("up", w->worker);
  return CADRE_OK;
}

static void keep_tear_down(cadre_worker* w) {
  const char* end = getenv("KEEPER_END");
  if (end && strcmp(end, "hang") == 0)
    for (;;) pause();
  if (end && strcmp(end, "crash") == 0) abort();
  fputs("down", w->worker);
  fclose(w->worker); /* what was written is in the file only now */
}

static int keep_run(cadre_chunk* c) {
  memcpy(c->outputs[0].data, c->inputs[0].data, c->count * sizeof(double));
  fputs(".", c->worker);
  return CADRE_OK;
}

static const cadre_input inputs[] = {{"x", "any values", CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_output outputs[] = {{"y", "x", CADRE_OUT_MAP, 0, 0, 0, 0}};
static const cadre_kernel keep = {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "keep", .doc = "x itself", .accuracy = "exact", .example = "cadre run keep --plugin keeper.so --in x.npy --out y.npy",
                                  .flags = 0, .passes = 1, .n_inputs = 1, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = inputs, .outputs = outputs, .plan = keep_plan, .run = keep_run,
                                  .set_up = keep_set_up, .tear_down = keep_tear_down};
static const cadre_kernel* const kernels[] = {&keep};
static const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 1, 0, kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
