/* chaos: jobs under fire. Workers, supervisors and the caller are killed and stopped at random moments; every result must have the digest of the undisturbed run,
   and nothing may be left of a caller that was killed.

     chaos [--seconds N | --kills N --caller-kills N] [--recoveries N] [--seed N] [--start fork|forkserver|spawn]

   Prints what the kills hit and how long things took. Exit 0 when all was well. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <new>
#include <string>

#include <cadre/engine/engine.hpp>
#include <cadre/engine/job_run.hpp>
#include <cadre/pool/program.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>

#include "../engine/arrays.hpp"
#include "jobs.hpp"
#include "killer.hpp"

namespace cadre::chaos {
namespace {

constexpr double kHeldAtLeast = 0.90, kApplyingAtLeast = 1.0 / 3;
constexpr std::uint64_t kMs = 1'000'000;

struct Arguments {
  std::uint64_t seconds = 30;
  std::uint64_t kills = 0, caller_kills = 0, recoveries = 0;   // 0: as many as the seconds allow (recoveries: none)
  std::uint64_t seed = 0;
  StartMethod start = StartMethod::fork;
};

void note_wrong(Tally& tally, const std::string& text) {
  if (tally.wrong.fetch_add(1) == 0) std::snprintf(tally.first_wrong, sizeof tally.first_wrong, "%s", text.c_str());
}

/** The caller of the worker kills: one engine after the other, random jobs on each, the killer at work. */
int run_under_fire(Tally& tally, StartMethod start, std::uint64_t kills, std::uint64_t until, std::uint64_t seed) {
  const Options options{.isa = resolve_isa(Isa::automatic)};
  const KernelTable table(options);
  const std::vector<ChaosJob> jobs = make_jobs(table);
  CADRE_CHECK(jobs.size() <= kMostJobs);
  for (std::size_t j = 0; j < jobs.size(); ++j) std::snprintf(tally.names[j], sizeof tally.names[j], "%s", jobs[j].name.c_str());
  std::vector<std::string> expected;
  {
    Executor undisturbed(Backend::serial, {.workers = 1}, {});
    for (const ChaosJob& job : jobs) expected.push_back(job.run(undisturbed));
  }
  std::mt19937_64 random(seed);
  while (tally.kills.load() < kills && monotonic_ns() < until) {
    const int workers = 1 + static_cast<int>(random() % 4);
    Executor executor(Backend::processes, {.workers = workers, .start = start}, {});
    tally.engines.fetch_add(1);
    {
      const Killer killer(*executor.pool(), tally, kills, random());
      for (int i = 0; i < 60 && tally.kills.load() < kills && monotonic_ns() < until; ++i) {
        const std::size_t j = random() % jobs.size();
        tally.job.store(static_cast<std::uint32_t>(j));
        tally.busy.store(1);
        std::string got;
        try {
          got = jobs[j].run(executor);
        } catch (const std::exception& e) {
          got = e.what();
        }
        tally.busy.store(0);
        tally.jobs.fetch_add(1);
        if (got != expected[j]) note_wrong(tally, jobs[j].name + ": " + (got.find(' ') != std::string::npos ? got : "another digest"));
      }
    }
    const PoolCounts counts = executor.pool()->counts();
    tally.crashes.fetch_add(counts.crashes);
    tally.reruns.fetch_add(counts.retries);
  }
  return 0;
}

/** The caller that is killed: starts an engine and runs jobs until then. */
int run_until_killed(StartMethod start, std::uint64_t seed) {
  const Options options{.isa = resolve_isa(Isa::automatic)};
  const KernelTable table(options);
  std::mt19937_64 random(seed);
  Executor executor(Backend::processes, {.workers = 2, .start = start}, {});
  const std::vector<ChaosJob> jobs = make_jobs(table);
  for (;;) jobs[random() % jobs.size()].run(executor);
}

