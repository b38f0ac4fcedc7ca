/* A plug-in for tests of the program: `harm` computes y = 2 x, and comes to grief, in the way asked for, at the elements whose value is negative. `harm_sum` folds,
   `harm_count` scatters. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include <cadre/kernels/kernel.h>

namespace {

enum How { kSegv, kFpe, kIll, kBus, kAbort, kExit, kHang, kThrow, kThrowOther, kTerminate, kOverflow, kMessage, kWriteInput, kFork, kCrowd, kImpure, kLeak, kLongJump, kWritePlan, kWriteBehind, kWriteBefore, kWriteColumns, kKill, kTerm, kStop };

[[gnu::noinline]] int deeper(volatile int* before) {
  volatile int room[1024] = {};
  room[0] = *before + 1;
  return deeper(room) + room[0];
}

void throws() { throw std::runtime_error("from where nothing may be thrown"); }
[[gnu::noinline]] void never_throws() noexcept { throws(); }

jmp_buf somewhere;
/** Leaves `somewhere` pointing into a stack frame that is gone. */
[[gnu::noinline]] int mark_somewhere() { return setjmp(somewhere); }

/** Forks a process that tries to write into the output and stays, tells what came of that, and dies as if killed from outside: once, whoever runs the element. HARM_FILE tells. */
void fork_and_die(cadre_chunk* chunk) {
  static int told;
  told = open(getenv("HARM_FILE"), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (told < 0) return;  // it has been
  static volatile double* out;
  out = static_cast<double*>(chunk->outputs[0].data);
  if (const pid_t child = fork(); child == 0) {
    struct sigaction caught = {};
    caught.sa_handler = [](int) {
      (void)!write(told, " fault\n", 7);
      for (;;) pause();
    };
    dprintf(told, "%d", static_cast<int>(getpid()));
    sigaction(SIGSEGV, &caught, nullptr);
    sigaction(SIGBUS, &caught, nullptr);
    for (uint64_t i = 0; i < chunk->count; ++i) out[i] = 666;
    (void)!write(told, " wrote\n", 7);
    for (;;) pause();
  } else {
    char said[32] = {};
    for (int i = 0; i < 10'000 && !strchr(said, '\n'); ++i) {  // until the child has said how it went
      usleep(1000);
      (void)!pread(told, said, sizeof said - 1, 0);
    }
    kill(getpid(), SIGKILL);
  }
}

[[gnu::noinline]] int fail_at(cadre_chunk* chunk, uint64_t i, int how) {
  static volatile int zero = 0;
  switch (how) {
    case kSegv: *reinterpret_cast<volatile int*>(8) = 1; break;
    case kFpe: zero = 7 / zero; break;
    case kIll: __builtin_trap();
    case kBus: raise(SIGBUS); break;
    case kAbort: abort();
    case kExit: exit(7);
    case kHang:
      for (;;) zero = zero + 0;
    case kThrow: throw std::runtime_error("the root of a negative number");
    case kThrowOther: throw 42;
    case kTerminate: never_throws(); break;
    case kOverflow: return deeper(&zero);
    case kMessage:
      strcpy(chunk->message, "no root of it");
      return 3;
    case kWriteInput: static_cast<double*>(chunk->inputs[0].data)[i] = 0; break;
    case kFork: fork_and_die(chunk); break;
    case kLongJump:
      if (mark_somewhere() == 0) longjmp(somewhere, 1);
      abort();  // where that has ended in one piece
      break;
    case kWritePlan: const_cast<cadre_plan*>(chunk->plan)->elements = 1; break;
    case kWriteBehind: static_cast<double*>(chunk->outputs[0].data)[chunk->count] = 666; break;
    case kWriteBefore: static_cast<double*>(chunk->outputs[0].data)[-1] = 666; break;
    case kWriteColumns:  // behind the whole of the private copy of the result
      static_cast<double*>(chunk->scatter->dense[0])[uint64_t{1} << 30] = 666;
      break;
    case kKill: kill(getpid(), SIGKILL); break;
    case kTerm: kill(getpid(), SIGTERM); break;
    case kStop: kill(getpid(), SIGSTOP); break;
    case kLeak:
      for (;;)
        if (void* more = malloc(1 << 20)) memset(more, 1, 1 << 20);
    default: break;
  }
  return CADRE_OK;
}

template <class Use>
int each(cadre_chunk* chunk, Use use) {
  const int how = static_cast<int>(chunk->plan->params[0].integer);
  const double* x = static_cast<const double*>(chunk->inputs[0].data);
  bool negative = false;
  for (uint64_t i = 0; i < chunk->count; ++i) {
    if (x[i] < 0) {
      negative = true;
      if (how == kCrowd ? chunk->count > 1 : how != kImpure)
        if (int failed = fail_at(chunk, i, how == kCrowd ? kSegv : how)) return failed;
    }
    if (int full = use(i, x[i])) return full;
  }
  static std::atomic<int> calls{0};
  if (how == kImpure && negative && chunk->outputs[0].data) static_cast<double*>(chunk->outputs[0].data)[0] = ++calls + getpid();
  return CADRE_OK;
}

int map_plan(cadre_plan* p) {
  p->elements = static_cast<uint64_t>(p->inputs[0].shape[0]);
  p->outputs[0] = p->inputs[0];
  return CADRE_OK;
}
int map_run(cadre_chunk* c) {
  double* y = static_cast<double*>(c->outputs[0].data);
  return each(c, [&](uint64_t i, double v) { return y[i] = 2 * v, CADRE_OK; });
}

int sum_plan(cadre_plan* p) {
  p->elements = static_cast<uint64_t>(p->inputs[0].shape[0]);
  p->accumulator_bytes = 16;
  p->results[0] = {{CADRE_INT, 64, 1}, 0, {}};
  p->results[1] = {{CADRE_FLOAT, 64, 1}, 0, {}};
  return CADRE_OK;
}
struct Sum {
  int64_t n;
  double sum;
};
int sum_run(cadre_chunk* c) {
  Sum& s = *static_cast<Sum*>(c->accumulator);
  return each(c, [&](uint64_t, double v) { return ++s.n, s.sum += v, CADRE_OK; });
}
void sum_identity(const cadre_plan*, void* a) { *static_cast<Sum*>(a) = {}; }
void sum_combine(const cadre_plan*, void* a, const void* b) {
  static_cast<Sum*>(a)->n += static_cast<const Sum*>(b)->n;
  static_cast<Sum*>(a)->sum += static_cast<const Sum*>(b)->sum;
}
int sum_finish(cadre_finish* f) {
  const Sum& s = *static_cast<Sum*>(f->accumulator);
  if (f->plan->params[1].present) abort();
  *static_cast<int64_t*>(f->results[0].data) = s.n;
  *static_cast<double*>(f->results[1].data) = s.sum;
  return CADRE_OK;
}

int count_plan(cadre_plan* p) {
  p->elements = static_cast<uint64_t>(p->inputs[0].shape[0]);
  p->scatter.rows = static_cast<uint64_t>(p->params[1].integer);
  p->scatter.value = {CADRE_FLOAT, 64, 1};
  p->outputs[0] = {{CADRE_FLOAT, 64, 1}, 1, {static_cast<int64_t>(p->scatter.rows)}};
  return CADRE_OK;
}
int count_run(cadre_chunk* c) {
  return each(c, [&](uint64_t i, double v) { return cadre_scatter_push(c->scatter, static_cast<uint32_t>((c->first + i) * 7 % c->scatter->rows), &v); });
}

const cadre_input inputs[] = {{"x", "the negative ones do harm", CADRE_F64, CADRE_ROWS, 1, 1}};
const cadre_output map_outputs[] = {{"y", "2 x", CADRE_OUT_MAP, 0, __builtin_nan(""), 0, 0}};
const cadre_output count_outputs[] = {{"sums", "of x by row number", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 0}};
const cadre_param map_params[] = {{"how", "which harm", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0}};
const cadre_param sum_params[] = {map_params[0], {"finish", "finish aborts", CADRE_INTEGER, CADRE_PARAM_OPTIONAL, 0}};
const cadre_param count_params[] = {map_params[0], {"rows", "of the result", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 100}};
const cadre_result sum_results[] = {{"n", "elements"}, {"sum", "of x"}};
const cadre_kernel map = {CADRE_KERNEL_ABI, sizeof(cadre_kernel), "harm", "2 x, or harm", "exact", "cadre run harm --plugin harm.so --in x.npy --out y.npy", CADRE_ELEMENTWISE, 1, 1, 1, 1, 0,
                          inputs, map_outputs, map_params, nullptr, map_plan, map_run, nullptr, nullptr, nullptr, nullptr};
const cadre_kernel sum = {CADRE_KERNEL_ABI, sizeof(cadre_kernel), "harm_sum", "sum of x, or harm", "exact", "cadre run harm_sum --plugin harm.so --in x.npy", 0, 1, 1, 0, 2, 2,
                          inputs, nullptr, sum_params, sum_results, sum_plan, sum_run, sum_identity, sum_combine, sum_finish, nullptr};
const cadre_kernel count = {CADRE_KERNEL_ABI, sizeof(cadre_kernel), "harm_count", "sums by row, or harm", "exact", "cadre run harm_count --plugin harm.so --in x.npy --out y.npy", 0, 1, 1, 1, 2, 0,
                            inputs, count_outputs, count_params, nullptr, count_plan, count_run, nullptr, nullptr, nullptr, nullptr};
const cadre_kernel* const kernels[] = {&map, &sum, &count};
const cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 3, 0, kernels};

}  // namespace

extern "C" CADRE_EXPORT const cadre_library* cadre_plugin(void) { return &library; }
