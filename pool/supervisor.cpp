#include <cadre/pool/supervisor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <cadre/pool/fork.hpp>
#include <cadre/pool/fresh.hpp>
#include <cadre/pool/worker.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kPatienceNs = 5'000'000'000;  // for a slot that makes no progress outside a kernel, of this process's own running time
constexpr std::uint64_t kVainNs = 500'000'000;        // for a kernel whose job has failed
constexpr std::uint64_t kFirstPauseNs = 1'000'000;  // before a slot is tried again that could not be filled; doubles
constexpr std::uint64_t kLastPauseNs = 1'000'000'000;
constexpr int kOwnDeaths = 50;  // of one chunk's processes, neither killed from outside nor in a kernel: our own code is at fault
// Kills from outside say nothing of a chunk, but whoever sends so many while one and the same chunk is in the kernel is its kernel. One that was stopped until it was killed counts
// as many: it has cost seconds.
constexpr int kOutsideKills = 200, kOutsideStop = 50;
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

// Processes that the kernel has killed for want of memory, in this cgroup or, where it is not told apart, on this machine.
std::uint64_t oom_kills() {
  static const char* const path = [] {
    static char own[512];
    char text[512] = {};
    if (const int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC); fd >= 0) {
      if (read(fd, text, sizeof text - 1) > 0)
        if (char* at = std::strstr(text, "0::/")) {
          at[std::strcspn(at, "\n")] = 0;
          std::snprintf(own, sizeof own, "/sys/fs/cgroup%s/memory.events", at + 3);
        }
      close(fd);
    }
    return own[0] && access(own, R_OK) == 0 ? own : "/proc/vmstat";
  }();
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  static char text[16384];
  std::size_t got = 0;
  for (ssize_t n; got < sizeof text - 1 && (n = read(fd, text + got, sizeof text - 1 - got)) > 0;) got += static_cast<std::size_t>(n);
  close(fd);
  text[got] = 0;
  const char* at = std::strstr(text, "oom_kill ");
  return at ? std::strtoull(at + 9, nullptr, 10) : 0;
}

struct WorkerStart {
  const SupervisorPlan* plan;
  int slot;
};

void worker_body(void* context) {
  const WorkerStart& start = *static_cast<WorkerStart*>(context);
  close(start.plan->lifeline_fd);
  live_as_worker(*start.plan, start.slot);
}

class Zygote {
 public:
  explicit Zygote(const SupervisorPlan& plan) : plan_(plan), board_(*plan.board), slots_(plan.slots) {}

