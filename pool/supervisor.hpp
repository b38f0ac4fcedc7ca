#pragma once
/* The processes that watch the workers. The caller forks the standby, the standby forks the zygote, the zygote forks the workers:

     caller --- standby --- zygote --- workers

   All are single-threaded, so forking is safe whatever threads the caller has started. Who dies, and what comes of it:

     a worker    the zygote reaps it, notes how it died, and puts a new process into the slot, which finishes its record
     the zygote  the kernel kills the workers with it; they become the standby's children, which waits until all are gone and
                 then is the zygote. There is no second standby
     the standby the zygote goes on
     both        the workers die; the caller sees the lifeline close: the job fails
     the caller  both see its pidfd, kill their children and leave

   Under spawn and forkserver the standby is a fresh copy of the program; under spawn each worker is one too, started by the zygote (fresh.hpp).

   What decides (pids, counts, limits) is private memory: a worker may have scribbled on what is shared. */
#include <sys/types.h>

#include <vector>

#include <cadre/pool/board.hpp>
#include <cadre/pool/start_method.hpp>
#include <cadre/pool/task.hpp>

namespace cadre {

struct SupervisorPlan {
  Board* board = nullptr;
  const Task* task = nullptr;
  const TaskRecipe* recipe = nullptr;  // unless forked
  StartMethod start = StartMethod::fork;
  std::vector<int> cpus;   // slot i is pinned to cpus[i % size]; empty: not pinned
  pid_t caller = 0;
  int caller_pidfd = -1;
  int shutdown_fd = -1;    // readable: leave
  int lifeline_fd = -1;    // held by supervisors alone: its other end closes when the last of them is gone
  std::uint64_t look_ns = 500'000'000;  // how often the slots' clocks are read: shorter than deadlines
  std::uint32_t slots = 0;  // of which those from `active` on leave when they have finished their record, and are not filled again
  std::uint32_t active = 0;
};

/** Body of the process that the caller forks: standby, and parent of the zygote. Never returns to the caller's code. */
void supervise(const SupervisorPlan& plan);

/** The life of the worker in that slot, in a process that is to be it. */
void live_as_worker(const SupervisorPlan& plan, int slot);

}  // namespace cadre
