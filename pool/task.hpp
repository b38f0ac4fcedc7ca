#pragma once
/* What a pool runs: one set of functions, fixed before the fork. The pool knows chunk numbers and slots, nothing of kernels. */
#include <cstdint>

#include <cadre/pool/death.hpp>
#include <cadre/pool/slot.hpp>
#include <cadre/shm/parcel.hpp>

namespace cadre {

enum class Outcome { done, abandoned };

struct Task {
  void* context = nullptr;
  /** Called once by each process when it has taken its slot. May be null. */
  void (*start)(void* context, int slot, SlotLine& line) = nullptr;
  /** Runs a chunk that the slot has claimed. `predecessor`: it was claimed by another process in this slot, which died so; the slot's record
      says how far it got. Null: this process has claimed it. Called in a worker; must not throw. */
  Outcome (*run)(void* context, int slot, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) = nullptr;
  /** Asked after each chunk; true: the process leaves and another takes its place. May be null. */
  bool (*worn)(void* context) = nullptr;
  /** The process leaves in order: it puts away what it keeps, for which it has set its line's `keeps`. Not called where it is killed. May be null. */
  void (*leave)(void* context) = nullptr;
};

/** How a process that is not forked comes by the task: `make` reads what `parcel` holds. Once per process. */
struct TaskRecipe {
  Task (*make)(ParcelReader& reader) = nullptr;
  Parcel parcel;
};

}  // namespace cadre
