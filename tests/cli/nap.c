/* A plug-in for tests of the program: the kernel sleeps, and says when it has begun, so that tests can act while a job runs. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cadre/kernels/kernel.h>

enum { PARAM_MS, PARAM_CRASH_AT };

static int nap_plan(cadre_plan* plan) {
  plan->elements = (uint64_t)plan->inputs[0].shape[0];
  plan->accumulator_bytes = sizeof(int64_t);
  plan->results[0].dtype = (cadre_dtype){CADRE_INT, 64, 1};
  return CADRE_OK;
}

/* Opens the FIFO that the test reads: the first byte says that a worker is in the kernel, the end of file that no worker is left. */
static void tell_the_test(void) {
  static int told = 0;
  const char* fifo = getenv("NAP_FIFO");
  if (told || !fifo) return;
  int fd = open(fifo, O_WRONLY | O_NONBLOCK);
  told = 1;
  if (fd >= 0 && write(fd, "z", 1) < 0) close(fd);
}

static int nap_run(cadre_chunk* chunk) {
  const double ms = chunk->plan->params[PARAM_MS].real;
  const cadre_value* crash_at = &chunk->plan->params[PARAM_CRASH_AT];
  struct timespec pause = {(time_t)(ms / 1e3), 0};
  pause.tv_nsec = (long)((ms - (double)pause.tv_sec * 1e3) * 1e6);
  tell_the_test();
  for (uint64_t i = 0; i < chunk->count; ++i) {
    if (crash_at->present && chunk->first + i == (uint64_t)crash_at->integer) abort();
    nanosleep(&pause, NULL);
  }
  *(int64_t*)chunk->accumulator += (int64_t)chunk->count;
  return CADRE_OK;
}

static void nap_identity(const cadre_plan* plan, void* accumulator) {
  (void)plan;
  memset(accumulator, 0, sizeof(int64_t));
}

static void nap_combine(const cadre_plan* plan, void* into, const void* from) {
  (void)plan;
  *(int64_t*)into += *(const int64_t*)from;
}

static int nap_finish(cadre_finish* finish) {
  *(int64_t*)finish->results[0].data = *(int64_t*)finish->accumulator;
  return CADRE_OK;
}

static const cadre_input inputs[] = {{"x", "any values", CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_param params[] = {{"ms", "sleep for each element, milliseconds", CADRE_REAL, CADRE_PARAM_REQUIRED, 0},
                                     {"crash_at", "element at which to abort", CADRE_INTEGER, CADRE_PARAM_OPTIONAL, 0}};
static const cadre_result results[] = {{"naps", "elements slept over"}};
static const cadre_kernel nap = {
    CADRE_KERNEL_ABI, sizeof(cadre_kernel), "nap", "sleeps for each element", "exact", "cadre run nap --plugin nap.so --in x.npy --param ms=1",
    0, 1, 1, 0, 2, 1, inputs, NULL, params, results, nap_plan, nap_run, nap_identity, nap_combine, nap_finish, NULL};
static const cadre_kernel* const kernels[] = {&nap};
static const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 1, 0, kernels};

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
