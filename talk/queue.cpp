#include <cadre/talk/queue.hpp>

#include <cadre/shm/memory.hpp>

namespace cadre::detail {

namespace {

constexpr std::uint64_t holding(Participant p, std::uint64_t items) { return std::uint64_t{p} << 32 | items; }
constexpr Participant who(std::uint64_t word) { return static_cast<Participant>(word >> 32); }
constexpr std::uint32_t count(std::uint64_t word) { return static_cast<std::uint32_t>(word); }

/** The lock of those that take. Whoever died with it has left nothing to repair. */
class Taking {
 public:
  explicit Taking(const QueueRing& ring) : ring_(ring.ring()) { (void)ring_->take_lock.acquire(Deadline::never()); }
  ~Taking() { (void)ring_->take_lock.release(); }
  Taking(const Taking&) = delete;
  Taking& operator=(const Taking&) = delete;

 private:
  Ring ring_;
};

}  // namespace

QueueRing::QueueRing(std::uint64_t maxsize, std::uint64_t bytes, std::uint64_t record) {
  if (maxsize > Ring::kMostItems) throw Error("a queue of " + std::to_string(maxsize) + " items: it can have up to " + std::to_string(Ring::kMostItems));
  if (bytes > Ring::kMostBytes) throw Error("a queue of " + human_bytes(bytes) + ": it can have up to " + human_bytes(Ring::kMostBytes));
  if (record && maxsize) bytes = maxsize * record;
  bytes = std::bit_ceil(std::max<std::uint64_t>(bytes, std::max<std::uint64_t>(record, 64)));
  if (!maxsize) maxsize = std::min(Ring::kMostItems, record ? bytes / record : bytes / 16);
  data_ = SharedBytes(bytes);
  state_ = Shared<RingState>::make(data_.data(), bytes, maxsize, record);
}

bool QueueRing::put_packed(const Parcel& parcel, Deadline deadline) const {
  parcel.require_bytes_alone("a queue");
  const auto bytes = parcel.bytes();
  if (bytes.size() > ring().largest())
    throw Error("an item of " + human_bytes(bytes.size()) + " does not fit in a queue of " + human_bytes(ring()->bytes) + ": make it with more bytes, Queue<T> q(maxsize, bytes)");
  return ring().put(bytes.data(), bytes.size(), deadline);
}

void Unfinished::hold() {
  const Participant me = participant();
  for (bool bury = false;; bury = true) {
    if (bury) (void)held();
    std::atomic<std::uint64_t>* mine = nullptr;
    for (std::uint32_t i = 0; i < used; ++i) {
      const std::uint64_t word = holdings[i].load(std::memory_order_relaxed);  // all under the lock
      if (count(word) != 0 ? who(word) == me : !mine) mine = &holdings[i];
      if (count(word) != 0 && who(word) == me) break;
    }
    if (!mine && used < kMostHolders) mine = &holdings[used++];
    if (mine) {
      const std::uint64_t word = mine->load(std::memory_order_relaxed);
      mine->store(holding(me, count(word) + 1), std::memory_order_relaxed);
      return;
    }
    if (bury) throw Error("more than " + std::to_string(kMostHolders) + " processes have items of one JoinableQueue that are not done");
  }
}

bool Unfinished::done() {
  const Participant me = participant();
  std::atomic<std::uint64_t>* from = nullptr;
  for (std::uint32_t i = 0; i < used; ++i) {
    const std::uint64_t word = holdings[i].load(std::memory_order_relaxed);
    if (count(word) == 0) continue;
    if (!from || who(word) == me) from = &holdings[i];
    if (who(word) == me) break;
  }
  if (!from) return false;
  from->fetch_sub(1, std::memory_order_relaxed);
  return true;
}

std::uint64_t Unfinished::held() {
  std::uint64_t all = 0;
  for (std::uint32_t i = 0; i < used; ++i) {
    const std::uint64_t word = holdings[i].load(std::memory_order_relaxed);
    if (count(word) != 0 && !is_alive(who(word)))
      holdings[i].store(0, std::memory_order_relaxed);
    else
      all += count(word);
  }
  return all;
}

bool finish_one(const QueueRing& ring, Unfinished& unfinished) {
  bool known;
  {
    const Taking lock(ring);
    known = unfinished.done();
  }
  if (known && unfinished.all_done.sleepers.exchange(0) != 0) unfinished.all_done.ring_for_all();
  return known;
}

bool wait_until_done(const QueueRing& ring, Unfinished& unfinished, Deadline deadline) {
  const auto done = [&] {
    const Taking lock(ring);
    return ring.ring().empty() && unfinished.held() == 0;
  };
  while (!done()) {
    if (deadline.passed()) return false;
    const std::uint32_t seen = unfinished.all_done.rings.load();
    unfinished.all_done.sleepers.store(1);
    if (!done()) futex_wait(unfinished.all_done.rings, seen, deadline.left(kLookAgain));
  }
  return true;
}

}  // namespace cadre::detail
