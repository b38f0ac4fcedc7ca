/* The pool alone: chunks are numbers, the task writes down that it ran them. Deaths of everybody in turn. */
#include <cadre/pool/pool.hpp>

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/worker_view.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"

namespace cadre {
namespace {

/** What a task may do, and what it leaves: in protocol memory, which workers write through their alias. */
struct Sheet {
  std::atomic<std::uint64_t> runs[1 << 16];
  std::atomic<std::uint64_t> busy;        // chunks that are being run just now
  std::atomic<std::int32_t> child;        // pid that a kernel forked
  std::uint64_t work_us;                  // how long a chunk takes
  std::uint64_t crash_at;                 // chunk that ends its process, when `crash_by` is not 0
  int crash_by;                           // signal; -1: exit(3)
  int crash_times;                        // -1: always
  std::atomic<int> crashed;
  bool crash_at_start, fork_in_kernel, hang_outside;
};

void start(void* context, int, SlotLine&) {
  if (static_cast<Sheet*>(context)->crash_at_start) abort();
}

Outcome run(void* context, int slot, std::uint32_t, std::uint64_t chunk, const Death*) {
  auto& sheet = *protocol(static_cast<Sheet*>(context));
  (void)slot;
  sheet.busy.fetch_add(1);
  if (sheet.crash_by != 0 && chunk == sheet.crash_at && (sheet.crash_times < 0 || sheet.crashed.fetch_add(1) < sheet.crash_times)) {
    if (sheet.crash_by < 0) _exit(3);
    raise(sheet.crash_by);
  }
  if (sheet.fork_in_kernel && chunk == 0 && sheet.child.load() == 0) {
    const pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    sheet.child.store(pid);
    raise(SIGKILL);
  }
  const std::uint64_t until = monotonic_ns() + sheet.work_us * 1000;
  while (monotonic_ns() < until) cpu_relax();
  sheet.runs[chunk].fetch_add(1);
  return Outcome::done;
}

class PoolTest : public testing::LeakCheck {
 protected:
  /** A task whose chunks count as run in a kernel, which is where a crash costs an attempt. */
  struct Stage {
    Sheet* sheet = new (Arena::instance().reserve(sizeof(Sheet))) Sheet{};
    ~Stage() { Arena::instance().release(reinterpret_cast<std::byte*>(sheet)); }
    Task task() const { return {sheet, &start, &run}; }
    /** How many of the first `chunks` chunks were not run exactly `times` times. */
    int wrong(std::uint64_t chunks, std::uint64_t times = 1) const {
      return static_cast<int>(std::count_if(sheet->runs, sheet->runs + chunks, [&](const auto& n) { return n.load() != times; }));
    }
    int missing(std::uint64_t chunks) const {
      return static_cast<int>(std::count_if(sheet->runs, sheet->runs + chunks, [](const auto& n) { return n.load() == 0; }));
    }
  };
};

bool alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto paren = text.rfind(')');
  return paren != std::string::npos && text.size() > paren + 2 && text[paren + 2] != 'Z';
}

bool gone_within(pid_t pid, std::uint64_t ms) {
  const std::uint64_t until = monotonic_ns() + ms * 1'000'000;
  while (alive(pid) && monotonic_ns() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return !alive(pid);
}

template <class Ready>
void wait_until(Ready ready) {
  while (!ready()) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

class PoolOfWorkers : public PoolTest, public ::testing::WithParamInterface<int> {};

TEST_P(PoolOfWorkers, RunsEveryChunkExactlyOnceInJobAfterJob) {
  Stage stage;
  Pool pool({.workers = GetParam()}, stage.task());
  std::uint64_t jobs = 0;
  for (const std::uint64_t chunks : {1u, 2u, 3u, 100u, 5000u})
    for (const bool ordered : {false, true}) {
      ASSERT_TRUE(pool.run(chunks, ordered).complete);
      ++jobs;
      EXPECT_EQ(stage.sheet->runs[0].load(), jobs);
    }
  EXPECT_EQ(stage.sheet->runs[4999].load(), 2u);
  EXPECT_EQ(stage.wrong(1, 10), 0);
  EXPECT_EQ(pool.counts().deaths, 0u);
}

TEST_P(PoolOfWorkers, RunsTheSameLoopOnThreads) {
  Stage stage;
  Pool pool({.workers = GetParam(), .on_threads = true}, stage.task());
  for (int job = 0; job < 50; ++job) ASSERT_TRUE(pool.run(200, job % 2 == 0).complete);
  EXPECT_EQ(stage.wrong(200, 50), 0);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PoolOfWorkers, ::testing::Values(1, 2, 3, 8, 33));

TEST_F(PoolTest, AJobOfNoChunksIsDone) {
  Stage stage;
  Pool pool({.workers = 2}, stage.task());
  EXPECT_TRUE(pool.run(0, false).complete);
}

TEST_F(PoolTest, FaultW3_AllWorkersKilledAtOnceAHundredTimesInOneJob) {
  Stage stage;
  stage.sheet->work_us = 2000;
  Pool pool({.workers = 4}, stage.task());
  std::thread killer([&] {
    for (int round = 0; round < 100; ++round) {
      wait_until([&, now = stage.sheet->busy.load()] { return stage.sheet->busy.load() >= now + 2; });
      for (const pid_t pid : pool.worker_pids())
        if (pid > 0) kill(pid, SIGKILL);
    }
  });
  // More chunks than a hundred rounds can finish, so that the killer always finds work.
  const bool complete = pool.run(2000, false).complete;
  killer.join();
  EXPECT_TRUE(complete);
  EXPECT_EQ(stage.missing(2000), 0);
  EXPECT_GE(pool.counts().crashes, 100u);
}

TEST_F(PoolTest, FaultC3_TheStandbyTakesOverFromAKilledZygote) {
  Stage stage;
  stage.sheet->work_us = 1000;
  Pool pool({.workers = 2}, stage.task());
  ASSERT_TRUE(pool.run(10, false).complete);
  const pid_t zygote = pool.zygote();
  std::thread killer([&] {
    wait_until([&] { return stage.sheet->busy.load() > 50; });
    kill(zygote, SIGKILL);
  });
  EXPECT_TRUE(pool.run(500, false).complete);
  killer.join();
  EXPECT_EQ(stage.missing(500), 0);
  EXPECT_NE(pool.zygote(), zygote);
  EXPECT_TRUE(pool.run(500, true).complete);
}

TEST_F(PoolTest, FaultC3_TheZygoteGoesOnWithoutItsStandby) {
  Stage stage;
  stage.sheet->work_us = 1000;
  Pool pool({.workers = 2}, stage.task());
  ASSERT_TRUE(pool.run(10, false).complete);
  kill(pool.standby(), SIGKILL);
  EXPECT_TRUE(pool.run(300, false).complete);
  // It still replaces workers.
  kill(pool.worker_pids()[0], SIGKILL);
  EXPECT_TRUE(pool.run(300, false).complete);
  EXPECT_EQ(stage.missing(300), 0);
}

TEST_F(PoolTest, FaultC3_BothSupervisorsKilledIsAnErrorAndLeavesNothing) {
  Stage stage;
  stage.sheet->work_us = 1000;
  std::vector<pid_t> workers;
  {
    Pool pool({.workers = 2}, stage.task());
    ASSERT_TRUE(pool.run(10, false).complete);
    workers = pool.worker_pids();
    std::thread killer([&] {
      wait_until([&] { return stage.sheet->busy.load() > 20; });
      kill(pool.standby(), SIGKILL);
      kill(pool.zygote(), SIGKILL);
    });
    EXPECT_THROW((void)pool.run(60'000, false), Error);
    killer.join();
    EXPECT_THROW((void)pool.run(1, false), Error);
  }
  for (const pid_t pid : workers) EXPECT_TRUE(gone_within(pid, 1000));
}

TEST_F(PoolTest, FaultC3_AStoppedSupervisorHoldsNobodyUp) {
  Stage stage;
  stage.sheet->work_us = 1000;
  {
    Pool pool({.workers = 2}, stage.task());
    ASSERT_TRUE(pool.run(10, false).complete);
    kill(pool.zygote(), SIGSTOP);
    // Nobody but the zygote replaces workers.
    for (const pid_t pid : pool.worker_pids()) kill(pid, SIGKILL);
    EXPECT_TRUE(pool.run(300, false).complete);
    EXPECT_EQ(stage.missing(300), 0);
    for (const pid_t pid : {pool.standby(), pool.zygote()}) kill(pid, SIGSTOP);
  }
}

TEST_F(PoolTest, FaultC1_TheDeathOfTheCallerEndsEverythingAlsoWhatIsStopped) {
  for (const bool stopped : {false, true}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t caller = fork();  // and exec: a forked child has no arena of its own
    if (caller == 0) {
      setpgid(0, 0);
      dup2(ends[1], STDOUT_FILENO);
      execl(CADRE_POOL_CALLER, CADRE_POOL_CALLER, nullptr);
      _exit(127);
    }
    pid_t pids[5];
    ASSERT_EQ(read(ends[0], pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
    close(ends[0]);
    close(ends[1]);
    if (stopped) kill(-caller, SIGSTOP);
    kill(caller, SIGKILL);
    waitpid(caller, nullptr, 0);
    for (const pid_t pid : pids) EXPECT_TRUE(gone_within(pid, 1000)) << pid;
  }
}

TEST_F(PoolTest, AChildThatTheCallerForkedCanNeitherUseNorEndThePool) {
  Stage stage;
  auto pool = std::make_unique<Pool>(PoolOptions{.workers = 2}, stage.task());
  ASSERT_TRUE(pool->run(10, false).complete);
  EXPECT_EQ(testing::in_child([&] {
              pool.reset();
              return 0;
            }),
            "exit 0");
  EXPECT_NE(testing::in_child([&] {
              Pool another({.workers = 1}, stage.task());
              return 0;
            }).find("only that process may allocate"),
            std::string::npos);
  EXPECT_TRUE(pool->run(10, false).complete);
  EXPECT_EQ(pool->counts().deaths, 0u);
}

TEST_F(PoolTest, ACrashOutsideAKernelIsMadeGoodAsOftenAsItTakes) {
  Stage stage;
  stage.sheet->crash_at = 7;
  stage.sheet->crash_by = SIGSEGV;
  stage.sheet->crash_times = 5;
  Pool pool({.workers = 2}, stage.task());
  EXPECT_TRUE(pool.run(100, false).complete);
  EXPECT_EQ(stage.missing(100), 0);
  EXPECT_EQ(pool.counts().crashes, 5u);
}

TEST_F(PoolTest, FaultW8_AnExitInAChunkIsADeathLikeAnother) {
  Stage stage;
  stage.sheet->crash_at = 3;
  stage.sheet->crash_by = -1;
  stage.sheet->crash_times = 2;
  Pool pool({.workers = 2}, stage.task());
  EXPECT_TRUE(pool.run(100, true).complete);
  EXPECT_EQ(stage.missing(100), 0);
}

TEST_F(PoolTest, FaultW9_WhatAKernelForkedDiesWithItsWorker) {
  Stage stage;
  stage.sheet->fork_in_kernel = true;
  Pool pool({.workers = 2}, stage.task());
  EXPECT_TRUE(pool.run(10, false).complete);
  ASSERT_GT(stage.sheet->child.load(), 0);
  EXPECT_TRUE(gone_within(stage.sheet->child.load(), 1000));
}

TEST_F(PoolTest, FaultW10_WorkersThatDieWhenTheyStartEndTheJobWithTheCause) {
  Stage stage;
  stage.sheet->crash_at_start = true;
  Pool pool({.workers = 2}, stage.task());
  const PoolResult result = pool.run(10, false);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.failure, Failure::restarts);
}

TEST_F(PoolTest, FaultC5_ThePoolOutlivesTheThreadThatMadeIt) {
  Stage stage;
  std::unique_ptr<Pool> pool;
  std::thread([&] { pool = std::make_unique<Pool>(PoolOptions{.workers = 2}, stage.task()); }).join();
  EXPECT_TRUE(pool->run(100, false).complete);
  EXPECT_EQ(stage.wrong(100), 0);
  EXPECT_EQ(pool->counts().deaths, 0u);
}

TEST_F(PoolTest, FaultC7_TheCallerMayForkWhileThePoolRuns) {
  Stage stage;
  stage.sheet->work_us = 200;
  Pool pool({.workers = 2}, stage.task());
  std::thread forker([] {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(system("true"), 0);
  });
  EXPECT_TRUE(pool.run(1000, false).complete);
  forker.join();
  EXPECT_EQ(stage.wrong(1000), 0);
}

TEST_F(PoolTest, FaultS3_AStormOfInterruptedCallsChangesNothing) {
  Stage stage;
  stage.sheet->work_us = 20;
  Pool pool({.workers = 2}, stage.task());
  struct sigaction tick{}, before{};
  tick.sa_handler = [](int) {};
  sigaction(SIGALRM, &tick, &before);
  const itimerval storm{{0, 100}, {0, 100}}, calm{};
  setitimer(ITIMER_REAL, &storm, nullptr);
  bool complete = true;
  for (int job = 0; job < 20; ++job) complete = complete && pool.run(200, job % 2 == 0).complete;
  setitimer(ITIMER_REAL, &calm, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  EXPECT_TRUE(complete);
  EXPECT_EQ(stage.wrong(200, 20), 0);
}

TEST_F(PoolTest, FaultW4_AStoppedWorkerIsReplacedWhenItHoldsAChunkOutsideAKernel) {
  Stage stage;
  stage.sheet->crash_at = 5;
  stage.sheet->crash_by = SIGSTOP;
  stage.sheet->crash_times = 1;
  Pool pool({.workers = 2}, stage.task());
  EXPECT_TRUE(pool.run(50, false).complete);
  EXPECT_EQ(stage.missing(50), 0);
  EXPECT_EQ(pool.counts().crashes, 1u);
}

TEST_F(PoolTest, ALookThatSaysDrainLeavesUnclaimedChunksUndone) {
  Stage stage;
  stage.sheet->work_us = 1000;
  Pool pool({.workers = 2}, stage.task());
  const PoolResult result = pool.run(20'000, false, [](std::uint64_t) { return Stop::drain; });
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.failure, Failure::none);
  EXPECT_GT(stage.missing(20'000), 0);
  // The next job is none the worse for it.
  EXPECT_TRUE(pool.run(100, false).complete);
}

}  // namespace
}  // namespace cadre
