#include <cadre/pool/fork.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>

#include <cadre/shm/sanitizers.hpp>

namespace cadre {

namespace {

// A sanitizer reports through its own handlers of these.
bool is_reported(int signal) {
  for (int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP})
    if (signal == crash) return CADRE_UNDER_ASAN || CADRE_UNDER_TSAN;
  return false;
}

// The caller's handlers are not the child's business.
void default_handlers() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction now;
    if (!is_reported(signal) && sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_DFL) {
      struct sigaction def{};
      def.sa_handler = SIG_DFL;
      sigaction(signal, &def, nullptr);
    }
  }
  // What a terminal, or timeout(1), sends to everybody is for the caller to decide.
  for (int signal : {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE, SIGXFSZ}) {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    sigaction(signal, &ignore, nullptr);
  }
}

}  // namespace

void settle_in_child() noexcept {
  default_handlers();
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  sigset_t nothing;
  sigemptyset(&nothing);
  pthread_sigmask(SIG_SETMASK, &nothing, nullptr);
}

pid_t fork_child(void (*body)(void*), void* context, Orphan orphan) noexcept {
  const SignalsBlocked across_the_fork;
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (orphan == Orphan::killed) prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);  // it died before the line above could tell
  settle_in_child();
  body(context);
  _exit(0);
}

pid_t fork_process(void (*body)(void*), void* context) noexcept {
  const pid_t pid = [] {
    const SignalsBlocked across_the_fork;
    return fork();
  }();
  if (pid != 0) return pid;
  body(context);
  _exit(0);
}

int open_pidfd(pid_t pid) noexcept { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace cadre
