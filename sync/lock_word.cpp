#include <cadre/sync/lock_word.hpp>

namespace cadre {

namespace {
constexpr std::uint32_t kWaiters = ~kParticipantMask;
constexpr int kSpins = 100;  // the usual holder adds a number and is gone
}  // namespace

LockResult LockWord::acquire_slowly(Deadline deadline, Participant me) {
  for (int spin = 0; spin < kSpins && word.load(std::memory_order_relaxed) != 0; ++spin) cpu_relax();
  std::uint32_t mine = me;
  std::uint64_t looked = monotonic_ns();
  std::uint32_t seen = word.load(std::memory_order_relaxed);
  const auto take = [&](std::uint32_t as) { return word.compare_exchange_strong(seen, as, std::memory_order_acquire, std::memory_order_relaxed); };
  for (;;) {
    if (seen == 0) {
      if (take(mine)) return LockResult::acquired;
      continue;
    }
    const bool late = deadline.passed();
    if (late || monotonic_ns() - looked >= static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookForDead).count())) {
      if (!is_alive(seen & kParticipantMask)) {
        if (take(me | (seen & kWaiters) | (mine & kWaiters))) return LockResult::owner_died;
        continue;
      }
      looked = monotonic_ns();
    }
    if (late) return LockResult::timed_out;
    if (!(seen & kWaiters)) {
      if (!take(seen | kWaiters)) continue;
      seen |= kWaiters;
    }
    futex_wait(word, seen, deadline.left(kLookForDead));
    mine = me | kWaiters;  // others may be asleep too: the one that was woken does not know
    seen = word.load(std::memory_order_relaxed);
  }
}

void LockWord::wake_one() noexcept { futex_wake(word, 1); }

}  // namespace cadre
