#include "signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include <cadre/engine/engine.hpp>

namespace cadre::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int kCount = sizeof kSignals / sizeof kSignals[0];
struct sigaction previous[kCount];
std::atomic<int> received{0};
std::atomic<bool> line_drawn{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_stop_signal(int number) {
  if (received.fetch_add(1) == 0) {
    request_stop(number);
    return;
  }
  if (line_drawn && ::write(STDERR_FILENO, "\n", 1) < 0) _exit(128 + number);
  _exit(128 + number);
}

}  // namespace

StopSignals::StopSignals() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < kCount; ++i) {
    sigaction(kSignals[i], nullptr, &previous[i]);
    if (previous[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

void set_line_drawn(bool drawn) noexcept { line_drawn = drawn; }

}  // namespace cadre::cli
