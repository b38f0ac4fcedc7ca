#pragma once
/* What the kernel tells of a worker, a process or a thread: asked for before and after a run, so that the difference is the run's. None of it costs
   anything while a run lasts.

     cpu            its CPU clock: time on a CPU
     wait           /proc/PID/task/TID/schedstat: time ready to run but waiting for a CPU
     minor, major   /proc/PID/task/TID/stat: page faults, without and with reading from a disk
     voluntary ...  /proc/PID/task/TID/status: context switches, because it slept or because another was given its CPU
     counters       perf_event_open: cycles, instructions, cache and TLB misses, moves between CPUs; where the machine has them */
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cadre::compare {

constexpr std::size_t kCounters = 5;
constexpr std::array<const char*, kCounters> kCounterNames{"cycles", "instructions", "cache_misses", "tlb_misses", "migrations"};

struct Usage {
  double cpu = 0, wait = 0;  // seconds
  std::uint64_t minor = 0, major = 0, voluntary = 0, involuntary = 0;
  std::array<std::uint64_t, kCounters> counters{};

  Usage& operator+=(const Usage& other);
  Usage operator-(const Usage& before) const;
};

struct WorkerUsage {
  pid_t task = 0;  // of a process its pid, else the thread's id
  Usage usage;
};

/** Memory of the process, in bytes. */
struct MemoryUse {
  std::uint64_t pss = 0;          // what it shares counted in parts
  std::uint64_t private_bytes = 0;
  std::uint64_t page_tables = 0;
};
MemoryUse memory_of(pid_t process);

/** The tasks of a backend, watched from the process that has made them. */
class Observer {
 public:
  /** `workers`: their pids; empty: all threads of this process. */
  explicit Observer(std::vector<pid_t> workers);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void begin();
  /** Since begin(), by worker. `workers`: as they are now, where some may have been replaced. */
  std::vector<WorkerUsage> end(std::vector<pid_t> workers);

  /** Why a counter can not be had, by kCounterNames; "" where it can. */
  const std::array<std::string, kCounters>& missing() const { return missing_; }

 private:
  struct Seen {
    pid_t process, task;
  };
  std::vector<Seen> tasks() const;
  Usage read(const Seen& seen);
  void open_counters(pid_t task);

  std::vector<pid_t> workers_;
  std::map<pid_t, Usage> before_;
  std::map<pid_t, std::array<int, kCounters>> counters_;
  std::array<std::string, kCounters> missing_;
};

}  // namespace cadre::compare
