#include <cadre/engine/crash.hpp>

#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cstdio>
#include <cstring>
#include <exception>

namespace cadre {

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGXCPU};
constexpr std::size_t kStackBytes = 256u << 10;

struct Library {
  std::uintptr_t begin, end;
  std::uint64_t offset;
  char file[sizeof Frame::file];
};
constexpr std::size_t kMostLibraries = 512;

// Constant while a kernel runs.
SlotLine* line = nullptr;
Witness* witness = nullptr;
Library libraries[kMostLibraries];
std::size_t n_libraries = 0;
std::uintptr_t stack_low = 0;  // where the main stack may grow no further; 0: no limit, or not known
struct sigaction before[NSIG];

bool in_kernel() { return line->phase.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(Phase::kernel); }

// A return address is behind its call, which may be the last instruction of a line.
void write_frame(std::uintptr_t at, bool returned_to) {
  const std::uintptr_t in_call = returned_to ? at - 1 : at;
  for (std::size_t i = 0; i < n_libraries; ++i) {
    const Library& l = libraries[i];
    if (in_call < l.begin || in_call >= l.end) continue;
    Frame& f = witness->frames[witness->n_frames];
    f.offset = in_call - l.begin + l.offset;
    std::memcpy(f.file, l.file, sizeof f.file);
    ++witness->n_frames;
    return;
  }
}

struct Walk {
  std::uintptr_t from;
  bool begun;
};
_Unwind_Reason_Code write_next(_Unwind_Context* context, void* state) {
  Walk& walk = *static_cast<Walk*>(state);
  int at_instruction = 0;
  const std::uintptr_t at = _Unwind_GetIPInfo(context, &at_instruction);
  walk.begun = walk.begun || at == walk.from;  // before it: this handler
  if (walk.begun) write_frame(at, at_instruction == 0);
  return witness->n_frames < kMaxFrames ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// With GCC's own unwinder: libunwind would take the place of the one that exceptions use.
void write_stack(const ucontext_t& context) {
  const auto rip = static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
  Walk walk{rip, false};
  _Unwind_Backtrace(write_next, &walk);
  if (witness->n_frames > 0) return;
  // A call to where there is no code: whoever made it is on top of the stack.
  write_frame(rip, false);
  if (witness->n_frames == 0) write_frame(*reinterpret_cast<const std::uintptr_t*>(context.uc_mcontext.gregs[REG_RSP]), true);
}

// Where the stack pointer is at the end of what the stack may grow to, or beyond: a big frame is taken before it is touched.
bool stack_is_full(const ucontext_t& context) {
  constexpr std::uintptr_t kNear = 64 << 10;
  const auto at = static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
  return stack_low != 0 && at < stack_low + kNear && at > stack_low - (std::uintptr_t{1} << 30);
}

// Async-signal-safe, but for what the unwinder does. If it crashes itself, the signal is at its default by then, and ends the process.
void on_crash(int signal, siginfo_t* info, void* context) {
  if (signal == SIGXCPU && !in_kernel()) return;  // the kernel returned in time after all
  if (signal == SIGBUS && info->si_code > 0 && before[SIGBUS].sa_sigaction && (before[SIGBUS].sa_flags & SA_SIGINFO)) {
    // A page of a truncated file is not the kernel's fault: the guard covers it, or lets the signal come again at its default.
    struct sigaction mine;
    sigaction(SIGBUS, nullptr, &mine);
    before[SIGBUS].sa_sigaction(signal, info, context);
    struct sigaction now;
    sigaction(SIGBUS, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == mine.sa_sigaction) return;
  }
  for (int s : kSignals) ::signal(s, SIG_DFL);
  if (in_kernel()) {
    if (witness->tried != line->tries.load(std::memory_order_relaxed)) witness->what[0] = 0;  // a terminate has just written there, or nobody
    if (signal == SIGSEGV && stack_is_full(*static_cast<const ucontext_t*>(context))) std::strcpy(witness->what, "stack overflow");
    witness->signal = signal;
    witness->n_frames = 0;
    witness->tried = line->tries.load(std::memory_order_relaxed);
    write_stack(*static_cast<const ucontext_t*>(context));
  }
  if (signal == SIGXCPU) kill(getpid(), SIGKILL);
  if (before[signal].sa_handler != SIG_DFL && before[signal].sa_handler != SIG_IGN) {  // a sanitizer's, which reports
    sigaction(signal, &before[signal], nullptr);
    if (info->si_code > 0) return;  // the fault comes again
  }
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal);
}

[[noreturn]] void on_terminate() {
  if (line && in_kernel()) {
    witness->what[0] = 0;
    if (const std::exception_ptr e = std::current_exception()) {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& known) {
        std::snprintf(witness->what, sizeof witness->what, "%s", known.what());
      } catch (...) {
        std::snprintf(witness->what, sizeof witness->what, "an exception that is not a std::exception");
      }
    }
    witness->tried = line->tries.load(std::memory_order_relaxed);
  }
  abort();
}

// exit() in a kernel: what the caller registered is not for this process to do.
void on_leave(int status, void*) { _exit(status); }

}  // namespace

void witness_crashes(SlotLine* of, Witness* where) {
  line = of;
  witness = where;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack != MAP_FAILED) {
    stack_t alternate{};
    alternate.ss_sp = stack;
    alternate.ss_size = kStackBytes;
    sigaltstack(&alternate, nullptr);
  }
  for (int s : kSignals) {
    struct sigaction action{};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(s, &action, &before[s]);
  }
  std::set_terminate(on_terminate);
  on_exit(on_leave, nullptr);
  _Unwind_Backtrace([](_Unwind_Context*, void*) { return _URC_END_OF_STACK; }, nullptr);  // what it allocates, it allocates now
  note_libraries();
}

void keep_stdout_clean() {
  __fpurge(stdout);  // what the caller had not yet written is the caller's
  dup2(STDERR_FILENO, STDOUT_FILENO);
}

void note_libraries() {
  n_libraries = 0;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return;
  char text[4096];
  while (n_libraries < kMostLibraries && std::fgets(text, sizeof text, maps)) {
    unsigned long begin = 0, end = 0, offset = 0;
    char access[8] = {};
    int path = 0;
    const int read = std::sscanf(text, "%lx-%lx %7s %lx %*s %*s %n", &begin, &end, access, &offset, &path);
    if (rlimit limit; read >= 4 && std::strncmp(text + path, "[stack]", 7) == 0 && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < end) stack_low = end - limit.rlim_cur;
    if (read < 4 || access[2] != 'x' || text[path] != '/') continue;
    text[std::strcspn(text, "\n")] = 0;
    if (std::strlen(text + path) >= sizeof Library::file) continue;
    Library& l = libraries[n_libraries++];
    l.begin = begin;
    l.end = end;
    l.offset = offset;
    std::snprintf(l.file, sizeof l.file, "%s", text + path);
  }
  std::fclose(maps);
}

FloatingPointMode::FloatingPointMode() noexcept : mxcsr_(__builtin_ia32_stmxcsr()) { asm volatile("fnstcw %0" : "=m"(x87_)); }

void FloatingPointMode::put_back() const noexcept {
  constexpr std::uint32_t kFlags = 0x3f;  // of exceptions that happened: not a mode
  if (((__builtin_ia32_stmxcsr() ^ mxcsr_) & ~kFlags) != 0) __builtin_ia32_ldmxcsr(mxcsr_);
  std::uint16_t x87;
  asm volatile("fnstcw %0" : "=m"(x87));
  if (x87 != x87_) asm volatile("fldcw %0" : : "m"(x87_));
}

}  // namespace cadre