  [[noreturn]] void run() {
    board_.zygote.store(getpid());
    prctl(PR_SET_PDEATHSIG, SIGCONT);  // one that was stopped sees that it is alone
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, nullptr);
    const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) fill(slot, true);
    std::uint64_t next_look = monotonic_ns() + plan_.look_ns;
    last_look_ = monotonic_ns();
    oom_kills_ = oom_kills();
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
        if (slots_[slot].pid == 0 && !slots_[slot].retired && slots_[slot].retry_at <= now) fill(slot, false);
      if (now >= next_look) {
        look(now);
        next_look = now + plan_.look_ns;
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
    std::uint32_t seen_progress = 0;
    std::uint64_t seen_hint = 0;
    std::uint64_t still_ns = 0;       // since anything was seen to move
    std::uint32_t seen_try = 0;       // the call of a kernel that ran_ns counts
    std::uint64_t ran_ns = 0;
    bool late = false;                // it was told that its time is over
    bool stopped = false;
    bool held_up = false;             // it was killed since it was stopped
    std::uint64_t own_deaths_of = 0;  // hint of the chunk that own_deaths counts
    int own_deaths = 0;
    std::uint64_t kills_of = 0;       // likewise: in the kernel, from outside as far as can be told
    int kills = 0;
    bool retired = false;  // a surplus slot that owns nothing any more
  };

  int timeout_ms(std::uint64_t next_look) const {
    std::uint64_t at = next_look;
    for (const Slot& s : slots_)
      if (s.pid == 0 && !s.retired) at = std::min(at, s.retry_at);
    const std::uint64_t now = monotonic_ns();
    return at <= now ? 0 : static_cast<int>((at - now) / 1'000'000 + 1);
  }

  void fill(std::size_t slot, bool first) {
    Slot& s = slots_[slot];
    SlotLine& line = board_.lines[slot];
    s.registered_before = line.started.load();
    line.phase.store(static_cast<std::uint32_t>(Phase::starting));
    WorkerStart start{&plan_, static_cast<int>(slot)};
    const pid_t pid = plan_.start == StartMethod::spawn ? exec_worker(plan_, start.slot) : fork_child(worker_body, &start, Orphan::killed);
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
    s.still_ns = s.ran_ns = 0;
    s.late = s.stopped = s.held_up = false;
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
    const bool alone =
        std::all_of(slots_.begin(), slots_.end(), [](const Slot& other) { return other.pid == 0 || other.pause != 0 || other.retired; });
    if (!owns && !alone) return;
    board_.dead.store(static_cast<std::uint32_t>(why));
    board_.fail(board_.epoch.load(), why, static_cast<std::uint32_t>(slot), status);
    futex_wake(board_.finished);
  }

  void reap() {
    for (;;) {
      int status = 0;
      rusage usage{};
      const pid_t pid = wait4(-1, &status, WNOHANG | WUNTRACED | WCONTINUED, &usage);
      if (pid <= 0) break;
      const auto at = std::find_if(slots_.begin(), slots_.end(), [pid](const Slot& s) { return s.pid == pid; });
      if (at == slots_.end()) continue;
      if (WIFSTOPPED(status) || WIFCONTINUED(status))
        at->stopped = WIFSTOPPED(status);
      else
        buried(static_cast<std::size_t>(at - slots_.begin()), status, static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
    }
  }

  void buried(std::size_t slot, int status, std::uint64_t peak_rss) {
    Slot& s = slots_[slot];
    SlotLine& line = board_.lines[slot];
    s.pid = 0;
    board_.watches[slot].pid.store(0);
    board_.watches[slot].deaths.fetch_add(1);
    kill_strays();
    const std::uint64_t hint = line.hint.load();
    const std::uint32_t epoch = epoch_of(hint), chunk = state_of(hint);
    const bool holds = epoch != 0 && chunk < kMaxChunks && board_.words[chunk].load() == chunk_word(epoch, static_cast<std::uint32_t>(slot) + 1);
    if (slot >= plan_.active && !holds && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      s.retired = true;
      line.phase.store(static_cast<std::uint32_t>(Phase::retired));
      futex_wake(board_.finished);
      return;
    }
    const bool in_kernel = line.phase.load() == static_cast<std::uint32_t>(Phase::kernel);
    const bool timed_out = s.late && in_kernel && line.tries.load() == s.seen_try;
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !timed_out;
    const std::uint64_t ooms = killed ? oom_kills() : oom_kills_;
    const bool out_of_memory = ooms > oom_kills_;
    oom_kills_ = ooms;
    bool killed_from_outside = (killed && !out_of_memory) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    if (killed_from_outside && holds && in_kernel) {
      s.kills = (s.kills_of == hint ? s.kills : 0) + (s.held_up ? kOutsideStop : 1);
      s.kills_of = hint;
      killed_from_outside = s.kills <= kOutsideKills;
    }
    SlotWatch& watch = board_.watches[slot];
    if (holds && !line.searching.load()) {
      watch.crashes.fetch_add(1);
      if (timed_out) watch.timeouts.fetch_add(1);
    }
    if (holds && in_kernel && !killed_from_outside) {
      watch.signal.store(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
      watch.exit.store(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
      watch.timed_out.store(timed_out);
      watch.out_of_memory.store(out_of_memory);
      watch.peak_rss.store(peak_rss);
      watch.charged_try.store(line.tries.load());
      watch.charged_hint.store(hint);
    }
    if (holds && !in_kernel && !killed_from_outside && WIFSIGNALED(status)) {
      s.own_deaths = s.own_deaths_of == hint ? s.own_deaths + 1 : 1;
      s.own_deaths_of = hint;
      if (s.own_deaths == kOwnDeaths) board_.fail(epoch, Failure::outside, static_cast<std::uint32_t>(slot), status);
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

  // Time is what this process itself has run: when everything was stopped for a while, nobody is late.
  void look(std::uint64_t now) {
    const std::uint64_t passed = std::min(now - last_look_, 2 * plan_.look_ns);
    last_look_ = now;
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot].pid == 0) continue;
      look_for_late(slots_[slot], board_.lines[slot], now, passed);
      look_for_stuck(slots_[slot], board_.lines[slot], passed);
    }
  }

  // A kernel over its deadline is told so, which lets its process write down where it is; if it does not end of that, it is killed.
  void look_for_late(Slot& s, const SlotLine& line, std::uint64_t now, std::uint64_t passed) {
    const bool in_kernel = line.phase.load(std::memory_order_acquire) == static_cast<std::uint32_t>(Phase::kernel);  // partner: enter_kernel
    const std::uint64_t allowed = line.allowed.load(), began = line.began.load();
    const std::uint32_t at = line.tries.load();
    if (!in_kernel || allowed == 0 || at != s.seen_try) {
      s.late = false;
      s.ran_ns = in_kernel && now > began ? std::min(now - began, passed) : 0;
    } else {
      s.ran_ns += passed;
    }
    s.seen_try = at;
    if (!in_kernel || allowed == 0 || s.ran_ns < allowed) return;
    kill(s.pid, s.late ? SIGKILL : SIGXCPU);
    s.late = true;
  }

  // A process stopped, or lost, between claim and done outside a kernel holds up others: it is replaced. (A long kernel is the user's business.)
  void look_for_stuck(Slot& s, const SlotLine& line, std::uint64_t passed) {
    const auto phase = static_cast<Phase>(line.phase.load());
    const std::uint32_t progress = line.progress.load();
    const std::uint64_t hint = line.hint.load();
    // A kernel that still runs when the job has failed computes for nobody, and may never end.
    const bool vain = phase == Phase::kernel && board_.stop.load() == static_cast<std::uint32_t>(Stop::abandon);
    const bool ours = phase == Phase::starting || phase == Phase::claiming || phase == Phase::combining;
    const bool held_up = s.stopped && phase == Phase::kernel;  // if everybody was stopped, this process was too, and did not look
    if (!(ours || vain || held_up) || progress != s.seen_progress || hint != s.seen_hint)
      s.still_ns = 0;
    else if ((s.still_ns += passed) >= (vain ? kVainNs : kPatienceNs)) {
      s.held_up = held_up;
      kill(s.pid, SIGKILL);
    }
    s.seen_progress = progress;
    s.seen_hint = hint;
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
  std::uint64_t last_look_ = 0;
  std::uint64_t oom_kills_ = 0;  // as counted when last looked at
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

void live_as_worker(const SupervisorPlan& plan, int slot) {
  prctl(PR_SET_NAME, "cadre-worker");
  if (!plan.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan.cpus[static_cast<std::size_t>(slot) % plan.cpus.size()], &set);
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
  signal(SIGTERM, SIG_DFL);  // whoever sends it to one worker, its kernel for instance, means that
  Worker(plan.board, *plan.task, slot).live();
  while (protocol(plan.board)->shutdown.load()) pause();  // until it is killed: leaving now would look like a death
}

void supervise(const SupervisorPlan& plan) {
  prctl(PR_SET_NAME, "cadre-standby");
  prctl(PR_SET_PDEATHSIG, SIGCONT);  // one that was stopped sees that it is alone
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
  for (std::uint32_t slot = 0; slot < plan.slots; ++slot) plan.board->watches[slot].pid.store(0);
  Zygote(plan).run();
}

}  // namespace cadre
