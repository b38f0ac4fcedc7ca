#include "signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include <cadre/engine/engine.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int kCount = sizeof kSignals / sizeof kSignals[0];
struct sigaction previous[kCount];
std::atomic<int> received{0};
std::atomic<std::uint64_t> last{0};
constexpr const char* kAtOnce = "stopped at once by a second signal";
std::atomic<bool> line_drawn{false};
std::atomic<int> results{STDOUT_FILENO};
std::atomic<const char*> at_once{nullptr}, at_once_json{nullptr};  // what a sudden end says on stderr, and on stdout
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

// timeout(1) and shells signal the program and its group: what comes twice within this time was meant once.
constexpr std::uint64_t kOnceNs = 20'000'000;

extern "C" void on_stop_signal(int number) {
  const std::uint64_t now = monotonic_ns(), before = last;
  if (before != 0 && now - before < kOnceNs) return;
  last = now;
  const auto say = [](int fd, const char* text) { (void)!::write(fd, text, std::strlen(text)); };
  if (line_drawn) say(STDERR_FILENO, "\n");
  if (received.fetch_add(1) == 0) {
    request_stop(number);
    say(STDERR_FILENO, "cadre: stopping when the chunks that are running are done; once more stops at once\n");
    return;
  }
  say(STDERR_FILENO, at_once);
  say(results, at_once_json);
  _exit(128 + number);
}

}  // namespace

StopSignals::StopSignals(bool json) : wants_json_(json), error_(std::string("cadre: ") + kAtOnce + "\n"), json_(json ? std::string("{\"error\": \"") + kAtOnce + "\"}\n" : "") {
  received = 0;
  last = 0;
  results = STDOUT_FILENO;
  at_once = error_.c_str();
  at_once_json = json_.c_str();
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < kCount; ++i) {
    sigaction(kSignals[i], nullptr, &previous[i]);
    if (previous[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

void StopSignals::started(Report report, const std::string& journal) {
  report.error = kAtOnce + (journal.empty() ? "" : "; the same command with --resume carries on from the journal in " + journal);
  told_error_ = "cadre: " + report.error + "\n";
  told_json_ = wants_json_ ? to_json(report) + "\n" : "";
  at_once = told_error_.c_str();
  at_once_json = told_json_.c_str();
}

void StopSignals::results_to(int fd) { results = fd; }

StopSignals::~StopSignals() {
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

void set_line_drawn(bool drawn) noexcept { line_drawn = drawn; }

}  // namespace cadre::cli
