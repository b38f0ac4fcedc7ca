#pragma once
/* Counting semaphores between processes. The permits that a semaphore is made with are lent: those that a process had acquired and not released
   when it was killed return. Permits that were added later, by more releases than acquires, are messages: who takes one keeps it.

   The truth is a row of counts, one per process that holds permits, and the number of permits there are; each change is the store of one word,
   so a death between two of them leaves nothing to repair:

     free permits = permits - sum of held

   acquire adds one to the own count (or takes away a permit when all lent ones are out); release takes one from the own count, else from
   somebody's (Python lets any process release), else adds a permit, which BoundedSemaphore refuses. */
#include <atomic>
#include <chrono>
#include <cstdint>

#include <cadre/shm/shared.hpp>
#include <cadre/sync/lock_word.hpp>

namespace cadre {

namespace detail {

struct Holding {
  std::atomic<std::uint64_t> word;  // participant << 32 | permits that it holds
};

struct SemaphoreState {
  LockWord guard;                      // of all below
  std::atomic<std::uint32_t> changes;  // moves with every release: futex on which waiters sleep
  std::uint64_t permits;               // there are, free or held
  std::uint32_t lent;                  // most that are held by somebody on record: what it was made with
  std::uint32_t entries;
  bool bounded;
  Holding* holdings;                   // [entries], in the shared heap

  SemaphoreState(std::uint32_t value, bool bounded);
  ~SemaphoreState();
};

}  // namespace detail

class Semaphore {
 public:
  /** Throws Error: more than 2^31 - 1 permits, no room, not the program's first process. */
  explicit Semaphore(std::uint32_t value = 1) : Semaphore(value, false) {}

  /** Takes a permit: acquired, or timed_out. (owner_died is a lock's.) */
  LockResult acquire() { return acquire(Deadline::never()); }
  LockResult acquire(std::chrono::nanoseconds timeout) { return acquire(Deadline::in(timeout)); }
  LockResult try_acquire() { return acquire(std::chrono::nanoseconds(0)); }
  /** Any process. */
  void release();
  /** Free permits, as of now. */
  std::uint64_t value();

  void lock() { (void)acquire(); }
  bool try_lock() { return try_acquire() != LockResult::timed_out; }
  void unlock() { release(); }

  void pack(Parcel& parcel) const { state_.pack(parcel); }
  static Semaphore unpack(ParcelReader& reader) { return Semaphore(Shared<detail::SemaphoreState>::unpack(reader)); }

 protected:
  Semaphore(std::uint32_t value, bool bounded);
  explicit Semaphore(Shared<detail::SemaphoreState> state) : state_(std::move(state)) {}
  LockResult acquire(Deadline deadline);
  Shared<detail::SemaphoreState> state_;
};

/** One that refuses to be released more often than it was acquired. */
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(std::uint32_t value = 1) : Semaphore(value, true) {}
  static BoundedSemaphore unpack(ParcelReader& reader) { return BoundedSemaphore(Shared<detail::SemaphoreState>::unpack(reader)); }

 private:
  explicit BoundedSemaphore(Shared<detail::SemaphoreState> state) : Semaphore(std::move(state)) {}
};

}  // namespace cadre
