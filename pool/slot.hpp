#pragma once
/* A slot: a worker's place in shared memory, which outlives the processes that fill it. Chunks and locks are owned by slots.

   The record word says how far the slot has got with its chunk (docs/combine.md has the protocol and what a death in each state means):

     not ready, from     the kernel is computing elements [from, ...) of the chunk; the partial is rubbish
     ready, at, from     the partial is complete; blocks before `at` have been combined
     ready, at, saved    the image holds the old content of block `at`; the block itself may be torn

   It is one 64-bit word and always stored whole. */
#include <atomic>
#include <cstdint>

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
enum class Phase : std::uint32_t { starting, idle, spinning, sleeping, claiming, kernel, combining };

/** Written by the slot's process alone, read by all. */
struct alignas(64) SlotLine {
  std::atomic<std::uint64_t> record;    // Record::packed()
  std::atomic<std::uint64_t> hint;      // chunk_word(epoch, chunk): stored before the claim, so a slot's chunk is found at once
  std::atomic<std::uint32_t> phase;     // Phase
  std::atomic<std::uint32_t> progress;  // moves whenever our own code gets on, or looks again
  std::atomic<std::uint32_t> started;   // processes that have registered in this slot
  std::atomic<std::uint32_t> retries;   // chunks that a process computed again for its predecessor
};
static_assert(sizeof(SlotLine) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

/** Written by the supervisor alone. For people and reports: no decision is taken from it. */
struct alignas(64) SlotWatch {
  std::atomic<std::int32_t> pid;        // 0: no process just now
  std::atomic<std::uint32_t> deaths;
  std::atomic<std::uint32_t> crashes;   // deaths that held a chunk
};

}  // namespace cadre
