#include <cadre/sync/barrier.hpp>

#include <string>

namespace cadre {

namespace {

using State = detail::BarrierState;

// The guard, for a scope.
class Meeting {
 public:
  explicit Meeting(State& s) : s_(s) {
    if (s_.guard.acquire(Deadline::never()) == LockResult::owner_died) end_meeting(true);
  }
  ~Meeting() { (void)s_.guard.release(); }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  std::uint32_t round() const { return s_.round.load(); }
  bool ended_badly(std::uint32_t round) const { return s_.broken_rounds >> (round % 64) & 1; }

  void end_meeting(bool badly) {
    const std::uint64_t bit = std::uint64_t{1} << (round() % 64);
    s_.broken_rounds = badly ? s_.broken_rounds | bit : s_.broken_rounds & ~bit;
    s_.broken = s_.broken || badly;
    s_.waiting = 0;
    s_.round.fetch_add(1);
    futex_wake(s_.round);
  }
  bool somebody_died() const {
    for (std::uint32_t i = 0; i < s_.waiting; ++i)
      if (!is_alive(s_.here[i])) return true;
    return false;
  }

 private:
  State& s_;
};

[[noreturn]] void throw_broken(const char* why) { throw BrokenBarrierError(std::string("the barrier is broken: ") + why + "; reset() makes it whole again", Error::Kind::failed); }

}  // namespace

Barrier::Barrier(std::uint32_t parties, void (*action)()) : action_(action) {
  if (parties < 1 || parties > State::kMostParties) throw Error("a barrier of " + std::to_string(parties) + " parties: it can have 1 to " + std::to_string(State::kMostParties));
  state_ = Shared<State>::make();
  state_->parties = parties;
}

std::uint32_t Barrier::wait(Deadline deadline) {
  State& s = *state_;
  std::uint32_t round = 0, place = 0;
  bool last = false;
  for (bool come = false; !come;) {
    {
      Meeting meeting(s);
      if (s.broken) throw_broken("a party died or gave up, or it was aborted");
      round = meeting.round();
      come = s.waiting < s.parties;
      if (come) {
        place = s.waiting;
        s.here[place] = participant();
        last = ++s.waiting == s.parties;
        if (last && !action_) {
          meeting.end_meeting(false);
          return place;
        }
      } else if (meeting.somebody_died()) {
        meeting.end_meeting(true);
      }
    }
    if (come) break;
    // The action of the meeting before still runs.
    if (deadline.passed()) throw_broken("the meeting before has not ended in time");
    futex_wait(s.round, round, deadline.left(kLookAgain));
  }
  if (last) return last_to_come(place);
  for (std::uint64_t looked = monotonic_ns();;) {
    if (s.round.load() != round) break;
    const std::uint64_t now = monotonic_ns();
    if (deadline.passed()) {
      Meeting meeting(s);
      if (meeting.round() == round) {
        meeting.end_meeting(true);
        throw_broken("the others have not all come in time");
      }
      break;
    }
    if (now - looked >= static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookAgain).count())) {
      Meeting meeting(s);
      if (meeting.round() == round && meeting.somebody_died()) {
        meeting.end_meeting(true);
        throw_broken("a process that waited at it died");
      }
      looked = now;
    }
    futex_wait(s.round, round, deadline.left(kLookAgain));
  }
  Meeting meeting(s);
  if (meeting.ended_badly(round)) throw_broken("a party died or gave up, or it was aborted or reset");
  return place;
}

std::uint32_t Barrier::last_to_come(std::uint32_t place) {
  State& s = *state_;
  const std::uint32_t round = s.round.load();  // it can not end well without this process
  try {
    action_();
  } catch (...) {
    Meeting meeting(s);
    if (meeting.round() == round) meeting.end_meeting(true);
    throw;
  }
  Meeting meeting(s);
  if (meeting.round() != round) throw_broken("a party gave up, or it was aborted or reset, while the action ran");
  meeting.end_meeting(false);
  return place;
}

void Barrier::reset() {
  Meeting meeting(*state_);
  if (state_->waiting > 0) meeting.end_meeting(true);
  state_->broken = false;
}

void Barrier::abort() {
  Meeting meeting(*state_);
  meeting.end_meeting(true);
}

std::uint32_t Barrier::n_waiting() {
  Meeting meeting(*state_);
  return state_->waiting;
}

bool Barrier::broken() {
  Meeting meeting(*state_);
  return state_->broken;
}

void Barrier::pack(Parcel& parcel) const {
  state_.pack(parcel);
  Travel<void (*)()>::pack(parcel, action_);
}

Barrier Barrier::unpack(ParcelReader& reader) {
  auto state = Shared<State>::unpack(reader);
  return Barrier(std::move(state), Travel<void (*)()>::unpack(reader));
}

}  // namespace cadre
