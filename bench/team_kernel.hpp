#pragma once
/* One of Cadre's kernels run by oneTBB alone: the same code on plain memory, called for the ranges that parallel_for cuts. What
   remains of a difference to an engine is the engine's. For kernels of one pass that map, fold, or both. */
#include <cadre/kernels/kernel.h>
#include <tbb/enumerable_thread_specific.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cadre::bench {

class TeamKernel {
 public:
  struct Input {
    const void* data;
    cadre_dtype type;
    std::vector<std::int64_t> shape;
  };
  /** `level` 2, 3 or 4; `outputs` by position, nullptr where an optional one is not wanted. Throws WrongAnswer when the kernel refuses. */
  TeamKernel(const std::string& name, int level, const std::vector<Input>& inputs, std::vector<void*> outputs,
             const std::vector<std::pair<std::string, double>>& params = {});

  /** Runs it in team(), ranges of at least `grain` elements. Results of one number are returned, those with a shape left out. */
  std::vector<double> run(std::size_t grain);

 private:
  struct Room {
    std::vector<std::byte> accumulator, scratch;
  };
  void run_range(std::size_t first, std::size_t count, Room& room);
  std::vector<double> finish();

  const cadre_kernel* kernel_;
  cadre_plan plan_{};
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  tbb::enumerable_thread_specific<Room> rooms_;
};

constexpr cadre_dtype kFloat64{CADRE_FLOAT, 64, 1};
constexpr cadre_dtype kInt64{CADRE_INT, 64, 1};

}  // namespace cadre::bench
