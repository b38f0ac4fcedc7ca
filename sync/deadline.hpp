#pragma once
/* When a wait gives up: a moment of CLOCK_MONOTONIC, or never. */
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include <cadre/shm/futex.hpp>

namespace cadre {

class Deadline {
 public:
  static Deadline never() { return Deadline(std::numeric_limits<std::uint64_t>::max()); }
  /** What is negative has passed already; what is further away than the clock can tell is never. */
  static Deadline in(std::chrono::nanoseconds time) {
    const std::uint64_t now = monotonic_ns(), wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
    return Deadline(now + wanted);
  }
  bool passed() const { return at_ != std::numeric_limits<std::uint64_t>::max() && monotonic_ns() >= at_; }
  /** Time left, at most `most`. */
  std::chrono::nanoseconds left(std::chrono::nanoseconds most) const {
    if (at_ == std::numeric_limits<std::uint64_t>::max()) return most;
    const std::uint64_t now = monotonic_ns();
    return std::min(most, std::chrono::nanoseconds(at_ > now ? static_cast<std::int64_t>(std::min<std::uint64_t>(at_ - now, std::numeric_limits<std::int64_t>::max())) : 0));
  }

 private:
  explicit Deadline(std::uint64_t at) : at_(at) {}
  std::uint64_t at_;
};

}  // namespace cadre
