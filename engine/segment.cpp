#include <cadre/engine/segment.hpp>

#include <cadre/pool/planted.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre {

bool lock_segment(Segment& segment, std::uint32_t slot, bool ordered, std::uint32_t chunk, SlotLine& line, const std::atomic<std::uint32_t>& stop) noexcept {
  if (segment.lock.load(std::memory_order_relaxed) == slot + 1) return true;
  const auto try_lock = [&] {
    if (ordered && segment.turn.load(std::memory_order_acquire) != chunk) return false;  // partner: the store under the lock by its last holder
    std::uint32_t free = 0;
    return segment.lock.compare_exchange_strong(free, slot + 1, std::memory_order_acquire);  // partner: the release in unlock_segment
  };
  for (;;) {
    for (int spin = 0; spin < 300; ++spin) {
      if (try_lock()) return true;
      cpu_relax();
    }
    if (stop.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(Stop::abandon)) return false;
    line.progress.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t bell = segment.bell.load();
    segment.waiters.store(1);
    if (try_lock()) return true;
    futex_wait(segment.bell, bell);
  }
}

void unlock_segment(Segment& segment) noexcept {
  segment.lock.store(0);
  // A waiter that says so after this load finds the lock free when it tries once more before it sleeps.
  if (segment.waiters.load()) {
    segment.waiters.store(0);
    segment.bell.fetch_add(1);
    futex_wake(segment.bell);
  }
}

void release_locks(Segment* segments, std::uint32_t count, std::uint32_t slot, const Record& record) noexcept {
  if (planted(Mistake::forget_lock)) return;
  for (std::uint32_t s = 0; s < count; ++s)
    if (segments[s].lock.load() == slot + 1 && !(record.ready && s == record.segment)) unlock_segment(segments[s]);
}

}  // namespace cadre
