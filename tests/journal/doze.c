/* A plug-in for tests of journals: kernels that take their time, tell what they run, and fail when the test wants it.

     doze        y[i] = 2 x[i], and sleeps x[i] seconds
     doze_sum    sums of x by i modulo 1000, in order; sleeps as well

   DOZE_LOG names a file that gets a line for each call; DOZE_FAIL the element at which the process aborts, as it does at every x[i] < 0. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cadre/kernels/kernel.h>

static void tell(const cadre_chunk* chunk) {
  const char* file = getenv("DOZE_LOG");
  if (!file) return;
  char line[64];
  const int length = snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)chunk->first, (unsigned long long)chunk->count);
  const int fd = open(file, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (fd >= 0 && write(fd, line, (size_t)length) == length) close(fd);
}

static void doze(const cadre_chunk* chunk, uint64_t i, double seconds) {
  const char* fail = getenv("DOZE_FAIL");
  if (seconds < 0 || (fail && chunk->first + i == strtoull(fail, NULL, 10))) abort();
  const struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&pause, NULL);
}

static int plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->outputs[0] = plan->inputs[0];
  return CADRE_OK;
}

static int run(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  double* y = chunk->outputs[0].data;
  tell(chunk);
  for (uint64_t i = 0; i < chunk->count; ++i) {
    doze(chunk, i, x[i]);
    y[i] = 2 * x[i];
  }
  return CADRE_OK;
}

static int plan_sum(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->scatter.rows = 1000;
  plan->scatter.value = plan->inputs[0].dtype;
  plan->outputs[0].dtype = plan->inputs[0].dtype;
  plan->outputs[0].ndim = 1;
  plan->outputs[0].shape[0] = 1000;
  return CADRE_OK;
}

static int run_sum(cadre_chunk* chunk) {
  const double* x = chunk->inputs[0].data;
  tell(chunk);
  for (uint64_t i = 0; i < chunk->count; ++i) {
    doze(chunk, i, x[i]);
    const int full = cadre_scatter_push(chunk->scatter, (uint32_t)((chunk->first + i) % 1000), &x[i]);
    if (full != CADRE_OK) return full;
  }
  return CADRE_OK;
}

static const cadre_input input = {.name = "x", .doc = "seconds", .types = CADRE_F64, .role = CADRE_ROWS, .min_ndim = 1, .max_ndim = 1};
static const cadre_output output = {.name = "y", .doc = "twice x", .kind = CADRE_OUT_MAP};
static const cadre_output sums = {.name = "sums", .doc = "sums of x", .kind = CADRE_OUT_COLUMN, .op = CADRE_ADD};
static const cadre_kernel doze_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "doze", .doc = "sleeps", .accuracy = "exact", .example = "cadre run doze --in x.npy --out y.npy", .flags = CADRE_ELEMENTWISE,
    .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = &input, .outputs = &output, .plan = plan, .run = run};
static const cadre_kernel sum_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "doze_sum", .doc = "sleeps and adds", .accuracy = "exact", .example = "cadre run doze_sum --in x.npy --out s.npy",
    .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = &input, .outputs = &sums, .plan = plan_sum, .run = run_sum};
static const cadre_kernel* const kernels[] = {&doze_kernel, &sum_kernel};
static const cadre_library library = {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_library), .count = 2, .kernels = kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
