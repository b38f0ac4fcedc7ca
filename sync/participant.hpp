#pragma once
/* Who holds a lock: processes as 31-bit numbers that fit in a futex word and are never mistaken for one another.

   The front of the arena holds a table of the processes that have ever locked anything. An entry is one word, the pid and the time that
   process started (which a reused pid does not share), and a generation that moves when the entry is given to another process:

     participant = generation (17 bits) | index (14 bits), never 0

   An entry is taken by a CAS on its word, then the generation moves. Between the two, or when the taker dies there, an old participant
   of that entry is believed to live for as long as the taker does: whoever waits for it looks again. Entries of dead processes
   are taken over when no fresh one is left. Zero memory is a valid, empty table. */
#include <atomic>
#include <cstdint>

namespace cadre {

using Participant = std::uint32_t;
constexpr Participant kNobody = 0, kParticipantMask = 0x7fffffff;
/** Whom a word names in its upper half, above what it says of that process. */
constexpr Participant named_in(std::uint64_t word) { return static_cast<Participant>(word >> 32); }

namespace detail {
extern std::atomic<Participant> this_participant;  // kNobody until first asked for, and again in a forked child
extern constinit thread_local std::uint32_t this_thread;  // constinit: read without asking whether it is made
Participant enrol();
std::uint32_t ask_thread_id() noexcept;
}  // namespace detail

/** This process. Throws Error when 16,383 processes take part already. */
inline Participant participant() {
  const Participant me = detail::this_participant.load(std::memory_order_relaxed);  // only ever set to one value in a process
  return me != kNobody ? me : detail::enrol();
}
/** This thread's id, unique among the threads of the machine while it lives. */
inline std::uint32_t thread_id() noexcept { return detail::this_thread ? detail::this_thread : detail::ask_thread_id(); }

/** Whether that process still runs: neither ended, nor a zombie, nor another one with its pid. Reads /proc: about 10 us. */
bool is_alive(Participant participant) noexcept;
/** This process ends in order: its entry may be given away, and what it still holds counts as left by a dead one. */
void leave_participants() noexcept;

}  // namespace cadre
