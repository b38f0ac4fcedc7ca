#pragma once
/* A flag that processes wait for. One word: how often it was set (31 bits), and whether it is set now; nothing is left to repair by who dies. A
   setter that dies between the word and the wake is seen within 50 ms, when the waiters look again. */
#include <atomic>
#include <chrono>
#include <cstdint>

#include <cadre/shm/shared.hpp>
#include <cadre/sync/deadline.hpp>

namespace cadre {

class Event {
 public:
  Event() : word_(Shared<std::atomic<std::uint32_t>>::make(0u)) {}

  bool is_set() const noexcept { return word_->load() & 1; }
  /** Wakes all that wait, even if clear() follows at once. */
  void set() noexcept;
  void clear() noexcept;
  /** Until it is set: true. With a timeout: whether it was. */
  bool wait() { return wait(Deadline::never()); }
  bool wait(std::chrono::nanoseconds timeout) { return wait(Deadline::in(timeout)); }

  void pack(Parcel& parcel) const { word_.pack(parcel); }
  static Event unpack(ParcelReader& reader) { return Event(Shared<std::atomic<std::uint32_t>>::unpack(reader)); }

 private:
  explicit Event(Shared<std::atomic<std::uint32_t>> word) : word_(std::move(word)) {}
  bool wait(Deadline deadline);
  Shared<std::atomic<std::uint32_t>> word_;
};

}  // namespace cadre
