#include "recovery.hpp"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>

#include <cadre/shm/error.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre::crash {

namespace {

/** A thread that lives one worker's life after the other in a slot. What a worker keeps in private memory it makes afresh for each. */
class Hand {
 public:
  Hand(Stage& stage, std::uint32_t slot) : stage_(stage), slot_(slot), thread_([this] { run(); }) {
    while (stat_.load() < 0) sched_yield();
  }

  void start() {
    stage_.refill(slot_);
    alive_.store(true);
    lives_.fetch_add(1);
    lives_.notify_one();
  }
  bool alive() const { return alive_.load(); }

  /** It sleeps until there is another job, or until somebody gives a lock or a turn back. */
  bool waits() const {
    const auto phase = static_cast<Phase>(stage_.line(slot_).phase.load());
    if (phase != Phase::sleeping && phase != Phase::combining && phase != Phase::claiming) return false;
    char text[256];
    const ssize_t got = pread(stat_.load(), text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    const char* paren = strrchr(text, ')');
    return paren && paren[1] && paren[2] == 'S' && phase == static_cast<Phase>(stage_.line(slot_).phase.load());
  }
  bool waits_for_a_lock() const { return stage_.line(slot_).phase.load() != static_cast<std::uint32_t>(Phase::sleeping); }

 private:
  void run() {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", static_cast<int>(syscall(SYS_gettid)));
    stat_.store(open(path, O_RDONLY | O_CLOEXEC));
    CADRE_CHECK(stat_.load() >= 0);
    for (std::uint32_t seen = 0;; ++seen) {
      lives_.wait(seen);
      live(stage_, slot_);
      alive_.store(false);
    }
  }

  Stage& stage_;
  const std::uint32_t slot_;
  std::atomic<std::uint32_t> lives_{0};
  std::atomic<bool> alive_{false};
  std::atomic<int> stat_{-1};
  std::thread thread_;  // ends with the process
};

/** The caller of the new processes. */
class Recovery {
 public:
  explicit Recovery(Stage& stage) : stage_(stage) {
    for (std::uint32_t s = 0; s < kSlots; ++s) hands_[s] = new Hand(stage, s);
  }

  /** "" or what went wrong. After "hang" the hands are of no more use. */
  std::string run(const Order& order) {
    std::size_t started = 0;
    hands_[order[started++]]->start();
    for (;;) {
      bool waiting = true;
      for (std::size_t i = 0; i < started; ++i) waiting = waiting && hands_[order[i]]->waits();
      if (stage_.job_done()) {
        if (stage_.is_last()) break;
        stage_.post_next();
      } else if (waiting && started < order.size()) {
        hands_[order[started++]]->start();
      } else if (waiting && stuck(order) && !stage_.job_done()) {
        return "hang: " + waiting_for();
      } else {
        sched_yield();
      }
    }
    while (started < order.size()) hands_[order[started++]]->start();
    stage_.board().shutdown.store(1);
    stage_.board().epoch.fetch_add(1);
    futex_wake(stage_.board().epoch);
    for (const std::uint32_t slot : order)
      while (hands_[slot]->alive()) {
        if (hands_[slot]->waits() && hands_[slot]->waits_for_a_lock() && stuck(order)) return "hang of slot " + std::to_string(slot) + " after the last chunk was done: " + waiting_for();
        sched_yield();
      }
    return stage_.faults();
  }

 private:
  // Everybody sleeps. Who sleeps for a job does so for good; who waits for a lock looks again now and then: nothing else may have moved meanwhile.
  bool stuck(const Order& order) const {
    const Words before = stage_.words();
    std::vector<std::uint32_t> looks;
    for (const std::uint32_t slot : order) looks.push_back(stage_.line(slot).progress.load());
    for (std::size_t i = 0; i < order.size();) {
      if (stage_.words() != before) return false;
      if (!hands_[order[i]]->alive() || !hands_[order[i]]->waits_for_a_lock() || stage_.line(order[i]).progress.load() - looks[i] >= 3)
        ++i;
      else
        usleep(1000);
    }
    return stage_.words() == before;
  }

  std::string waiting_for() const {
    std::string text = "job " + std::to_string(stage_.current());
    const std::uint32_t epoch = stage_.board().epoch.load();
    for (std::uint64_t c = 0; c < stage_.work().chunks; ++c) {
      const std::uint64_t word = stage_.board().words[c].load();
      if (word == chunk_word(epoch, chunk_state::done)) continue;
      text += ", chunk " + std::to_string(c);
      if (state_of(word) == chunk_state::pending) text += " pending";
      if (chunk_state::claimed(state_of(word))) text += " claimed by slot " + std::to_string(state_of(word) - 1);
      if (state_of(word) >= chunk_state::cancelled) text += " given up";
    }
    for (std::uint32_t s = 0; s < stage_.work().n_segments; ++s) {
      const Segment& segment = stage_.segments()[s];
      text += ", segment " + std::to_string(s) + (segment.lock.load() ? " locked by slot " + std::to_string(segment.lock.load() - 1) : " free") + " turn " + std::to_string(segment.turn.load());
    }
    return text;
  }

  Stage& stage_;
  Hand* hands_[kSlots];
};

/** What the child tells, in memory that both see. */
struct Told {
  std::atomic<std::uint64_t> states, recoveries;
  std::atomic<std::uint64_t> at;
  std::atomic<std::uint64_t> order;
  char fault[1024];
};

std::string describe(const State& state, std::uint64_t number, const Order& order) {
  std::string text = "killed in state " + std::to_string(number) + " (after instruction " + std::to_string(state.after) + ", before that at " + place_of(state.address) + ", step " +
                     std::to_string(state.step) + "), slots refilled in the order";
  for (const std::uint32_t slot : order) text += " " + std::to_string(slot);
  return text;
}

}  // namespace

Recoveries recover(Stage& stage, const Path& path, const std::vector<Order>& orders, const std::function<bool(const State&)>& wanted) {
  void* shared = mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw_errno("map memory for the recovering process", errno, Error::Kind::failed);
  Told& told = *static_cast<Told*>(shared);
  const pid_t child = fork();
  if (child < 0) throw_errno("fork the recovering process", errno, Error::Kind::failed);
  if (child == 0) {
    stage.memory().replace();
    Recovery recovery(stage);
    Image now = path.start;
    for (std::size_t i = 0; i < path.states.size(); ++i) {
      SharedMemory::apply(path.states[i].changes, now);
      if (wanted && !wanted(path.states[i])) continue;
      told.at.store(i);
      told.states.fetch_add(1);
      for (std::size_t o = 0; o < orders.size(); ++o) {
        told.order.store(o);
        stage.memory().restore(now);
        const std::string fault = recovery.run(orders[o]);
        told.recoveries.fetch_add(1);
        if (fault.empty()) continue;
        std::snprintf(told.fault, sizeof told.fault, "%s", fault.c_str());
        _exit(1);
      }
    }
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  Recoveries result{told.states.load(), told.recoveries.load(), ""};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    result.fault = describe(path.states[told.at.load()], told.at.load(), orders[told.order.load()]) + ": " +
                   (WIFSIGNALED(status) ? std::string("the next process died of ") + strsignal(WTERMSIG(status)) : std::string(told.fault));
  munmap(shared, sizeof(Told));
  return result;
}

}  // namespace cadre::crash
