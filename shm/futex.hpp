#pragma once
/* Shared futexes: waiting on 32-bit words that several processes map. std::atomic::wait is no use here: its futexes are private
   to a process. A waker can die between its store and its wake, so every wait has a limit, after which the waiter looks again. */
#include <atomic>
#include <chrono>
#include <cstdint>

namespace cadre {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

/** The longest that any wait within a job sleeps before it looks again. */
constexpr std::chrono::milliseconds kLookAgain{50};

/** Sleeps while *word == expected, until woken, `limit` is over, or for no reason: the caller looks again. Any process. */
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::chrono::nanoseconds limit = kLookAgain) noexcept;
/** Wakes up to `count` waiters of `word`; returns how many. Any process. */
int futex_wake(std::atomic<std::uint32_t>& word, int count = 0x7fffffff) noexcept;

/** A spinning processor's breath. */
inline void cpu_relax() noexcept { __builtin_ia32_pause(); }

/** CLOCK_MONOTONIC in nanoseconds: comparable between the processes of a machine. */
std::uint64_t monotonic_ns() noexcept;

}  // namespace cadre
