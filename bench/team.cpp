#include <cadre/bench/team.hpp>

#include <tbb/global_control.h>
#include <memory>

namespace cadre::bench {
namespace {
int size = 2;
}

void set_team_size(int threads) { size = threads; }
int team_size() { return size; }

tbb::task_arena& team() {
  // oneTBB gives no more threads than there are CPUs unless told so.
  static tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(std::max(8, size)));
  static tbb::task_arena arena(size);
  return arena;
}

}  // namespace cadre::bench
