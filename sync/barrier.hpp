#pragma once
/* A meeting point: nobody goes on before all parties have come. A party that gives up (timeout), an action that throws, abort() and reset(), and a party
   that is killed while it waits break the barrier: everybody who waits, and who comes later, gets BrokenBarrierError until reset() mends it.
   The one that holds the books' guard when it dies breaks the barrier as well: what it had half written is not looked at. */
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <cadre/shm/shared.hpp>
#include <cadre/sync/lock_word.hpp>

namespace cadre {

/** What wait() throws when not all will come. */
class BrokenBarrierError : public Error {
 public:
  using Error::Error;
};

namespace detail {

struct BarrierState {
  static constexpr std::uint32_t kMostParties = 1024;
  LockWord guard;                     // of all below
  std::atomic<std::uint32_t> round;   // futex: moves when a meeting is over, well or badly
  std::uint64_t broken_rounds;        // bit (round % 64): that meeting ended badly
  std::uint32_t parties, waiting;     // `waiting` have come to the meeting
  bool broken;                        // until reset()
  std::array<Participant, kMostParties> here;  // [waiting]
};

}  // namespace detail

class Barrier {
 public:
  /** `action`: run by the last to come, before anybody goes on. Throws Error: parties not 1 to 1024. */
  explicit Barrier(std::uint32_t parties, void (*action)() = nullptr);

  /** Waits for the others; which of them this was, 0 .. parties - 1, in the order of coming. Throws BrokenBarrierError. */
  std::uint32_t wait() { return wait(Deadline::never()); }
  std::uint32_t wait(std::chrono::nanoseconds timeout) { return wait(Deadline::in(timeout)); }
  /** Empty and whole again; those who wait get BrokenBarrierError. */
  void reset();
  /** Broken, until reset(). */
  void abort();

  std::uint32_t parties() const noexcept { return state_->parties; }
  /** Those who wait now. */
  std::uint32_t n_waiting();
  bool broken();

  void pack(Parcel& parcel) const;
  static Barrier unpack(ParcelReader& reader);

 private:
  Barrier(Shared<detail::BarrierState> state, void (*action)()) : state_(std::move(state)), action_(action) {}
  std::uint32_t wait(Deadline deadline);
  std::uint32_t last_to_come(std::uint32_t place);
  Shared<detail::BarrierState> state_;
  void (*action_)() = nullptr;
};

}  // namespace cadre
