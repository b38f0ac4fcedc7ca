#pragma once
/* The board: what a pool's processes share. One job at a time is written on it by the caller.

   A chunk's word is {epoch of the job, state}, and is the truth about the chunk:

     pending ---- CAS by a worker ----> slot + 1 (claimed) ---- by that slot ----> done
        |                                    |
        | CAS by the caller, job stopped     | by that slot, job failed
        v                                    v
     cancelled                            abandoned (the slot's record stays as it is)

   The epoch stops a process that wakes late, with the description of a job that is over, from claiming a chunk of the next
   one; the words live in memory that is never used for anything else. A worker reads the description of a job only after
   it has claimed a chunk of it: from then on the job can not end. Everything but the words is a hint.

   Where the arena is a journal's, a board outlives its processes. The next program attaches to it, if words and slots agree, and believes nothing else of it:
   cancelled chunks are pending again, abandoned ones are the slot's that has the record of them, and behind a gate, which is opened when the job's description is there, a new process in every slot begins by
   finishing its record, as a successor in any slot does. */
#include <atomic>
#include <cstdint>

#include <cadre/pool/slot.hpp>

namespace cadre {

constexpr std::uint64_t kMaxChunks = 1u << 24;
constexpr int kMaxWorkers = 1024;

namespace chunk_state {
// In a journal a byte may be damaged: the three differ in two bytes from one another and from everything else.
constexpr std::uint32_t pending = 0, done = 0xffffffff, abandoned = 0xffff0000, cancelled = 0xff00ff00;
constexpr bool claimed(std::uint32_t state) { return state != pending && state < cancelled; }
}  // namespace chunk_state

constexpr std::uint64_t chunk_word(std::uint32_t epoch, std::uint32_t low) { return std::uint64_t{epoch} << 32 | low; }
constexpr std::uint32_t epoch_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint32_t state_of(std::uint64_t word) { return static_cast<std::uint32_t>(word); }

enum class Stop : std::uint32_t {
  no,
  drain,    // claim nothing more, finish what was claimed
  abandon   // the job has failed: give up what was claimed as well
};

/** What the caller does while a job runs; idle workers leave it their CPU unless it is away. */
enum class CallerIs : std::uint32_t { away, awake, asleep };

/** Why a job can not be finished; the first to say so wins. */
enum class Failure : std::uint32_t {
  none,
  restarts,  // processes die before they have taken their slot
  refill,    // no process can be made
  outside    // a chunk's processes die, one after the other, outside the kernel
};

struct Board {
  /* Written by the caller. */
  alignas(64) std::atomic<std::uint32_t> epoch;  // the job; futex on which idle workers sleep
  std::atomic<std::uint32_t> chunks;             // read without care by workers that wake late, hence atomic
  std::atomic<std::uint32_t> ordered;            // claim the lowest pending chunk
  std::uint32_t workers;                         // slots: more than `active` where an earlier program had more
  std::atomic<std::uint32_t> kept_workers;       // the same and its complement, for the next program
  std::uint32_t active;                          // slots that are to work; the others finish their records and retire
  std::atomic<std::uint32_t> gate;               // 1: shut, processes wait before they look at anything; futex
  std::uint32_t spinners;                        // how many idle workers may spin
  std::atomic<std::uint32_t> shutdown;

  /* Written by workers, supervisor and caller. */
  alignas(64) std::atomic<std::uint64_t> done;   // chunk_word(epoch, chunks done): never more than there are
  std::atomic<std::uint32_t> finished;           // epoch of the last job that all chunks are done of; futex on which the caller sleeps
  std::atomic<std::uint32_t> caller;             // CallerIs
  alignas(64) std::atomic<std::uint64_t> cursor; // chunk_word(epoch, c): all chunks before c are claimed; may lag, never leads
  alignas(64) std::atomic<std::uint32_t> stop;   // Stop

  /* A failure: written by who wins the CAS on `failure`, complete when `failure_told` is the epoch. */
  alignas(64) std::atomic<std::uint64_t> failure;  // chunk_word(epoch, Failure)
  std::uint32_t failed_slot;
  std::int32_t failed_status;                      // refill: errno; else as of waitpid
  std::atomic<std::uint32_t> failure_told;

  /* Written by the supervisor. */
  alignas(64) std::atomic<std::int32_t> zygote;    // pids, for people and tests
  std::atomic<std::int32_t> standby;
  std::atomic<std::uint32_t> unfilled;             // slots that could not be given a process at the start,
  std::atomic<std::int32_t> unfilled_error;        // and why (errno)
  std::atomic<std::uint32_t> dead;                 // the pool can not go on: Failure

  std::atomic<std::uint64_t>* words;               // [kMaxChunks], in the arena
  SlotLine* lines;                                 // [workers]
  SlotWatch* watches;                              // [workers]

  /** The steps of post(), for a caller that has more to write between them, and then stores `epoch` itself. */
  void write_words(std::uint32_t of, std::uint64_t chunks) noexcept;
  void describe(std::uint32_t of, std::uint64_t chunks, bool in_order) noexcept;
  /** Writes a job of chunks 0 .. chunks - 1 on the board, for all to see, and returns its epoch. The one before is over. Caller only. */
  std::uint32_t post(std::uint64_t chunks, bool in_order) noexcept;

  /** Tells a failure of the current job, once, and stops it. Returns whether this call was the first. Worker or supervisor. */
  bool fail(std::uint32_t at_epoch, Failure why, std::uint32_t slot, std::int32_t status) noexcept;
};

}  // namespace cadre
