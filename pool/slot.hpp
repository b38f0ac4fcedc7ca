#pragma once
/* A slot: a worker's place in shared memory, which outlives the processes that fill it. Chunks and locks are owned by slots.

   The record word says how far the slot has got with its chunk (docs/combine.md has the protocol and what a death in each state means):

     not ready, from     the kernel is computing elements [from, ...) of the chunk; the partial is rubbish
     ready, at, from     the partial is complete; blocks before `at` have been combined
     ready, at, saved    the image holds the old content of block `at`; the block itself may be torn

   It is one 64-bit word and always stored whole. */
#include <atomic>
#include <cstdint>

#include <cadre/shm/futex.hpp>

namespace cadre {

struct Record {
  bool ready = false;
  bool saved = false;
  std::uint32_t segment = 0;  // `at`: block `block` of segment `segment`, in the order of application
  std::uint32_t block = 0;
  std::uint32_t from = 0;     // elements of the chunk combined already

  static constexpr std::uint32_t kMaxSegment = (1u << 20) - 1, kMaxBlock = (1u << 18) - 1, kMaxFrom = (1u << 24) - 1;

  std::uint64_t packed() const noexcept {
    return std::uint64_t{ready} | std::uint64_t{saved} << 1 | std::uint64_t{segment} << 2 | std::uint64_t{block} << 22 | std::uint64_t{from} << 40;
  }
  static Record of(std::uint64_t word) noexcept {
    return {(word & 1) != 0, (word & 2) != 0, static_cast<std::uint32_t>(word >> 2) & kMaxSegment, static_cast<std::uint32_t>(word >> 22) & kMaxBlock,
            static_cast<std::uint32_t>(word >> 40)};
  }
};

/** What the slot's process is at. The supervisor reads it to tell a hang in our code from a long kernel. */
enum class Phase : std::uint32_t { starting, idle, spinning, sleeping, claiming, kernel, combining, retired };

/** Written by the slot's process alone, read by all. */
struct alignas(64) SlotLine {
  std::atomic<std::uint64_t> record;    // Record::packed()
  std::atomic<std::uint64_t> hint;      // chunk_word(epoch, chunk): stored before the claim, so a slot's chunk is found at once
  std::atomic<std::uint32_t> phase;     // Phase
  std::atomic<std::uint32_t> progress;  // moves whenever our own code gets on, or looks again
  std::atomic<std::uint32_t> started;   // processes that have registered in this slot
  std::atomic<std::uint32_t> retries;   // chunks that were computed again from the start
  std::atomic<std::uint32_t> tries;     // times that a kernel was entered: tells one try from the next
  std::atomic<std::uint32_t> searching; // 1: the kernel runs a piece of a chunk that is known to fail
  std::atomic<std::uint64_t> began;     // when the kernel was entered (monotonic_ns); kept only where there is a deadline
  std::atomic<std::uint64_t> allowed;   // nanoseconds that it may take from then; 0: any time
  std::atomic<std::uint32_t> keeps;     // 1: the process has something to put away before it leaves (Task::leave)

  /** Around every call of code that is not ours. */
  void enter_kernel(std::uint64_t allowed_ns) noexcept {
    tries.store(tries.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    allowed.store(allowed_ns, std::memory_order_relaxed);
    if (allowed_ns > 0) began.store(monotonic_ns(), std::memory_order_relaxed);
    phase.store(static_cast<std::uint32_t>(Phase::kernel), std::memory_order_release);  // partner: the supervisor, which reads `began` after it
  }
  void leave_kernel() noexcept { phase.store(static_cast<std::uint32_t>(Phase::combining), std::memory_order_relaxed); }
};
static_assert(sizeof(SlotLine) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

/** Written by the supervisor alone. */
struct alignas(64) SlotWatch {
  /* For people and reports. */
  std::atomic<std::int32_t> pid;        // 0: no process just now
  std::atomic<std::uint32_t> deaths;
  std::atomic<std::uint32_t> crashes;   // deaths that held a chunk, those of searches not counted
  std::atomic<std::uint32_t> timeouts;  // of them, by a deadline
  /* The last death that was a kernel's doing: of the try `charged_try` at the chunk of `charged_hint`. Read by the slot's next process. */
  std::atomic<std::uint64_t> charged_hint;
  std::atomic<std::uint32_t> charged_try;
  std::atomic<std::int32_t> signal, exit;
  std::atomic<std::uint32_t> timed_out, out_of_memory;
  std::atomic<std::uint64_t> peak_rss;  // bytes
};
static_assert(sizeof(SlotWatch) == 64);

}  // namespace cadre
