#include "stepping.hpp"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <cadre/shm/error.hpp>

namespace cadre::crash {

namespace {


/** A worker of the stage under ptrace; killed when it goes out of scope. */
class SteppedWorker {
 public:
  SteppedWorker(Stage& stage, std::uint32_t slot) {
    // Both on one CPU: they run in turn, and wake each other several times as fast.
    sched_getaffinity(0, sizeof cpus_, &cpus_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
    sched_setaffinity(0, sizeof here, &here);
    pid_ = fork();
    if (pid_ < 0) throw_errno("fork the worker to be stepped", errno, Error::Kind::failed);
    if (pid_ == 0) {
      if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(71);
      raise(SIGSTOP);
      live(stage, slot);
      _exit(0);
    }
    if (!wait()) throw Error("the worker can not be stepped: ptrace is not allowed here (in a container, give it CAP_SYS_PTRACE)", Error::Kind::failed);
  }
  SteppedWorker(const SteppedWorker&) = delete;
  SteppedWorker& operator=(const SteppedWorker&) = delete;
  ~SteppedWorker() {
    sched_setaffinity(0, sizeof cpus_, &cpus_);
    if (!running_) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) continue;
  }

  /** One instruction. False when it has ended. */
  bool step() {
    if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) throw_errno("step the worker", errno, Error::Kind::failed);
    if (!wait()) return false;
    if (WSTOPSIG(status_) != SIGTRAP) throw Error("the stepped worker got " + std::string(strsignal(WSTOPSIG(status_))) + " at " + place_of(address()), Error::Kind::failed);
    return true;
  }
  std::uint64_t address() const {
    return static_cast<std::uint64_t>(ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
  }

 private:
  bool wait() {
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) continue;
    return running_ = WIFSTOPPED(status_);
  }

  cpu_set_t cpus_;
  pid_t pid_ = 0;
  int status_ = 0;
  bool running_ = false;
};

}  // namespace

std::string place_of(std::uint64_t address) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(address), &info)) return "?";
  char text[512];
  std::snprintf(text, sizeof text, "%s+0x%lx", info.dli_fname, static_cast<unsigned long>(address - reinterpret_cast<std::uint64_t>(info.dli_fbase)));
  return text;
}

Path step_through(Stage& stage, std::uint32_t slot, const Image& start, bool posting, const std::function<bool()>& enough) {
  SharedMemory& memory = stage.memory();
  memory.restore(start);
  stage.refill(slot);
  Path path;
  path.start = memory.image();
  path.states.push_back({.step = stage.step_of(slot)});
  Image before = path.start;
  Words words = stage.words();
  SteppedWorker worker(stage, slot);
  bool told = false;
  std::uint32_t progress_before = stage.line(slot).progress.load();
  int looks = 0;
  while (worker.step()) {
    ++path.instructions;
    ++path.states.back().instructions;
    ++path.in_step[static_cast<std::size_t>(path.states.back().step)];
    std::vector<Change> changes = memory.changes_since(before);
    if (!changes.empty()) {
      const Words now = stage.words();
      path.states.push_back({.changes = std::move(changes), .after = path.instructions, .address = worker.address(), .step = stage.step_of(slot), .words_moved = now != words});
      words = now;
      if (enough && enough()) break;
      // Progress without a change of the protocol's words: it looks again for a lock or a turn, for the second time in vain.
      const std::uint32_t progress = stage.line(slot).progress.load();
      if (path.states.back().words_moved) looks = 0;
      if (progress != progress_before && stage.waited_for() && ++looks == 2) break;
      progress_before = progress;
    }
    // It is about to sleep until the next job: the caller acts now, so that the worker finds the job before it sleeps.
    const bool sleepy = stage.line(slot).phase.load() == static_cast<std::uint32_t>(Phase::sleeping);
    if (!sleepy) told = false;
    if (sleepy && !told) {
      told = true;
      if (!posting || !stage.job_done() || stage.is_last()) break;
      stage.post_next();
    }
  }
  return path;
}

}  // namespace cadre::crash
