#pragma once
/* Locks between processes, as Python's multiprocessing names them:

     cadre::Lock lock;                               // in shared memory; copies are handles of the same lock
     if (lock.acquire(100ms) == cadre::LockResult::timed_out) ...
     { std::lock_guard guard(lock); ... }            // where it does not matter that a holder died

   Lock may be released by any process or thread; RLock is acquired again by the thread that has it, and released by it alone. A lock dies with the
   process that acquired it: the next one to ask is told LockResult::owner_died, once, and has the lock. A thread that ends with a lock, in a process that
   goes on, keeps it. Locks are made by the program's first process and passed on as arguments; usable in any process that has them. */
#include <chrono>
#include <cstdint>
#include <variant>

#include <cadre/shm/shared.hpp>
#include <cadre/sync/lock_word.hpp>

namespace cadre {

namespace detail {
struct RLockState {
  LockWord lock;
  std::atomic<std::uint32_t> thread;  // of the holder; 0: none. Written by the holder alone
  std::uint32_t depth;                // guarded by the lock
};
}  // namespace detail

class Lock {
 public:
  /** Throws Error when there is no room, or in a process that the program's first one started. */
  Lock() : word_(Shared<LockWord>::make()) {}

  /** Waits as long as it takes; with a timeout, as long as that. */
  LockResult acquire() { return word_->acquire(Deadline::never()); }
  LockResult acquire(std::chrono::nanoseconds timeout) { return word_->acquire(Deadline::in(timeout)); }
  LockResult try_acquire() { return acquire(std::chrono::nanoseconds(0)); }
  /** Any process, any thread. Throws Error when nobody holds it. */
  void release() {
    if (!word_->release()) throw Error("release of a lock that nobody holds");
  }
  bool is_held() const noexcept { return word_->holder() != kNobody; }

  /* As the standard library's guards want it: that a holder died is not told. */
  void lock() { (void)acquire(); }
  bool try_lock() { return try_acquire() != LockResult::timed_out; }
  void unlock() { release(); }

  void pack(Parcel& parcel) const { word_.pack(parcel); }
  static Lock unpack(ParcelReader& reader) { return Lock(Shared<LockWord>::unpack(reader)); }

 private:
  friend class Condition;
  explicit Lock(Shared<LockWord> word) : word_(std::move(word)) {}
  Shared<LockWord> word_;
};

class RLock {
 public:
  RLock() : state_(Shared<detail::RLockState>::make()) {}

  LockResult acquire() { return acquire(Deadline::never()); }
  LockResult acquire(std::chrono::nanoseconds timeout) { return is_mine() ? again() : acquire(Deadline::in(timeout)); }
  LockResult try_acquire() { return acquire(std::chrono::nanoseconds(0)); }
  /** As often as it was acquired, by the same thread. Throws Error when another has it, or nobody. */
  void release() {
    if (!is_mine()) throw_not_mine();
    if (--state_->depth == 0) give_up();
  }
  /** Whether this thread holds it. */
  bool is_mine() const {
    // Only this thread can have written its id there, and takes it away before it releases.
    return state_->thread.load(std::memory_order_relaxed) == thread_id() && state_->lock.holder() == participant();
  }
  bool is_held() const noexcept { return state_->lock.holder() != kNobody; }

  void lock() { (void)acquire(); }
  bool try_lock() { return try_acquire() != LockResult::timed_out; }
  void unlock() { release(); }

  void pack(Parcel& parcel) const { state_.pack(parcel); }
  static RLock unpack(ParcelReader& reader) { return RLock(Shared<detail::RLockState>::unpack(reader)); }

 private:
  friend class Condition;
  explicit RLock(Shared<detail::RLockState> state) : state_(std::move(state)) {}
  LockResult acquire(Deadline deadline) {
    if (is_mine()) return again();
    const LockResult result = state_->lock.acquire(deadline);
    if (result != LockResult::timed_out) {
      state_->thread.store(thread_id(), std::memory_order_relaxed);
      state_->depth = 1;
    }
    return result;
  }
  LockResult again() {
    ++state_->depth;
    return LockResult::acquired;
  }
  void give_up() noexcept {
    state_->thread.store(0, std::memory_order_relaxed);
    (void)state_->lock.release();
  }
  [[noreturn]] static void throw_not_mine();
  Shared<detail::RLockState> state_;
};

/** One or the other: what a value or a condition is guarded by. */
class AnyLock {
 public:
  AnyLock() : AnyLock(RLock()) {}
  AnyLock(Lock lock) : lock_(std::move(lock)) {}
  AnyLock(RLock lock) : lock_(std::move(lock)) {}

  LockResult acquire() {
    return std::visit([](auto& lock) { return lock.acquire(); }, lock_);
  }
  LockResult acquire(std::chrono::nanoseconds timeout) {
    return std::visit([timeout](auto& lock) { return lock.acquire(timeout); }, lock_);
  }
  LockResult try_acquire() { return acquire(std::chrono::nanoseconds(0)); }
  void release() {
    std::visit([](auto& lock) { lock.release(); }, lock_);
  }
  bool is_held() const noexcept {
    return std::visit([](const auto& lock) { return lock.is_held(); }, lock_);
  }
  void lock() { (void)acquire(); }
  bool try_lock() { return try_acquire() != LockResult::timed_out; }
  void unlock() { release(); }

  void pack(Parcel& parcel) const;
  static AnyLock unpack(ParcelReader& reader);

 private:
  friend class Condition;
  explicit AnyLock(std::variant<RLock, Lock> lock) : lock_(std::move(lock)) {}
  std::variant<RLock, Lock> lock_;
};

/** Holds a lock for a scope, and knows how it got it: if (cadre::Held held(lock); held.owner_died()) repair(); */
template <class L>
class [[nodiscard]] Held {
 public:
  explicit Held(L& lock) : lock_(lock), result_(lock.acquire()) {}
  ~Held() { lock_.release(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  bool owner_died() const noexcept { return result_ == LockResult::owner_died; }

 private:
  L& lock_;
  LockResult result_;
};

}  // namespace cadre
