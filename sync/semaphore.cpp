#include <cadre/sync/semaphore.hpp>

#include <algorithm>
#include <string>

namespace cadre {

namespace {

constexpr std::uint32_t kMostEntries = 1024;  // processes that hold permits at once; what others hold is not on record

std::uint32_t held(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
std::uint64_t holding(Participant p, std::uint32_t permits) { return std::uint64_t{p} << 32 | permits; }

/* Everything below with the guard held. The counts are small and few: they are read anew each time, so no sum can be wrong. */
class Holdings {
 public:
  explicit Holdings(detail::SemaphoreState& s) : s_(s) { (void)s_.guard.acquire(Deadline::never()); }  // a dead holder has left nothing to repair
  ~Holdings() { (void)s_.guard.release(); }
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;

  std::uint64_t free() const { return s_.permits - lent_out(); }

  void take(Participant me) {
    std::atomic<std::uint64_t>* mine = nullptr;
    std::uint64_t out = 0;
    for (std::uint32_t i = 0; i < s_.entries; ++i) {
      auto& word = s_.holdings[i].word;
      const std::uint64_t now = word.load(std::memory_order_relaxed);  // all under the guard
      out += held(now);
      if (held(now) != 0 ? named_in(now) == me : !mine) mine = &word;
    }
    if (out >= s_.lent || !mine) {
      --s_.permits;
      return;
    }
    const std::uint64_t now = mine->load(std::memory_order_relaxed);
    mine->store(holding(me, held(now) + 1), std::memory_order_relaxed);
  }

  // False when nobody holds a permit and there may be no more of them.
  bool give(Participant me) {
    std::atomic<std::uint64_t>* from = nullptr;
    for (std::uint32_t i = 0; i < s_.entries; ++i) {
      auto& word = s_.holdings[i].word;
      const std::uint64_t now = word.load(std::memory_order_relaxed);
      if (held(now) == 0) continue;
      if (!from || named_in(now) == me) from = &word;
      if (named_in(now) == me) break;
    }
    if (from)
      from->fetch_sub(1, std::memory_order_relaxed);
    else if (s_.bounded && s_.permits >= s_.lent)
      return false;
    else
      ++s_.permits;
    return true;
  }

  // Permits of the dead return.
  void bury() {
    for (std::uint32_t i = 0; i < s_.entries; ++i) {
      auto& word = s_.holdings[i].word;
      const std::uint64_t now = word.load(std::memory_order_relaxed);
      if (held(now) != 0 && !is_alive(named_in(now))) word.store(0, std::memory_order_relaxed);
    }
  }

 private:
  std::uint64_t lent_out() const {
    std::uint64_t out = 0;
    for (std::uint32_t i = 0; i < s_.entries; ++i) out += held(s_.holdings[i].word.load(std::memory_order_relaxed));
    return out;
  }
  detail::SemaphoreState& s_;
};

}  // namespace

namespace detail {

SemaphoreState::SemaphoreState(std::uint32_t value, bool is_bounded)
    : guard{}, changes(0), permits(value), lent(value), entries(std::min(value, kMostEntries)), bounded(is_bounded), holdings(nullptr) {
  if (entries == 0) return;
  holdings = static_cast<Holding*>(Heap::instance().allocate(entries * sizeof(Holding), alignof(Holding)));
  for (std::uint32_t i = 0; i < entries; ++i) new (&holdings[i]) Holding{};
}

SemaphoreState::~SemaphoreState() {
  if (holdings) Heap::instance().deallocate(holdings);
}

}  // namespace detail

Semaphore::Semaphore(std::uint32_t value, bool bounded) {
  if (value > 0x7fffffff) throw Error("a semaphore of " + std::to_string(value) + " permits: it can have up to 2147483647");
  state_ = Shared<detail::SemaphoreState>::make(value, bounded);
}

LockResult Semaphore::acquire(Deadline deadline) {
  const Participant me = participant();
  for (std::uint64_t looked = monotonic_ns();;) {
    const std::uint32_t seen = state_->changes.load();
    const std::uint64_t now = monotonic_ns();
    const bool late = deadline.passed(), look = late || now - looked >= static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookForDead).count());
    {
      Holdings holdings(*state_);
      if (look && holdings.free() == 0) holdings.bury();
      if (holdings.free() > 0) {
        holdings.take(me);
        return LockResult::acquired;
      }
    }
    if (late) return LockResult::timed_out;
    if (look) looked = now;
    futex_wait(state_->changes, seen, deadline.left(kLookForDead));
  }
}

void Semaphore::release() {
  {
    Holdings holdings(*state_);
    if (!holdings.give(participant())) throw Error("release of a bounded semaphore that nobody has acquired");
  }
  state_->changes.fetch_add(1);
  futex_wake(state_->changes, 1);
}

std::uint64_t Semaphore::value() {
  Holdings holdings(*state_);
  holdings.bury();
  return holdings.free();
}

}  // namespace cadre
