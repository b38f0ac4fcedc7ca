#pragma once
/* The threads of the oneTBB contestants: one task_arena of as many as the processes that they are compared with, the caller one of them.

   Made at first use. Every engine of processes must exist by then: a child of a program that has used oneTBB would run on one thread. */
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <algorithm>
#include <cstddef>

namespace cadre::bench {

/** Before the first use of team(). */
void set_team_size(int threads);
int team_size();
tbb::task_arena& team();

/** f(first, count) for parts of [0, n), whole multiples of `grain` but for the last, the same thread for the same part. For set-up and checks. */
template <class F>
void each_part(std::size_t n, std::size_t grain, const F& f) {
  // Isolated: called from within a task, a thread that waits here takes none of the tasks outside.
  team().execute([&] {
    tbb::this_task_arena::isolate([&] {
      tbb::parallel_for(
          tbb::blocked_range<std::size_t>(0, (n + grain - 1) / grain),
          [&](const tbb::blocked_range<std::size_t>& r) { f(r.begin() * grain, std::min(n, r.end() * grain) - r.begin() * grain); },
          tbb::static_partitioner());
    });
  });
}

}  // namespace cadre::bench
