#pragma once
/* A bounded ring of items in shared memory, from many processes to many, which nobody's death can block or spoil.

     head ............ tail ............ head + bytes
     |  items to take   |  room to put   |

   Two locks: one for those that put, one for those that take. Under its lock, a process copies an item and then moves the one word, tail or head, that
   says so (both the position in bytes and the number of items, which so can not disagree). What a death means:

     with a lock, before the word moved    nothing was put; nothing was taken. The next one has the lock within some milliseconds, and nothing to repair
     after the word moved                  the item is there, or gone with who took it
     asleep, or just woken                 nothing: whoever sleeps looks again every 50 ms

   A waiter spins for some microseconds first, one at a time on either side, unless it has just woken somebody: then it sleeps on a bell, which is rung only where somebody may sleep. Who waits for room is
   not woken before half of the ring is free, so that one who puts and one who takes do not change places at every item. */
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <cadre/sync/lock_word.hpp>

namespace cadre::detail {

/** Where the waiters of one kind sleep. Zero is a bell that nobody waits for. */
struct Bell {
  std::atomic<std::uint32_t> rings;     // futex
  std::atomic<std::uint32_t> sleepers;  // 1: somebody may be asleep
  std::atomic<std::uint64_t> spinning;  // CLOCK_MONOTONIC, ns: until then somebody spins, and nobody else needs to

  /** Wakes one waiter, if there may be one. */
  void ring() noexcept {
    if (sleepers.load() != 0 && sleepers.exchange(0) != 0) wake(1);
  }
  void ring_for_all() noexcept { wake(0x7fffffff); }
  /** Waits until ready() or, at most 50 ms later, for no reason. True: it has slept, and another one may sleep still. */
  template <class Ready>
  bool wait(Ready ready, Deadline deadline) {
    if (spin(ready)) return false;
    // Either who makes it ready sees the 1, or this process sees that it is ready: both words are read and written in one order.
    const std::uint32_t seen = rings.load();
    sleepers.store(1);
    if (!ready()) futex_wait(rings, seen, deadline.left(kLookAgain));
    sleepers.store(1);  // others may be asleep too: the one that was woken does not know
    return true;
  }

 private:
  static constexpr std::uint64_t kSpin = 20'000;  // ns: as long as a wake takes
  static thread_local bool has_woken;              // somebody, and not waited since
  void wake(int count) noexcept;
  template <class Ready>
  bool spin(Ready ready) {
    // Who was woken tends to be given the CPU of its waker: that one makes room instead of spinning there.
    if (has_woken) {
      has_woken = false;
      return ready();
    }
    std::uint64_t now = monotonic_ns(), other = spinning.load(std::memory_order_relaxed);  // a hint
    if (other > now || !spinning.compare_exchange_strong(other, now + kSpin, std::memory_order_relaxed)) return ready();
    const std::uint64_t end = now + kSpin;
    bool is_ready = false;
    while (!is_ready && now < end) {
      for (int i = 0; i < 32 && !is_ready; ++i) {
        is_ready = ready();
        if (!is_ready) cpu_relax();
      }
      if (!is_ready) now = monotonic_ns();
    }
    spinning.store(0, std::memory_order_relaxed);
    return is_ready;
  }
};

/** A position in the ring: bytes modulo 2^40 and items modulo 2^24, since it was made. */
struct RingPosition {
  static constexpr std::uint64_t kByteMask = (std::uint64_t{1} << 40) - 1, kItemMask = (std::uint64_t{1} << 24) - 1;
  std::uint64_t word;
  std::uint64_t bytes() const { return word & kByteMask; }
  std::uint64_t items() const { return word >> 40; }
  RingPosition after(std::uint64_t item_bytes) const { return {((items() + 1) & kItemMask) << 40 | ((bytes() + item_bytes) & kByteMask)}; }
  std::uint64_t bytes_since(RingPosition p) const { return (bytes() - p.bytes()) & kByteMask; }
  std::uint64_t items_since(RingPosition p) const { return (items() - p.items()) & kItemMask; }
};

struct RingState {
  /** `data` has `bytes` bytes, a power of two. */
  RingState(std::byte* data, std::uint64_t bytes, std::uint64_t most, std::uint64_t record) : bytes(bytes), most(most), record(record), data(data) {}

  // Constant.
  std::uint64_t bytes;   // a power of two
  std::uint64_t most;    // items
  std::uint64_t record;  // bytes of each item, a multiple of 8; 0: each begins with its size
  std::byte* data;

  // Of those that put.
  alignas(64) LockWord put_lock{};
  std::atomic<std::uint64_t> tail{0};
  std::uint64_t head_seen = 0;  // guarded by put_lock: head was there at least

  // Of those that take.
  alignas(64) LockWord take_lock{};
  std::atomic<std::uint64_t> head{0};
  std::uint64_t tail_seen = 0;  // guarded by take_lock

  alignas(64) Bell filled{};   // for who takes
  alignas(64) Bell drained{};  // for who puts
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/** What is done with a ring; a pointer to it. Any process, any thread. */
class Ring {
 public:
  static constexpr std::uint64_t kMostItems = std::uint64_t{1} << 22, kMostBytes = std::uint64_t{1} << 38;
  explicit Ring(RingState& state) : s_(&state) {}

