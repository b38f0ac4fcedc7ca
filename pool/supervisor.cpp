#include <cadre/pool/supervisor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <cadre/pool/fork.hpp>
#include <cadre/pool/worker.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kLookMs = 500;             // how often the slots' clocks are read
constexpr int kLooksWithoutProgress = 10;          // 5 s of this process's own running time
constexpr std::uint64_t kFirstPauseNs = 1'000'000;  // before a slot is tried again that could not be filled; doubles
constexpr std::uint64_t kLastPauseNs = 1'000'000'000;
constexpr std::uint64_t kGiveUpNs = 8'000'000'000;

// This process's children, as the kernel lists them; none where it does not.
std::vector<pid_t> children() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children", static_cast<int>(getpid()));
  std::vector<pid_t> pids;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return pids;
  char text[8192];
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[std::max<ssize_t>(got, 0)] = 0;
  char* p = text;
  for (char* end; std::strtol(p, &end, 10) > 0; p = end) pids.push_back(static_cast<pid_t>(std::strtol(p, nullptr, 10)));
  return pids;
}

struct WorkerStart {
  const SupervisorPlan* plan;
  int slot;
};

void worker_body(void* context) {
  const WorkerStart& start = *static_cast<WorkerStart*>(context);
  const SupervisorPlan& plan = *start.plan;
  prctl(PR_SET_NAME, "cadre-worker");
  close(plan.lifeline_fd);
  if (!plan.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan.cpus[static_cast<std::size_t>(start.slot) % plan.cpus.size()], &set);
    sched_setaffinity(0, sizeof set, &set);  // refused: unpinned
  }
  // The caller, which has the data, must outlive a worker, which can be replaced.
  if (const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); fd >= 0) {
    if (write(fd, "500", 3) != 3) { /* refused: as good as the others */
    }
    close(fd);
  }
  if (const int error = enter_worker_view(plan.caller)) {
    std::fprintf(stderr, "cadre: a worker can not map the shared memory: %s\n", std::strerror(error));
    _exit(70);
  }
  Worker(plan.board, *plan.task, start.slot).live();
}

class Zygote {
 public:
  explicit Zygote(const SupervisorPlan& plan) : plan_(plan), board_(*plan.board), slots_(plan.board->workers) {}

