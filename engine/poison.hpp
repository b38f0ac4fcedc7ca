#pragma once
/* What is written down, in shared memory, about kernels that fail: by a slot's processes about its own chunk, and about elements that were found to
   be the cause. Plain data: a process may die between any two stores, see inquiry.hpp for what holds then. */
#include <atomic>
#include <cstdint>

namespace cadre {

constexpr std::uint32_t kMaxFrames = 24;
constexpr std::uint64_t kMostSkipped = 1'000'000;  // --max-skipped
constexpr std::uint32_t kToldInFull = 256;         // poison elements with message and stack; the others with how they ended

/** A place in a program or library, as a file and an offset in it: processes and the caller map them at different addresses. */
struct Frame {
  std::uint64_t offset;
  char file[152];
};

/** How a kernel's call failed: as its own process saw it. */
struct Witness {
  std::uint32_t tried;         // SlotLine::tries of the call; written last
  std::int32_t signal;         // that the process was dying of; 0: none
  char what[256];              // message of an exception; "" none
  std::uint32_t n_frames;
  Frame frames[kMaxFrames];    // innermost first
};

/** An element that fails alone, every time. It counts when `check` is there. */
struct PoisonEntry {
  std::uint32_t epoch;               // of the pass
  std::uint32_t chunk;
  std::uint64_t element;             // of the index space
  std::int32_t signal, exit;         // 0, -1: none
  std::uint32_t timed_out, out_of_memory;
  std::uint32_t attempts, unused;
  std::uint64_t peak_rss;
  std::atomic<std::uint64_t> check;  // hash of the above, never 0; stored last. 0: there is none

  std::uint64_t hash() const noexcept;
  /** Whether it is one of that pass. */
  bool is_of(std::uint32_t pass_epoch) const noexcept;
};

struct PoisonList {
  std::atomic<std::uint32_t> taken;  // entries given out, of this job; an entry whose writer died may stay empty
  Witness told[kToldInFull];         // of the first entries
  PoisonEntry entries[];             // [Work::most_poison]
};

/** Where the search in a slot's chunk is. */
enum class Stage : std::uint32_t {
  whole,      // the chunk is run as such
  narrowing,  // [lo, hi) failed: its front half is tried next
  single,     // element lo is tried alone
  vain        // no element fails alone
};

struct Search {
  std::uint32_t epoch, chunk;   // another chunk's search is none
  Stage stage;
  std::uint32_t failures;       // in this stage
  std::uint32_t judged;         // the try whose failure was counted last: it is counted once
  std::uint32_t known;          // the chunk has failed often enough: it is narrowed at its next failure
  std::uint64_t lo, hi;         // elements of the chunk
  std::int32_t signal, exit;    // of the last failure
  std::uint32_t timed_out, out_of_memory;
  std::uint64_t peak_rss;
  std::uint64_t check;          // hash of the above, for the next program; 0: there is none

  std::uint64_t hash() const noexcept;
};

/** One per slot. Of the two searches `current` says which holds: the other is written, then `current`. */
struct alignas(64) SlotTrouble {
  std::atomic<std::uint32_t> current;
  Search search[2];
  Witness witness;
};

}  // namespace cadre
