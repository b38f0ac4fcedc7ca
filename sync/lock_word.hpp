#pragma once
/* A lock in shared memory: one futex word that names the process which holds it.

     0                       free
     participant             held
     participant | waiters   held, and somebody may be asleep: the releaser wakes one

   Acquired by a CAS, released by an exchange with 0, by whichever process. What a death means:

     of the holder           whoever waits looks every 4 ms whether the holder lives, and takes the lock over with a CAS that names the dead one: exactly
                             one waiter succeeds, and is told
     between release and wake, or of the one that was woken: the others look again by themselves

   Zero memory is a free lock. */
#include <atomic>
#include <chrono>
#include <cstdint>

#include <cadre/sync/deadline.hpp>
#include <cadre/sync/participant.hpp>

namespace cadre {

/** How often whoever waits for a process looks whether it lives. */
constexpr std::chrono::milliseconds kLookForDead{4};

/** How trying to get a lock ended. */
enum class [[nodiscard]] LockResult {
  acquired,
  timed_out,   // not held
  owner_died,  // held; the process that held it before ended without releasing it: what it guards may be half changed
};

struct LockWord {
  std::atomic<std::uint32_t> word;

  LockResult acquire(Deadline deadline) {
    const Participant me = participant();
    std::uint32_t free = 0;
    // Acquire: partner is the release of the process that held it before.
    if (word.compare_exchange_strong(free, me, std::memory_order_acquire, std::memory_order_relaxed)) return LockResult::acquired;
    return acquire_slowly(deadline, me);
  }
  /** Gives it up, whoever holds it; false when nobody did. */
  bool release() noexcept {
    const std::uint32_t before = word.exchange(0, std::memory_order_release);
    if (before & ~kParticipantMask) wake_one();
    return before != 0;
  }
  /** Who holds it, as of now. */
  Participant holder() const noexcept { return word.load(std::memory_order_relaxed) & kParticipantMask; }

 private:
  LockResult acquire_slowly(Deadline deadline, Participant me);
  void wake_one() noexcept;
};
static_assert(sizeof(LockWord) == 4);

}  // namespace cadre