/** Waits until this process has no descendant left; true when that was within the limit. It is a subreaper: orphans become its children. */
bool all_gone(std::uint64_t limit_ms) {
  struct sigaction alarm_action{};
  alarm_action.sa_handler = [](int) {};
  sigaction(SIGALRM, &alarm_action, nullptr);
  const itimerval timer{{0, 100'000}, {static_cast<time_t>(limit_ms / 1000), static_cast<suseconds_t>(limit_ms % 1000 * 1000 + 1)}};
  setitimer(ITIMER_REAL, &timer, nullptr);
  bool late = false;
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR)
    if (errno == EINTR) {
      late = true;
      break;
    }
  const itimerval off{};
  setitimer(ITIMER_REAL, &off, nullptr);
  return !late;
}

std::uint64_t shared_memory_kib() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);)
    if (line.starts_with("Shmem:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

/** "p50 1.2 p90 3.4 p99 5.6 max 7.8 ms" */
std::string spread(std::vector<std::uint64_t> ns) {
  if (ns.empty()) return "none";
  std::sort(ns.begin(), ns.end());
  const auto at = [&](double q) { return static_cast<double>(ns[std::min(ns.size() - 1, static_cast<std::size_t>(q * static_cast<double>(ns.size())))]) / 1e6; };
  char text[160];
  std::snprintf(text, sizeof text, "p50 %.2f, p90 %.2f, p99 %.2f, most %.2f ms", at(0.5), at(0.9), at(0.99), at(1));
  return text;
}

/** Forks `body` as a caller; its exit code is the child's. */
template <class Body>
pid_t fork_caller(const Body& body) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    int code = 1;
    try {
      code = body();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "chaos: %s\n", e.what());
    }
    std::fflush(stdout);
    _exit(code);
  }
  if (pid < 0) {
    std::perror("chaos: fork");
    std::exit(1);
  }
  return pid;
}

