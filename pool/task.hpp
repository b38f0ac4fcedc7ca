#pragma once
/* What a pool runs: one set of functions, fixed before the fork. The pool knows chunk numbers and slots, nothing of kernels. */
#include <cstdint>

namespace cadre {

enum class Outcome { done, abandoned };

struct Task {
  void* context = nullptr;
  /** Called once by each process when it has taken its slot. May be null. */
  void (*start)(void* context, int slot) = nullptr;
  /** Runs a chunk that the slot has claimed. `resumed`: it was claimed by a predecessor of this process, which died; the slot's record
      says how far it got. Called in a worker; must not throw. */
  Outcome (*run)(void* context, int slot, std::uint32_t epoch, std::uint64_t chunk, bool resumed) = nullptr;
};

}  // namespace cadre
