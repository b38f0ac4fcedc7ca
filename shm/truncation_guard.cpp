#include <cadre/shm/truncation_guard.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {
namespace {

static_assert(std::atomic<const void*>::is_always_lock_free);

std::atomic<std::atomic<const void*>*> noted_in{nullptr};
// Constant once the handler is installed.
struct sigaction previous;
const Arena* arena = nullptr;
std::uintptr_t page_size = 4096;

/* True when the fault was ours and the access may be repeated. Async-signal-safe. */
bool cover(const siginfo_t& info) noexcept {
  if (info.si_code != BUS_ADRERR) return false;
  auto* const at = static_cast<std::byte*>(info.si_addr);
  const std::byte* known_as = at;
  if (!arena->contains_file(known_as)) known_as -= detail::window_distance;
  if (!arena->contains_file(known_as)) return false;
  void* const page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) & ~(page_size - 1));
  if (mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return false;
  const void* nothing = nullptr;
  if (std::atomic<const void*>* where = noted_in.load()) where->compare_exchange_strong(nothing, known_as);
  return true;
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const bool ours = cover(*info);
  errno = saved;
  if (ours) return;
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else if (info->si_code > 0) {
    ::signal(SIGBUS, SIG_DFL);  // a fault: it happens again on return, now with the default action
  } else if (previous.sa_handler == SIG_DFL) {
    ::signal(SIGBUS, SIG_DFL);  // sent by somebody: delivered again as soon as the handler returns
    raise(SIGBUS);
  }
}

}  // namespace

void install_truncation_guard(std::atomic<const void*>* where) {
  arena = &Arena::instance();
  page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  noted_in.store(where);
  struct sigaction now{}, action{};
  if (sigaction(SIGBUS, nullptr, &now) != 0) throw_errno("look up the handler of SIGBUS", errno);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus) return;
  previous = now;
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, &action, nullptr) != 0) throw_errno("install the handler of SIGBUS", errno);
}

}  // namespace cadre
