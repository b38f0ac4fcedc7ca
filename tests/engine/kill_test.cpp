/* Workers, zygote and standby are killed while jobs run: the digest is that of the undisturbed run. Combining that is cut short is what most
   of it is about; the kills come at random, most of them on workers that hold a chunk. */
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include <cadre/engine/engine.hpp>
#include <cadre/engine/executor.hpp>
#include <cadre/engine/job_run.hpp>
#include <cadre/shm/futex.hpp>

#include "../support/leak_check.hpp"
#include "arrays.hpp"

namespace cadre {
namespace {

using namespace testing;

constexpr std::uint64_t kKillsThatCount = 20;  // on workers that held a chunk, for each workload
constexpr std::uint64_t kMostKills = 200;      // or a chunk that takes long might never be finished

/** 'R' running, 'S' sleeping, 'T' stopped ... 0: gone. */
char state_of_process(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto paren = text.rfind(')');
  return paren == std::string::npos || text.size() < paren + 3 ? 0 : text[paren + 2];
}

bool gone_within(pid_t pid, std::uint64_t ms) {
  const auto gone = [pid] { return state_of_process(pid) == 0 || state_of_process(pid) == 'Z'; };
  const std::uint64_t until = monotonic_ns() + ms * 1'000'000;
  while (!gone() && monotonic_ns() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return gone();
}

/** Kills workers that are running, chosen at random, for as long as it lives. After a kill that met no chunk it waits longer before the next, so that a
    slow machine's workers get far enough to be worth it. */
class Killer {
 public:
  explicit Killer(const Engine& engine) : engine_(engine), crashes_before_(engine.faults().crashes), thread_([this] { run(); }) {}
  ~Killer() {
    over_.store(true);
    thread_.join();
  }
  std::uint64_t kills() const { return kills_.load(); }
  std::uint64_t hits() const { return engine_.faults().crashes - crashes_before_; }

 private:
  void run() {
    std::mt19937 random(7);
    auto pause = std::chrono::microseconds(500);
    while (!over_.load() && kills() < kMostKills) {
      const std::vector<pid_t> pids = engine_.pids().workers;
      const std::size_t slot = random() % pids.size();
      if (pids[slot] <= 0 || state_of_process(pids[slot]) != 'R') {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        continue;
      }
      const std::uint64_t hits_before = hits();
      if (kill(pids[slot], SIGKILL) != 0) continue;
      kills_.fetch_add(1);
      while (!over_.load() && engine_.pids().workers[slot] == pids[slot]) std::this_thread::sleep_for(std::chrono::microseconds(50));
      pause = hits() > hits_before ? std::max(pause * 3 / 4, std::chrono::microseconds(100)) : std::min(pause * 2, std::chrono::microseconds(20'000));
      std::this_thread::sleep_for(pause * (random() % 1000) / 500);
    }
  }

  const Engine& engine_;
  const std::uint64_t crashes_before_;
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> kills_{0};
  std::thread thread_;
};

struct Crew {
  int workers;
  StartMethod start;
};
void PrintTo(const Crew& crew, std::ostream* out) { *out << crew.workers << " by " << name_of(crew.start); }
std::string name_of_crew(const ::testing::TestParamInfo<Crew>& info) { return std::to_string(info.param.workers) + "_" + name_of(info.param.start); }

class Kills : public LeakCheck, public ::testing::WithParamInterface<Crew> {
 protected:
  /** Runs `act`, which gives the bytes of a result, undisturbed and then under fire until enough kills have met a chunk. */
  template <class Act>
  static void expect_the_same_under_fire(const Act& act) {
    Engine engine({.workers = GetParam().workers, .start = GetParam().start});
    const std::string expected = act(engine);
    const Killer killer(engine);
    int runs = 0;
    do {
      ASSERT_TRUE(act(engine) == expected) << "run " << runs << " after " << killer.kills() << " kills, " << killer.hits() << " of them on a worker with a chunk";
      ++runs;
    } while (killer.hits() < kKillsThatCount && killer.kills() < kMostKills);
    // A spawned worker that is killed as it begins had no chunk yet, and beginning takes it milliseconds.
    EXPECT_GE(killer.hits() * (GetParam().start == StartMethod::spawn ? 10 : 2), killer.kills());
    RecordProperty("kills", static_cast<int>(killer.kills()));
    RecordProperty("hits", static_cast<int>(killer.hits()));
    RecordProperty("runs", runs);
  }
  /** The digest of a job over arrays that are made once, before the first run. */
  static void expect_the_same_digest_under_fire(const std::map<std::string, AnyArray>& arrays, const Step& step, std::uint64_t chunk = 0) {
    const Job job{.arrays = arrays, .steps = {step}, .chunk = chunk};
    expect_the_same_under_fire([&](Engine& engine) {
      const Report report = engine.run(job);
      return report.digest + report.error;
    });
  }
};

std::vector<std::pair<std::string, Param>> bins(std::int64_t n) { return {{"bins", n}, {"lo", 0.0}, {"hi", 1.0}}; }

TEST_P(Kills, HistogramOfManyBins) {
  expect_the_same_digest_under_fire({{"x", filled(DType::f64, {3'000'000}, 0, 1, 0)}}, step("histogram", {"x"}, {"out"}, bins(16'000'000)));
}

TEST_P(Kills, HistogramOfFewBins) {
  expect_the_same_digest_under_fire({{"x", filled(DType::f32, {30'000'000}, 0, 1, 0)}}, step("histogram", {"x"}, {"out"}, bins(1000)));
}

TEST_P(Kills, OrderedSumsOfFewGroups) {
  expect_the_same_digest_under_fire({{"key", filled(DType::i32, {5'000'000}, 0, 5000, 0)}, {"x", filled(DType::f64, {5'000'000}, -1, 1, 1)}},
                                    step("group_sum", {"key", "x"}, {"count", "sum", "min", "max"}));
}

// Chunks far smaller than the plan would make them: most of the time goes into applying dense partials.
TEST_P(Kills, DensePartialsOfSmallChunks) {
  expect_the_same_digest_under_fire({{"x", filled(DType::f32, {2'000'000}, 0, 1, 0)}}, step("histogram", {"x"}, {"out"}, bins(200'000)), 10'000);
}

TEST_P(Kills, OrderedDensePartialsOfSmallChunks) {
  expect_the_same_digest_under_fire({{"key", filled(DType::i32, {1'000'000}, 0, 30'000, 0)}, {"x", filled(DType::f64, {1'000'000}, -1, 1, 1)}},
                                    step("group_sum", {"key", "x"}, {"count", "sum", "min", "max"}), 5'000);
}

TEST_P(Kills, OrderedSumsOfManyGroups) {
  expect_the_same_digest_under_fire({{"key", filled(DType::i32, {2'000'000}, 0, 1'000'000, 0)}, {"x", filled(DType::f64, {2'000'000}, -1, 1, 1)}},
                                    step("group_sum", {"key", "x"}, {"count", "sum", "min", "max"}));
}

TEST_P(Kills, Sum) { expect_the_same_digest_under_fire({{"x", filled(DType::f64, {60'000'000}, -1, 1, 0)}}, step("sum", {"x"})); }

TEST_P(Kills, Matmul) {
  expect_the_same_digest_under_fire({{"A", filled(DType::f64, {1500, 1000}, -1, 1, 0)}, {"B", filled(DType::f64, {1000, 1000}, -1, 1, 1)}}, step("matmul", {"A", "B"}, {"out"}));
}

TEST_P(Kills, MapInPlace) {
  const AnyArray source = filled(DType::f64, {8'000'000}, 0, 1, 0), x = filled(DType::f64, {8'000'000}, 0, 0, 0);
  expect_the_same_under_fire([&](Engine& engine) {
    std::memcpy(x.data, source.data, x.bytes());
    const auto a = x.as<double>();
    for (int round = 0; round < 8; ++round) engine.map(a, a, [](double v) { return v * 3.5 * (1 - v) + 1e-3; });
    return bytes_of(x);
  });
}

// Some chunks do not fit in the room of a partial and are spoken in parts.
TEST_P(Kills, ScatterOfDoublesInParts) {
  const AnyArray x = filled(DType::f64, {8'000}, 0, 1, 0);
  expect_the_same_under_fire([&](Engine& engine) {
    return bytes_of(engine.scatter<double>(1'200'000, x.as<double>(), [](double v, auto& add) {
      const auto times = static_cast<std::size_t>(v * 2000);
      for (std::size_t k = 0; k < times; ++k) add((static_cast<std::size_t>(v * 1e9) + k * k * 7) % 1'200'000, v / static_cast<double>(k + 1));
    }));
  });
}

INSTANTIATE_TEST_SUITE_P(Workers, Kills,
                         ::testing::Values(Crew{2, StartMethod::fork}, Crew{4, StartMethod::fork}, Crew{2, StartMethod::forkserver}, Crew{2, StartMethod::spawn}), name_of_crew);

class KilledSupervisors : public LeakCheck, public ::testing::WithParamInterface<StartMethod> {
 protected:
  const Job job_{.arrays = {{"x", filled(DType::f64, {3'000'000}, 0, 1, 0)}}, .steps = {step("histogram", {"x"}, {"out"}, bins(4'000'000))}};

  /** Runs jobs; `strike` is called in the middle of one, when a worker is running. */
  template <class Strike>
  Report run(Engine& engine, const Strike& strike) {
    std::thread striker([&] {
      const auto running = [&] {
        const auto pids = engine.pids().workers;
        return std::any_of(pids.begin(), pids.end(), [](pid_t pid) { return pid > 0 && state_of_process(pid) == 'R'; });
      };
      while (!running()) std::this_thread::sleep_for(std::chrono::microseconds(50));
      strike(engine.pids());
    });
    Report report = engine.run(job_);
    striker.join();
    return report;
  }
};

TEST_P(KilledSupervisors, FaultC3_TheStandbyTakesOverFromTheZygote) {
  Engine engine({.workers = 2, .start = GetParam()});
  const std::string digest = engine.run(job_).digest;
  const pid_t zygote = engine.pids().zygote;
  const Report report = run(engine, [](const Engine::Pids& pids) { kill(pids.zygote, SIGKILL); });
  EXPECT_EQ(report.error, "");
  EXPECT_EQ(report.digest, digest);
  EXPECT_EQ(engine.run(job_).digest, digest);
  EXPECT_NE(engine.pids().zygote, zygote);
}

TEST_P(KilledSupervisors, FaultC3_TheZygoteGoesOnWithoutItsStandby) {
  Engine engine({.workers = 2, .start = GetParam()});
  const std::string digest = engine.run(job_).digest;
  EXPECT_EQ(run(engine, [](const Engine::Pids& pids) { kill(pids.standby, SIGKILL); }).digest, digest);
  EXPECT_EQ(run(engine, [](const Engine::Pids& pids) { kill(pids.workers[0], SIGKILL); }).digest, digest);
  EXPECT_EQ(engine.run(job_).digest, digest);
}

TEST_P(KilledSupervisors, FaultC3_BothKilledFailsTheJobAndLeavesNothing) {
  Engine engine({.workers = 2, .start = GetParam()});
  engine.run(job_);
  const std::vector<pid_t> workers = engine.pids().workers;
  // Stopped first, or the job might be done before the workers are.
  const Report report = run(engine, [](const Engine::Pids& pids) {
    for (const pid_t pid : pids.workers) kill(pid, SIGSTOP);
    kill(pids.standby, SIGKILL);
    kill(pids.zygote, SIGKILL);
  });
  EXPECT_EQ(report.exit_code, 1);
  EXPECT_NE(report.error.find("the supervisors of the worker processes were killed"), std::string::npos) << report.error;
  EXPECT_EQ(report.digest, "");
  for (const pid_t pid : workers) EXPECT_TRUE(gone_within(pid, 2000)) << pid;
  EXPECT_EQ(engine.run(job_).exit_code, 1);
}

// For longer than a chunk's deadline: the supervisor counts its own running time.
TEST_F(KilledSupervisors, FaultC6_WhenEverythingIsStoppedForAWhileNobodyIsLate) {
  Engine engine({.workers = 2, .timeout = 0.5});
  const auto x = engine.array<double>(200), y = engine.array<double>(200);
  std::thread stopper([&] {
    while (y[0] == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    const Engine::Pids pids = engine.pids();
    std::vector<pid_t> all = pids.workers;
    all.insert(all.end(), {pids.zygote, pids.standby});
    std::erase_if(all, [](pid_t pid) { return pid <= 0; });  // to 0 would be to this program and all its group
    for (const pid_t pid : all) kill(pid, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    for (const pid_t pid : all) kill(pid, SIGCONT);
  });
  engine.map(x, y, [](double v) {
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
    return v + 1;
  });
  stopper.join();
  EXPECT_EQ(engine.faults().crashes, 0u);
  for (const double v : y) EXPECT_EQ(v, 1.0);
}

// 5 s without progress outside a kernel: that worker alone is replaced. Needs the slots' phases, which an engine does not show.
TEST_P(KilledSupervisors, FaultW4_AWorkerStoppedWhileItCombinesIsReplaced) {
  const Options options{.workers = 2, .start = GetParam(), .isa = resolve_isa(Isa::automatic)};
  const KernelTable table(options);
  Executor executor(Backend::processes, {.workers = 2, .start = GetParam()}, {});
  Report expected;
  JobRun(job_, table, executor).run(expected);
  std::atomic<bool> over{false};
  std::thread stopper([&] {
    while (!over.load()) {
      const pid_t pid = executor.pool()->worker_pids()[0];
      const auto& line = executor.pool()->board().lines[0];
      const auto combining = [&] { return line.phase.load() == static_cast<std::uint32_t>(Phase::combining); };
      if (!combining()) continue;
      kill(pid, SIGSTOP);
      while (state_of_process(pid) == 'R') continue;
      if (combining()) return;
      kill(pid, SIGCONT);
    }
  });
  Report report;
  do {
    report = {};
    JobRun(job_, table, executor).run(report);
    EXPECT_EQ(report.digest, expected.digest);
  } while (executor.pool()->counts().crashes == 0);
  over.store(true);
  stopper.join();
  EXPECT_EQ(executor.pool()->counts().crashes, 1u);
}

INSTANTIATE_TEST_SUITE_P(Methods, KilledSupervisors, ::testing::Values(StartMethod::fork, StartMethod::forkserver, StartMethod::spawn),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace cadre
