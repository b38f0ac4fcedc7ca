#pragma once
/* The one file that forks. */
#include <signal.h>
#include <sys/types.h>

namespace cadre {

/** Who ends a child whose parent dies without a word. */
enum class Orphan { killed /* by the kernel, when the parent's thread ends: only for single-threaded parents */, lives };

/** All signals, for the calling thread and what it starts meanwhile. errno stays as it is. */
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

/** Runs `body(context)` in a child that never returns from it. Signals are blocked across the fork; the child has default handlers, no core
    dumps, no pending signals, and leaves by _exit (0) when body returns. Returns the child's pid, or -1 with errno set. */
pid_t fork_child(void (*body)(void* context), void* context, Orphan orphan) noexcept;

/** What such a child is like: default handlers, none for what is sent to everybody (SIGINT, SIGQUIT, SIGHUP, SIGTERM), no core dumps, no signal blocked. */
void settle_in_child() noexcept;

/** The same for a process of the user's: it keeps signal handlers and mask, standard input and limits as they are here, as fork does. */
pid_t fork_process(void (*body)(void* context), void* context) noexcept;

/** A pidfd (poll: readable when the process has ended), or -1. */
int open_pidfd(pid_t pid) noexcept;

}  // namespace cadre
