#pragma once
/* Condition variables between processes that no killed waiter can spoil.

   Every waiter takes a ticket, one word in shared memory:

     0                            free
     participant | waiting        asleep, or about to be
     participant | notified       told; the ticket is freed when its waiter has the lock again

   notify moves the oldest ticket of a living waiter from waiting to notified. What a death means:

     a waiting process      its ticket is freed by who stumbles over it
     a notified process     it has not returned from wait: a waiter that looks around (every 50 ms) takes the ticket over with a CAS that names the dead
                            one, and is notified in its place. No notify is lost
     the notifier           between the ticket and the wake: the waiter looks at its ticket by itself
     whoever has the lock   the next one to have it, from wait too, is told LockResult::owner_died */
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <cadre/sync/lock.hpp>

namespace cadre {

namespace detail {

struct Ticket {
  std::atomic<std::uint64_t> word;
  std::atomic<std::uint32_t> bell;   // moves when the ticket is notified: futex
  std::atomic<std::uint32_t> order;  // of arrival; written under the lock
};

struct ConditionState {
  static constexpr std::uint32_t kTickets = 512;
  std::atomic<std::uint32_t> arrivals;  // moves under the lock
  std::atomic<std::uint32_t> used;      // no ticket from here on was ever taken
  std::array<Ticket, kTickets> tickets;
};

}  // namespace detail

class Condition {
 public:
  /** With a recursive lock of its own, or one that is given. Throws Error as locks do. */
  Condition() : Condition(AnyLock()) {}
  explicit Condition(AnyLock lock) : lock_(std::move(lock)), state_(Shared<detail::ConditionState>::make()) {}

  AnyLock& get_lock() noexcept { return lock_; }
  LockResult acquire() { return lock_.acquire(); }
  LockResult acquire(std::chrono::nanoseconds timeout) { return lock_.acquire(timeout); }
  void release() { lock_.release(); }
  void lock() { lock_.lock(); }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }

  /** With the lock held: gives it up, however often it was acquired, sleeps until notified, and has it again. acquired: notified. timed_out: not notified
      in that time (the lock is held all the same). owner_died: a process died with the lock meanwhile; look at what it guards. Throws Error
      when the lock is not held, or 512 wait already. */
  LockResult wait() { return wait(Deadline::never()); }
  LockResult wait(std::chrono::nanoseconds timeout) { return wait(Deadline::in(timeout)); }
  /** Waits until ready() is true; what it was last. */
  template <class Ready>
  bool wait_for(Ready ready) {
    return wait_until(ready, Deadline::never());
  }
  template <class Ready>
  bool wait_for(Ready ready, std::chrono::nanoseconds timeout) {
    return wait_until(ready, Deadline::in(timeout));
  }
  /** With the lock held: notifies the `n` that have waited longest, or as many as there are. */
  void notify(std::uint32_t n = 1);
  void notify_all() { notify(detail::ConditionState::kTickets); }

  void pack(Parcel& parcel) const;
  static Condition unpack(ParcelReader& reader);

 private:
  Condition(AnyLock lock, Shared<detail::ConditionState> state) : lock_(std::move(lock)), state_(std::move(state)) {}
  LockResult wait(Deadline deadline);
  template <class Ready>
  bool wait_until(Ready& ready, Deadline deadline) {
    bool now = ready();
    while (!now && !deadline.passed()) {
      (void)wait(deadline);
      now = ready();
    }
    return now;
  }
  void require_held(const char* deed) const;
  std::uint32_t give_up_lock();
  LockResult have_lock_again(std::uint32_t depth);
  detail::Ticket& take_ticket();
  detail::Ticket* take_over_from_dead(detail::Ticket& mine);
  bool notify_oldest();

  AnyLock lock_;
  Shared<detail::ConditionState> state_;
};

}  // namespace cadre