bool kill_workers(Tally& tally, const Arguments& a, std::uint64_t until, std::mt19937_64& random) {
  const std::uint64_t seed = random(), kills = a.kills ? a.kills : ~std::uint64_t{0};
  const pid_t caller = fork_caller([&] { return run_under_fire(tally, a.start, kills, until, seed); });
  int status = 0;
  while (waitpid(caller, &status, 0) < 0 && errno == EINTR) continue;
  const bool clean = all_gone(10'000);
  std::uint64_t total[kSteps]{};
  std::printf("what the kills of workers hit:\n  %-20s %9s %9s %9s %9s %9s\n", "job", "no chunk", "compute", "ready", "applying", "done");
  for (std::size_t j = 0; j < kMostJobs && tally.names[j][0]; ++j) {
    std::printf("  %-20s", tally.names[j]);
    for (const int step : {0, 2, 3, 4, 6}) {
      std::printf(" %9" PRIu64, tally.hit[j][step].load());
      total[step] += tally.hit[j][step].load();
    }
    std::printf("\n");
  }
  const auto kinds = static_cast<double>(std::max<std::uint64_t>(tally.kills.load(), 1));
  const double held = 1 - static_cast<double>(total[0]) / kinds, applying = static_cast<double>(total[3] + total[4] + total[6]) / kinds;
  std::printf("%" PRIu64 " kills of workers (%" PRIu64 " times all at once): %.1f %% held a chunk, %.1f %% were in steps 3 to 6\n", tally.kills.load(), tally.at_once.load(), held * 100, applying * 100);
  std::printf("%" PRIu64 " stops and continues, %" PRIu64 " left stopped, %" PRIu64 " zygotes and %" PRIu64 " standbys killed\n", tally.stops.load(), tally.left_stopped.load(), tally.zygotes.load(), tally.standbys.load());
  std::printf("%" PRIu64 " jobs on %" PRIu64 " engines: %" PRIu64 " recoveries of chunks, %" PRIu64 " of them computed again; results lost or counted twice: %" PRIu64 "\n", tally.jobs.load(), tally.engines.load(),
              tally.crashes.load(), tally.reruns.load(), tally.wrong.load());
  if (tally.wrong.load() > 0) std::printf("WRONG, the first: %s\n", tally.first_wrong);
  if (!clean) std::printf("WRONG: processes are left after the engines were closed\n");
  if (status != 0) std::printf("WRONG: the caller ended with status 0x%x\n", static_cast<unsigned>(status));
  const bool aimed = held >= kHeldAtLeast && applying >= kApplyingAtLeast;
  if (!aimed) std::printf("WRONG: the kills hit too little\n");
  return clean && status == 0 && tally.wrong.load() == 0 && aimed;
}

bool kill_callers(const Arguments& a, std::uint64_t until, std::mt19937_64& random) {
  const std::uint64_t before = shared_memory_kib();
  std::vector<std::uint64_t> gone;
  bool clean = true;
  while (clean && (a.caller_kills ? gone.size() < a.caller_kills : monotonic_ns() < until)) {
    const std::uint64_t seed = random();
    const pid_t caller = fork_caller([&] { return run_until_killed(a.start, seed); });
    usleep(static_cast<useconds_t>(random() % 150'000));
    const std::uint64_t at = monotonic_ns();
    kill(caller, SIGKILL);
    clean = all_gone(1000);
    gone.push_back(monotonic_ns() - at);
  }
  const std::uint64_t after = shared_memory_kib();
  std::printf("%zu kills of the caller: all processes gone after %s\n", gone.size(), spread(gone).c_str());
  std::printf("shared memory in use: %" PRIu64 " MiB before, %" PRIu64 " MiB after\n", before / 1024, after / 1024);
  if (!clean) std::printf("WRONG: processes were left after 1 s\n");
  return clean;
}

/** From the kill of a worker that has touched 64 MiB to its successor at work in the kernel, on a machine that does nothing else. */
bool time_recoveries(StartMethod start, std::uint64_t count) {
  const pid_t caller = fork_caller([&] {
    const Options options{.isa = resolve_isa(Isa::automatic)};
    const KernelTable table(options);
    Executor executor(Backend::processes, {.workers = 1, .start = start}, {});
    const AnyArray x = testing::filled(DType::f64, {4'194'304}, 0, 1, 0);  // 32 MiB in, 32 MiB out
    const Job job{.arrays = {{"x", x}}, .steps = {testing::step("exp", {"x"}, {"y"})}, .chunk = 65'536, .digest = false};
    Board& board = executor.pool()->board();
    std::vector<std::uint64_t> registered, working;
    std::atomic<bool> over{false};
    std::thread killer([&] {
      std::mt19937_64 random(1);
      const SlotLine& line = board.lines[0];
      const auto computing = [&] { return step_of(board, 0) == 2 && line.phase.load() == static_cast<std::uint32_t>(Phase::kernel); };
      for (std::uint64_t i = 0; i < count; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(40'000 + random() % 20'000));  // it touches everything again
        while (!computing()) sched_yield();
        const std::uint32_t started = line.started.load();
        const pid_t pid = executor.pool()->worker_pids()[0];
        const std::uint64_t at = monotonic_ns();
        kill(pid, SIGKILL);
        while (line.started.load() == started) continue;
        registered.push_back(monotonic_ns() - at);
        while (!computing()) continue;
        working.push_back(monotonic_ns() - at);
      }
      over.store(true);
    });
    while (!over.load()) {
      Report report;
      JobRun(job, table, executor).run(report);
    }
    killer.join();
    std::printf("%" PRIu64 " kills of a worker with 64 MiB touched: its successor is there after %s\n  and in the kernel after %s\n", count, spread(registered).c_str(), spread(working).c_str());
    return 0;
  });
  int status = 0;
  while (waitpid(caller, &status, 0) < 0 && errno == EINTR) continue;
  return status == 0 && all_gone(10'000);
}

int usage() {
  std::fprintf(stderr, "usage: chaos [--seconds N] [--kills N] [--caller-kills N] [--recoveries N] [--seed N] [--start fork|forkserver|spawn]\n");
  return 2;
}

int main(int argc, char** argv) {
  Arguments a;
  const std::map<std::string, std::uint64_t*> options{{"--seconds", &a.seconds}, {"--kills", &a.kills}, {"--caller-kills", &a.caller_kills}, {"--recoveries", &a.recoveries}, {"--seed", &a.seed}};
  for (int i = 1; i < argc; i += 2) {
    if (std::strcmp(argv[i], "--start") == 0 && i + 1 < argc) {
      a.start = start_method_named(argv[i + 1]);
      continue;
    }
    const auto at = options.find(argv[i]);
    char* end = nullptr;
    if (at == options.end() || i + 1 == argc || !*argv[i + 1]) return usage();
    *at->second = std::strtoull(argv[i + 1], &end, 10);
    if (*end) return usage();
  }
  if (a.seed == 0) a.seed = std::random_device()();
  std::printf("seed %" PRIu64 "\n", a.seed);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  void* shared = mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return std::perror("chaos: mmap"), 1;
  Tally& tally = *new (shared) Tally{};
  std::mt19937_64 random(a.seed);
  const bool counted = a.kills || a.caller_kills || a.recoveries;
  bool well = true;
  const std::uint64_t begin = monotonic_ns(), budget = a.seconds * 1000 * kMs, for_ever = ~std::uint64_t{0};
  if (!counted || a.kills) well = kill_workers(tally, a, a.kills ? for_ever : begin + budget * 2 / 3, random) && well;
  if (!counted || a.caller_kills) well = kill_callers(a, a.caller_kills ? for_ever : begin + budget, random) && well;
  if (a.recoveries) well = time_recoveries(a.start, a.recoveries) && well;
  std::printf("%s\n", well ? "all was well" : "NOT ALL WAS WELL");
  return well ? 0 : 1;
}

}  // namespace
}  // namespace cadre::chaos

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  return cadre::chaos::main(argc, argv);
}
