#pragma once
/* A pool of worker processes, forked when it is made, that run one task function over the chunks of one job after another. */
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include <cadre/pool/board.hpp>
#include <cadre/pool/start_method.hpp>
#include <cadre/pool/task.hpp>

namespace cadre {

struct PoolOptions {
  int workers = 1;            // 1 .. kMaxWorkers
  bool pin = true;            // one worker per usable CPU, in turn
  std::uint64_t shortest_deadline_ns = 0;  // that a kernel will be given; 0: none
  bool attach = false;        // to the board that an earlier program left at the same place of the arena
  StartMethod start = StartMethod::fork;
  bool on_threads = false;    // the same loop on threads of this process, for thread sanitizers: no supervision, no protection
};

/** For jobs that outlive the program. */
struct Continuation {
  std::uint32_t attach = 0;  // epoch of the job that the board has: what is done stays done, slots finish their records; 0: a new job
  std::function<void(std::uint32_t epoch)> ready;  // called when the board is written, before anything of the job can be claimed; may throw
};

/** How a job went. */
struct PoolResult {
  bool complete = false;      // every chunk is done
  Failure failure = Failure::none;
  int slot = 0;               // of the failure
  int status = 0;             // refill: errno; else as of waitpid
  std::uint64_t found_done = 0;  // attached: chunks that needed nothing any more
};

struct PoolCounts {
  std::uint64_t deaths = 0;   // of workers, since the pool was made
  std::uint64_t crashes = 0;  // deaths that held a chunk
  std::uint64_t timeouts = 0; // of them, by a deadline
  std::uint64_t retries = 0;  // whole chunks run again
};

class Pool {
 public:
  /** Starts the supervisors, and through them the workers; with another start method than fork they make the task by the recipe. Throws Error when that is
      impossible. */
  Pool(const PoolOptions& options, const Task& task, const TaskRecipe& recipe = {});
  /** Ends every process of the pool and waits until they are gone. */
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int workers() const noexcept;
  /** Slots that may own something: workers(), or more when the pool was attached to a board that has more. */
  int slots() const noexcept;
  /** Of a board that was attached to: the last job's epoch, which the board itself is not believed. Before the first run(). */
  void set_epoch(std::uint32_t epoch) noexcept;
  /** The epoch that the next run() gives its job; what belongs to it can be prepared before. */
  std::uint32_t next_epoch() const noexcept;
  /** Runs chunks 0 .. chunks - 1 (at most kMaxChunks) and waits until they are done or the job has failed. `ordered`: chunks are claimed lowest
      first. `look` (may be empty) is called about ten times a second with the number of chunks done, and returns what to do. Caller only,
      one thread at a time. Throws Error when the pool itself is lost; (damaged) when the board to attach to can not be what a program left of this job. */
  PoolResult run(std::uint64_t chunks, bool ordered, const std::function<Stop(std::uint64_t done)>& look = {},
                 const Continuation& continuation = {});

  PoolCounts counts() const noexcept;
  std::vector<pid_t> worker_pids() const;
  pid_t zygote() const noexcept;
  pid_t standby() const noexcept;
  Board& board() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/** "SIGSEGV" for a signal that ended a process. */
std::string signal_name(int signal);

}  // namespace cadre