  [[noreturn]] void run() {
    board_.zygote.store(getpid());
    signal(SIGTERM, SIG_IGN);  // sent to a whole group it is for the caller to act on, and a supervisor leaves with the caller
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, nullptr);
    const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) fill(slot, true);
    std::uint64_t next_look = monotonic_ns() + kLookMs * 1'000'000;
    for (;;) {
      pollfd fds[] = {{signals, POLLIN, 0}, {plan_.caller_pidfd, POLLIN, 0}, {plan_.shutdown_fd, POLLIN, 0}};
      poll(fds, 3, timeout_ms(next_look));
      if (fds[1].revents || fds[2].revents) leave();
      signalfd_siginfo info[16];
      while (read(signals, info, sizeof info) > 0) {
      }
      reap();
      const std::uint64_t now = monotonic_ns();
      for (std::size_t slot = 0; slot < slots_.size(); ++slot)
        if (slots_[slot].pid == 0 && slots_[slot].retry_at <= now) fill(slot, false);
      if (now >= next_look) {
        look_for_stuck();
        next_look = now + kLookMs * 1'000'000;
      }
    }
  }

 private:
  struct Slot {
    pid_t pid = 0;
    std::uint64_t retry_at = 0;
    std::uint64_t pause = 0;          // 0: the last start went well
    std::uint64_t failing_since = 0;
    std::uint32_t registered_before = 0;
    std::uint64_t attempts_of = 0;    // hint of the chunk that `attempts` counts
    int attempts = 0;
    std::uint32_t seen_progress = 0;
    std::uint64_t seen_hint = 0;
    int looks = 0;
    bool stopped = false;
  };

  int timeout_ms(std::uint64_t next_look) const {
    std::uint64_t at = next_look;
    for (const Slot& s : slots_)
      if (s.pid == 0) at = std::min(at, s.retry_at);
    const std::uint64_t now = monotonic_ns();
    return at <= now ? 0 : static_cast<int>((at - now) / 1'000'000 + 1);
  }

  void fill(std::size_t slot, bool first) {
    Slot& s = slots_[slot];
    SlotLine& line = board_.lines[slot];
    s.registered_before = line.started.load();
    line.phase.store(static_cast<std::uint32_t>(Phase::starting));
    WorkerStart start{&plan_, static_cast<int>(slot)};
    const pid_t pid = fork_child(worker_body, &start, Orphan::killed);
    if (pid < 0) {
      const int error = errno;
      if (first) {
        board_.unfilled_error.store(error);
        board_.unfilled.fetch_add(1);
      }
      later(slot, Failure::refill, error);
      return;
    }
    s.pid = pid;
    s.looks = 0;
    s.stopped = false;
    board_.watches[slot].pid.store(pid);
  }

  // The slot stays empty for a while; when that has gone on for too long the job fails.
  void later(std::size_t slot, Failure why, int status) {
    Slot& s = slots_[slot];
    const std::uint64_t now = monotonic_ns();
    if (s.pause == 0) s.failing_since = now;
    s.pause = s.pause == 0 ? kFirstPauseNs : std::min(s.pause * 2, kLastPauseNs);
    s.retry_at = now + s.pause;
    if (now - s.failing_since < kGiveUpNs) return;
    // As long as others work, the job goes on without this slot, unless it owns something.
    const std::uint64_t hint = board_.lines[slot].hint.load();
    const bool owns = epoch_of(hint) != 0 && board_.words[state_of(hint)].load() == chunk_word(epoch_of(hint), static_cast<std::uint32_t>(slot) + 1);
    const bool alone = std::all_of(slots_.begin(), slots_.end(), [](const Slot& other) { return other.pid == 0 || other.pause != 0; });
    if (!owns && !alone) return;
    board_.dead.store(static_cast<std::uint32_t>(why));
    board_.fail(board_.epoch.load(), why, static_cast<std::uint32_t>(slot), state_of(hint), status, 0);
    futex_wake(board_.finished);
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
      if (pid <= 0) break;
      const auto at = std::find_if(slots_.begin(), slots_.end(), [pid](const Slot& s) { return s.pid == pid; });
      if (at == slots_.end()) continue;
      if (WIFSTOPPED(status) || WIFCONTINUED(status))
        at->stopped = WIFSTOPPED(status);
      else
        buried(static_cast<std::size_t>(at - slots_.begin()), status);
    }
  }

  void buried(std::size_t slot, int status) {
    Slot& s = slots_[slot];
    SlotLine& line = board_.lines[slot];
    s.pid = 0;
    board_.watches[slot].pid.store(0);
    board_.watches[slot].deaths.fetch_add(1);
    kill_strays();
    const std::uint64_t hint = line.hint.load();
    const std::uint32_t epoch = epoch_of(hint), chunk = state_of(hint);
    const bool holds = epoch != 0 && chunk < kMaxChunks && board_.words[chunk].load() == chunk_word(epoch, static_cast<std::uint32_t>(slot) + 1);
    if (holds) board_.watches[slot].crashes.fetch_add(1);
    const bool killed_from_outside = WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    if (holds && line.phase.load() == static_cast<std::uint32_t>(Phase::kernel) && !killed_from_outside) {
      s.attempts = s.attempts_of == hint ? s.attempts + 1 : 1;
      s.attempts_of = hint;
      if (s.attempts > plan_.retries) board_.fail(epoch, Failure::crash, static_cast<std::uint32_t>(slot), chunk, status, static_cast<std::uint32_t>(s.attempts));
    }
    if (line.started.load() == s.registered_before && !killed_from_outside)
      later(slot, Failure::restarts, status);
    else {
      s.pause = 0;
      fill(slot, false);
    }
    futex_wake(board_.finished);
  }

  // What a kernel forked and its worker's death left behind is now a child of this process.
  void kill_strays() {
    for (const pid_t pid : children())
      if (std::none_of(slots_.begin(), slots_.end(), [pid](const Slot& s) { return s.pid == pid; })) kill(pid, SIGKILL);
  }

  // A process stopped, or lost, between claim and done outside a kernel holds up others: it is replaced. (A long kernel is the user's business.)
  void look_for_stuck() {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      Slot& s = slots_[slot];
      const SlotLine& line = board_.lines[slot];
      const auto phase = static_cast<Phase>(line.phase.load());
      const std::uint32_t progress = line.progress.load();
      const std::uint64_t hint = line.hint.load();
      // A kernel that still runs when the job has failed computes for nobody, and may never end.
      const bool vain = phase == Phase::kernel && board_.stop.load() == static_cast<std::uint32_t>(Stop::abandon);
      const bool ours = phase == Phase::starting || phase == Phase::claiming || phase == Phase::combining;
      const bool held_up = s.stopped && phase == Phase::kernel;  // if everybody was stopped, this process was too, and did not look
      if (s.pid == 0 || !(ours || vain || held_up) || progress != s.seen_progress || hint != s.seen_hint)
        s.looks = 0;
      else if (++s.looks >= (vain ? 1 : kLooksWithoutProgress))
        kill(s.pid, SIGKILL);
      s.seen_progress = progress;
      s.seen_hint = hint;
    }
  }

  [[noreturn]] void leave() {
    for (const Slot& s : slots_)
      if (s.pid > 0) kill(s.pid, SIGKILL);
    kill_strays();
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) kill_strays();
    _exit(0);
  }

  const SupervisorPlan& plan_;
  Board& board_;
  std::vector<Slot> slots_;
};

void zygote_body(void* context) {
  const auto& plan = *static_cast<const SupervisorPlan*>(context);
  prctl(PR_SET_NAME, "cadre-zygote");
  Zygote(plan).run();
}

// Ends everything that the dead zygote left: its workers were killed with it and are children of this process now.
void end_orphans() {
  do
    for (const pid_t pid : children()) kill(pid, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR);
}

}  // namespace

void supervise(const SupervisorPlan& plan) {
  signal(SIGTERM, SIG_IGN);
  prctl(PR_SET_NAME, "cadre-standby");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  plan.board->standby.store(getpid());
  const pid_t zygote = fork_child(zygote_body, const_cast<SupervisorPlan*>(&plan), Orphan::lives);
  if (zygote < 0) {  // one supervisor is enough to work
    plan.board->standby.store(0);
    Zygote(plan).run();
  }
  const int zygote_pidfd = open_pidfd(zygote);
  for (;;) {
    pollfd fds[] = {{zygote_pidfd, POLLIN, 0}, {plan.caller_pidfd, POLLIN, 0}, {plan.shutdown_fd, POLLIN, 0}};
    poll(fds, 3, -1);
    const bool over = fds[1].revents || fds[2].revents;
    if (!over && !fds[0].revents) continue;
    if (over) kill(zygote, SIGKILL);  // it leaves by itself, but may have been stopped
    end_orphans();                    // reaps it too
    if (over) _exit(0);
    break;
  }
  close(zygote_pidfd);
  plan.board->zygote.store(0);
  plan.board->standby.store(0);
  for (std::uint32_t slot = 0; slot < plan.board->workers; ++slot) plan.board->watches[slot].pid.store(0);
  Zygote(plan).run();
}

}  // namespace cadre
