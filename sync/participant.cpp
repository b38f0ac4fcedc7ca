#include <cadre/sync/participant.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {

namespace detail {
std::atomic<Participant> this_participant{kNobody};
constinit thread_local std::uint32_t this_thread = 0;
}  // namespace detail

namespace {

constexpr std::uint32_t kIndexBits = 14, kEntries = 1u << kIndexBits, kGenerations = 1u << 17;
constexpr std::uint64_t kStartBits = 42;  // clock ticks since the machine started; the pid is below 2^22

struct Entry {
  std::atomic<std::uint64_t> who;         // pid << 42 | start time; 0: nobody
  std::atomic<std::uint32_t> generation;  // of who took it last
  std::uint32_t unused;
};
static_assert(sizeof(Entry) == 16 && kEntries * sizeof(Entry) <= kRegistryBytes / 2 && std::atomic<std::uint64_t>::is_always_lock_free);

struct Table {
  Entry entries[kEntries];
};

Table& table() { return *reinterpret_cast<Table*>(Arena::instance().base()); }

enum class Life { runs, ended, unknown };

// What /proc says of a process: whether it runs, and since when.
Life look(pid_t pid, std::uint64_t& started) noexcept {
  char path[32], text[512];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == ESRCH ? Life::ended : Life::unknown;
  const ssize_t got = read(fd, text, sizeof text - 1);
  const int error = errno;
  close(fd);
  if (got <= 0) return got < 0 && error == ESRCH ? Life::ended : Life::unknown;
  text[got] = 0;
  const char* at = std::strrchr(text, ')');  // the name may hold anything
  if (!at) return Life::unknown;
  char state = 0;
  unsigned long long since = 0;
  long threads = 0;
  if (std::sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu", &state, &threads, &since) != 3) return Life::unknown;
  started = since & ((std::uint64_t{1} << kStartBits) - 1);
  // A process whose first thread has ended while others run looks like a zombie with several threads.
  return (state == 'Z' && threads <= 1) || state == 'X' ? Life::ended : Life::runs;
}

bool runs(std::uint64_t who) noexcept {
  const auto pid = static_cast<pid_t>(who >> kStartBits);
  std::uint64_t started = 0;
  switch (look(pid, started)) {
    case Life::runs: return started == (who & ((std::uint64_t{1} << kStartBits) - 1));
    case Life::ended: return false;
    case Life::unknown: break;
  }
  return kill(pid, 0) == 0 || errno == EPERM;  // no descriptors left, or no /proc: a reused pid can not be told
}

void forget_self() noexcept {
  detail::this_participant.store(kNobody, std::memory_order_relaxed);
  detail::this_thread = 0;
}

void watch_forks() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, forget_self); });
}

Participant take(std::uint32_t index, std::uint64_t before, std::uint64_t me) noexcept {
  Entry& entry = table().entries[index];
  if (!entry.who.compare_exchange_strong(before, me)) return kNobody;
  const std::uint32_t generation = (entry.generation.load() + 1) % kGenerations;
  entry.generation.store(generation);
  return generation << kIndexBits | index;
}

}  // namespace

namespace detail {

std::uint32_t ask_thread_id() noexcept {
  watch_forks();
  return this_thread = static_cast<std::uint32_t>(gettid());
}

Participant enrol() {
  static std::mutex mutex;  // two threads of a process are one participant
  const std::lock_guard lock(mutex);
  if (const Participant me = this_participant.load(std::memory_order_relaxed)) return me;
  watch_forks();
  std::uint64_t started = 0;
  if (look(getpid(), started) == Life::unknown) started = 0;
  const std::uint64_t who = static_cast<std::uint64_t>(getpid()) << kStartBits | started;
  Participant me = kNobody;
  Entry* const entries = table().entries;
  for (std::uint32_t i = 1; i < kEntries && me == kNobody; ++i)
    if (entries[i].who.load(std::memory_order_relaxed) == 0) me = take(i, 0, who);
  for (std::uint32_t i = 1; i < kEntries && me == kNobody; ++i) {
    const std::uint64_t other = entries[i].who.load();
    if (other == 0 || !runs(other)) me = take(i, other, who);
  }
  if (me == kNobody) throw Error("more than " + std::to_string(kEntries - 1) + " processes use locks of this program at once");
  this_participant.store(me, std::memory_order_relaxed);
  return me;
}

}  // namespace detail

bool is_alive(Participant participant) noexcept {
  if (participant == detail::this_participant.load(std::memory_order_relaxed)) return participant != kNobody;
  const Entry& entry = table().entries[participant % kEntries];
  const std::uint64_t who = entry.who.load();
  return who != 0 && entry.generation.load() == participant >> kIndexBits && runs(who);
}

void leave_participants() noexcept {
  const Participant me = detail::this_participant.load(std::memory_order_relaxed);
  if (me != kNobody) table().entries[me % kEntries].who.store(0);
  forget_self();
}

}  // namespace cadre