  std::uint64_t items() const { return RingPosition{s_->tail.load()}.items_since({s_->head.load()}); }
  bool empty() const { return items() == 0; }
  bool full() const { return items() >= s_->most; }
  /** The largest item of a ring whose items have sizes of their own. */
  std::uint64_t largest() const { return s_->bytes - sizeof(std::uint64_t); }

  /** False: no room in that time. An item of a fixed size is `n` = record bytes, or a few less. */
  bool put(const void* item, std::size_t n, Deadline deadline) {
    const std::uint64_t need = s_->record ? s_->record : sizeof(std::uint64_t) + (n + 7) / 8 * 8;
    for (bool slept = false;;) {
      if (!hold(s_->put_lock, deadline)) return false;
      const RingPosition tail{s_->tail.load(std::memory_order_relaxed)};  // ours, under the lock
      // Acquire: partner is the store of head by who took; the room that it gave up is no longer read.
      if (!has_room(tail, {s_->head_seen}, need)) s_->head_seen = s_->head.load(std::memory_order_acquire);
      if (has_room(tail, {s_->head_seen}, need)) {
        std::uint64_t at = tail.bytes();
        if (!s_->record) {
          const std::uint64_t size = n;
          copy_in(at, &size, sizeof size);
          at += sizeof size;
        }
        copy_in(at, item, n);
        const RingPosition after = tail.after(need);
        s_->tail.store(after.word);  // in one order with Bell's words
        const bool more_room = slept && has_room(after, {s_->head_seen}, need);
        (void)s_->put_lock.release();
        s_->filled.ring();
        if (more_room) s_->drained.ring();
        return true;
      }
      (void)s_->put_lock.release();
      if (deadline.passed()) return false;
      slept |= s_->drained.wait([&] { return has_room({s_->tail.load()}, {s_->head.load()}, need); }, deadline);
    }
  }

  /** Takes an item: read(bytes, n, rest, m) is shown it, in two pieces where it goes around the end, and may not keep them; what it throws leaves the item where it is.
      False: none came in that time. */
  template <class Read>
  bool take(Deadline deadline, Read read) {
    for (bool slept = false;;) {
      if (s_->head.load(std::memory_order_relaxed) != s_->tail.load(std::memory_order_relaxed)) {  // a hint: looked at again under the lock
        if (!hold(s_->take_lock, deadline)) return false;
        const Released guard{s_->take_lock};
        const RingPosition head{s_->head.load(std::memory_order_relaxed)};  // ours, under the lock
        // Acquire: partner is the store of tail by who put the item, whose bytes are read next.
        if (s_->tail_seen == head.word) s_->tail_seen = s_->tail.load(std::memory_order_acquire);
        if (s_->tail_seen != head.word) {
          std::uint64_t at = head.bytes(), n = s_->record, need = n;
          if (!n) {
            copy_out(at, &n, sizeof n);
            at += sizeof n;
            need = sizeof n + (n + 7) / 8 * 8;
          }
          const std::uint64_t begin = at & (s_->bytes - 1), first = std::min(n, s_->bytes - begin);
          read(s_->data + begin, first, s_->data, n - first);
          const RingPosition after = head.after(need);
          s_->head.store(after.word);  // in one order with Bell's words
          const RingPosition tail{s_->tail_seen};
          if (tail.items_since(after) <= s_->most / 2 && tail.bytes_since(after) <= s_->bytes / 2) s_->drained.ring();
          if (slept && s_->tail.load(std::memory_order_relaxed) != after.word) s_->filled.ring();
          return true;
        }
      }
      if (deadline.passed()) return false;
      slept |= s_->filled.wait([&] { return s_->head.load() != s_->tail.load(); }, deadline);
    }
  }

  RingState& operator*() const { return *s_; }
  RingState* operator->() const { return s_; }

 private:
  struct Released {
    LockWord& lock;
    ~Released() { (void)lock.release(); }
  };
  /** A lock whose holders are brief, or dead: waited for a little even by who does not want to wait for items. */
  static bool hold(LockWord& lock, Deadline deadline) {
    return lock.acquire(deadline) != LockResult::timed_out || lock.acquire(Deadline::in(kPatience)) != LockResult::timed_out;
  }
  static constexpr std::chrono::milliseconds kPatience{100};

  bool has_room(RingPosition tail, RingPosition head, std::uint64_t need) const {
    return tail.items_since(head) < s_->most && tail.bytes_since(head) + need <= s_->bytes;
  }
  void copy_in(std::uint64_t at, const void* from, std::size_t n) {
    const std::uint64_t begin = at & (s_->bytes - 1), first = s_->bytes - begin;
    if (n <= first) {
      std::memcpy(s_->data + begin, from, n);
    } else {
      std::memcpy(s_->data + begin, from, first);
      std::memcpy(s_->data, static_cast<const std::byte*>(from) + first, n - first);
    }
  }
  void copy_out(std::uint64_t at, void* to, std::size_t n) const { std::memcpy(to, s_->data + (at & (s_->bytes - 1)), n); }  // sizes never go around the end

  RingState* s_;
};

}  // namespace cadre::detail
