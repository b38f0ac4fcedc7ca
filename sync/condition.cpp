#include <cadre/sync/condition.hpp>

#include <algorithm>
#include <string>

namespace cadre {

namespace {

constexpr std::uint64_t kWaiting = 1, kNotified = 2;
constexpr std::uint64_t word_of(Participant p, std::uint64_t state) { return std::uint64_t{p} << 32 | state; }
constexpr std::uint64_t state_of(std::uint64_t word) { return word & 0xffffffff; }

}  // namespace

void Condition::require_held(const char* deed) const {
  const RLock* recursive = std::get_if<RLock>(&lock_.lock_);
  const bool held = recursive ? recursive->is_mine() : lock_.is_held();
  if (!held) throw Error(std::string(deed) + " on a condition whose lock is not held: acquire it first");
}

// Recursive locks are given up whole; the depth comes back with them.
std::uint32_t Condition::give_up_lock() {
  if (RLock* recursive = std::get_if<RLock>(&lock_.lock_)) {
    const std::uint32_t depth = recursive->state_->depth;
    recursive->state_->depth = 0;
    recursive->give_up();
    return depth;
  }
  lock_.release();
  return 1;
}

LockResult Condition::have_lock_again(std::uint32_t depth) {
  const LockResult result = lock_.acquire();
  if (RLock* recursive = std::get_if<RLock>(&lock_.lock_)) recursive->state_->depth = depth;
  return result;
}

detail::Ticket& Condition::take_ticket() {
  const std::uint64_t mine = word_of(participant(), kWaiting);
  for (bool bury = false;; bury = true) {
    for (std::uint32_t i = 0; i < detail::ConditionState::kTickets; ++i) {
      detail::Ticket& ticket = state_->tickets[i];
      std::uint64_t word = ticket.word.load();
      // A notified ticket of a dead process is a notify that somebody else must get.
      if (word != 0 && !(bury && state_of(word) == kWaiting && !is_alive(named_in(word)))) continue;
      if (!ticket.word.compare_exchange_strong(word, mine)) continue;
      ticket.order.store(state_->arrivals.fetch_add(1));
      if (state_->used.load() <= i) state_->used.store(i + 1);
      return ticket;
    }
    if (bury) throw Error("more than " + std::to_string(detail::ConditionState::kTickets) + " wait for one condition");
  }
}

// The ticket with which this waiter is notified now, in the place of a dead one that had been; nullptr when there is none.
detail::Ticket* Condition::take_over_from_dead(detail::Ticket& mine) {
  const Participant me = participant();
  const std::uint32_t used = state_->used.load();
  for (std::uint32_t i = 0; i < used; ++i) {
    detail::Ticket& other = state_->tickets[i];
    std::uint64_t word = other.word.load();
    if (state_of(word) != kNotified || named_in(word) == me || is_alive(named_in(word))) continue;
    if (!other.word.compare_exchange_strong(word, word_of(me, kNotified))) continue;  // somebody was quicker
    std::uint64_t waiting = word_of(me, kWaiting);
    if (mine.word.compare_exchange_strong(waiting, 0)) return &other;
    // Notified twice: one is for another. A death before the ticket is free makes that one notify too many, which no waiter minds.
    (void)notify_oldest();
    other.word.store(0);
    return &mine;
  }
  return nullptr;
}

LockResult Condition::wait(Deadline deadline) {
  require_held("wait");
  const Participant me = participant();
  detail::Ticket* ticket = &take_ticket();
  const std::uint32_t depth = give_up_lock();
  bool notified = true;
  for (std::uint64_t looked = monotonic_ns();;) {
    const std::uint32_t bell = ticket->bell.load();
    if (state_of(ticket->word.load()) == kNotified) break;
    if (deadline.passed()) {
      std::uint64_t waiting = word_of(me, kWaiting);
      notified = !ticket->word.compare_exchange_strong(waiting, 0);
      break;
    }
    if (monotonic_ns() - looked >= static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookAgain).count())) {
      if (detail::Ticket* taken = take_over_from_dead(*ticket)) {
        ticket = taken;
        break;
      }
      looked = monotonic_ns();
    }
    futex_wait(ticket->bell, bell, deadline.left(kLookAgain));
  }
  const LockResult result = have_lock_again(depth);
  if (notified) ticket->word.store(0);  // from here on the notify has arrived: whoever dies now dies with the lock
  return result == LockResult::owner_died || notified ? result : LockResult::timed_out;
}

bool Condition::notify_oldest() {
  for (;;) {
    const std::uint32_t used = state_->used.load(), now = state_->arrivals.load();
    detail::Ticket* oldest = nullptr;
    std::uint64_t word = 0;
    for (std::uint32_t i = 0; i < used; ++i) {
      detail::Ticket& ticket = state_->tickets[i];
      const std::uint64_t w = ticket.word.load();
      if (state_of(w) != kWaiting || (oldest && now - ticket.order.load() <= now - oldest->order.load())) continue;
      oldest = &ticket;
      word = w;
    }
    if (!oldest) return false;
    const bool alive = is_alive(named_in(word));
    if (!oldest->word.compare_exchange_strong(word, alive ? word_of(named_in(word), kNotified) : 0) || !alive) continue;
    oldest->bell.fetch_add(1);
    futex_wake(oldest->bell, 1);
    return true;
  }
}

void Condition::notify(std::uint32_t n) {
  require_held("notify");
  while (n > 0 && notify_oldest()) --n;
}

void Condition::pack(Parcel& parcel) const {
  lock_.pack(parcel);
  state_.pack(parcel);
}

Condition Condition::unpack(ParcelReader& reader) {
  AnyLock lock = AnyLock::unpack(reader);
  return Condition(std::move(lock), Shared<detail::ConditionState>::unpack(reader));
}

}  // namespace cadre
