#include "killer.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include <cadre/pool/board.hpp>

namespace cadre::chaos {

namespace {

// Of all strikes; the rest are kills of one worker.
constexpr double kAllAtOnce = 0.02, kStopAndGo = 0.08, kSupervisor = 0.01, kLeftStopped = 0.00003;
constexpr double kIdleVictim = 0.1;      // who holds no chunk is spared nine times out of ten,
constexpr double kYoungVictim = 0.05;    // and a process that has not yet gone on where its predecessor died nearly always: the job is to get on
constexpr double kComputing = 0.1;       // nor is one in the kernel, where those hits of the job have got ahead of the ones in steps 3 to 6 by more than
constexpr std::uint64_t kAhead = 20;
constexpr double kLookedAt = 0.5;        // stopped before it is killed, so that its step is known exactly
constexpr double kPauseUs = 700;

}  // namespace

int step_of(const Board& board, std::uint32_t slot) {
  const std::uint64_t hint = board.lines[slot].hint.load();
  const Record record = Record::of(board.lines[slot].record.load());
  const bool holds = epoch_of(hint) != 0 && board.words[state_of(hint)].load() == chunk_word(epoch_of(hint), slot + 1);
  if (!holds) return record.ready ? 6 : 0;
  if (!record.ready) return 2;
  return record.segment == 0 && record.block == 0 && !record.saved ? 3 : 4;
}

char state_of_process(pid_t pid) {
  char path[64], text[512];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[got > 0 ? got : 0] = 0;
  const char* paren = std::strrchr(text, ')');
  return paren && paren[1] ? paren[2] : 0;
}

Killer::Killer(Pool& pool, Tally& tally, std::uint64_t enough, std::uint64_t seed)
    : pool_(pool), board_(pool.board()), tally_(tally), enough_(enough), random_(seed), killed_(static_cast<std::size_t>(pool.workers())), thread_([this] { run(); }) {}

Killer::~Killer() {
  over_.store(true);
  thread_.join();
}

void Killer::pause(double mean_us) {
  std::this_thread::sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(std::exponential_distribution<>(1 / mean_us)(random_) * 1000)));
}

void Killer::run() {
  while (!over_.load() && tally_.kills.load() < enough_) {
    if (tally_.busy.load()) strike();
    pause(kPauseUs);
  }
}

void Killer::kill_worker(std::uint32_t slot, pid_t pid) {
  int step = step_of(board_, slot);
  if (step == 0 && !chance(kIdleVictim)) return;
  const auto phase = static_cast<Phase>(board_.lines[slot].phase.load());
  if (step == 2 && phase != Phase::kernel && phase != Phase::combining && !chance(kYoungVictim)) return;
  const auto& hit = tally_.hit[tally_.job.load()];
  if (step == 2 && hit[2].load() > hit[3].load() + hit[4].load() + hit[6].load() + kAhead && !chance(kComputing)) return;
  if (chance(kLookedAt)) {
    if (kill(pid, SIGSTOP) != 0) return;
    for (char state; (state = state_of_process(pid)) != 'T' && state != 'Z' && state != 0;) continue;
    step = step_of(board_, slot);
  }
  if (kill(pid, SIGKILL) != 0) return;
  killed_[slot] = pid;
  tally_.kills.fetch_add(1);
  tally_.hit[tally_.job.load()][step].fetch_add(1);
}

void Killer::strike() {
  const std::vector<pid_t> pids = pool_.worker_pids();
  if (chance(kAllAtOnce)) {
    tally_.at_once.fetch_add(1);
    for (std::uint32_t slot = 0; slot < pids.size(); ++slot)
      if (pids[slot] > 0 && pids[slot] != killed_[slot]) kill_worker(slot, pids[slot]);
    return;
  }
  if (supervisors_whole_ && chance(kSupervisor)) {
    const bool zygote = chance(0.5);
    const pid_t pid = zygote ? pool_.zygote() : pool_.standby();
    if (pid <= 0) return;
    supervisors_whole_ = false;
    kill(pid, SIGKILL);
    (zygote ? tally_.zygotes : tally_.standbys).fetch_add(1);
    return;
  }
  const auto slot = static_cast<std::uint32_t>(random_() % pids.size());
  const pid_t pid = pids[slot];
  if (pid <= 0 || pid == killed_[slot]) return;
  if (chance(kLeftStopped)) {
    if (step_of(board_, slot) == 0) return;
    tally_.left_stopped.fetch_add(1);
    kill(pid, SIGSTOP);
  } else if (chance(kStopAndGo)) {
    tally_.stops.fetch_add(1);
    kill(pid, SIGSTOP);
    pause(3000);
    kill(pid, SIGCONT);
  } else {
    kill_worker(slot, pid);
  }
}

}  // namespace cadre::chaos
