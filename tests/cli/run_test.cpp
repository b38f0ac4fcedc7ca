/* `cadre run` from files to results, signals and terminals: needs the whole engine. Lines of the table of faults stand in the names. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include <cadre/shm/npy_file.hpp>

#include "program.hpp"

namespace cadre::test {
namespace {

class CliRun : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<double> values(100);
    std::iota(values.begin(), values.end(), 0.0);
    write_npy(x_, DType::f64, {100}, values.data());
  }
  /** Runs with --json; the object on stdout. */
  Json json(Arguments arguments, int exit = 0, const Surroundings& surroundings = {}) {
    arguments.push_back("--json");
    const Outcome o = run_cadre(arguments, surroundings);
    EXPECT_EQ(o.exit, exit) << o.err;
    EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1) << o.out;
    if (exit == 0) {
      EXPECT_EQ(o.err, "");
    }
    return Json::parse(o.out);
  }
  Outcome refused(const Arguments& arguments, const std::string& part) {
    const Outcome o = run_cadre(arguments);
    EXPECT_EQ(o.exit, 2);
    EXPECT_EQ(o.out, "");
    EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
    return o;
  }
  /** The elements of the folder by name. */
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  TemporaryFolder folder_;
  const std::string x_ = folder_ / "x.npy";
};

TEST_F(CliRun, GivesTheSameResultOnEveryBackend) {
  std::string digest;
  for (const char* backend : {"serial", "threads", "processes"}) {
    const Json j = json({"run", "sum", "--in", x_, "--backend", backend, "--workers", "2"});
    EXPECT_EQ(j.at("job"), "sum");
    EXPECT_EQ(j.at("backend"), backend);
    EXPECT_EQ(j.at("start"), "fork");
    EXPECT_EQ(j.at("elements"), 100);
    EXPECT_EQ(j.at("result").dump(), R"({"sum":4950.0})");
    EXPECT_EQ(j.at("outputs"), Json::object());
    EXPECT_EQ(j.at("faults").at("crashes"), 0);
    EXPECT_TRUE(j.at("chunks").is_number_unsigned() && j.at("seconds").is_number() && j.at("bytes_per_second").is_number());
    EXPECT_FALSE(j.contains("error") || j.contains("steps"));
    const std::string now = j.at("digest");
    EXPECT_EQ(now.size(), 32u);
    if (digest.empty()) digest = now;
    EXPECT_EQ(now, digest) << backend;
  }
}

TEST_F(CliRun, SaysItToPeople) {
  const Outcome o = run_cadre({"run", "sum", "--in", x_, "--workers", "1"});
  EXPECT_EQ(o.exit, 0);
  EXPECT_EQ(o.err, "") << "no progress where there is no terminal";
  EXPECT_EQ(o.out.find("result   sum  4950\n"), 0u) << o.out;
  for (const char* label : {"\ndigest   ", "\ntime     ", "\nran on   1 worker (processes, fork), isa v"}) EXPECT_NE(o.out.find(label), std::string::npos) << o.out;
}

TEST_F(CliRun, QuietPrintsResultsAndNothingElse) {
  const Outcome o = run_cadre({"run", "sum", "--in", x_, "--quiet"});
  EXPECT_EQ(o.exit, 0);
  EXPECT_EQ(o.out, "sum 4950\n");
  EXPECT_EQ(o.err, "");
}

TEST_F(CliRun, NoDigestLeavesItOut) { EXPECT_EQ(json({"run", "sum", "--in", x_, "--no-digest"}).at("digest"), nullptr); }

TEST_F(CliRun, TakesParametersNamesAndOutputs) {
  const std::string out = folder_ / "counts.npy";
  const Json j = json({"run", "histogram", "--in", "x=" + x_, "--param", "bins=1e1", "--param", "lo=0", "--param", "hi=50.0", "--out", out});
  EXPECT_EQ(j.at("result").dump(), R"({"outside":49})");
  ASSERT_EQ(j.at("outputs").size(), 1u);
  EXPECT_EQ(j.at("outputs").begin().value(), out);
  const AnyArray counts = open_npy(out);
  EXPECT_EQ(counts.shape, Shape{10});
  const auto all = counts.as<const std::int64_t>();
  EXPECT_EQ(std::vector<std::int64_t>(all.begin(), all.end()), (std::vector<std::int64_t>{5, 5, 5, 5, 5, 5, 5, 5, 5, 6}));
}

TEST_F(CliRun, ASmallOutputThatIsNotAskedForIsAResult) {
  EXPECT_EQ(json({"run", "histogram", "--in", x_, "--param", "bins=2", "--param", "lo=0", "--param", "hi=100"}).at("result").at("out").dump(), "[50,50]");
}

TEST_F(CliRun, ABareWordIsAFileOnTheCommandLine) {
  std::filesystem::copy_file(x_, folder_ / "values");
  EXPECT_EQ(json({"run", "sum", "--in", "values"}, 0, {.folder = folder_.path()}).at("result").at("sum"), 4950.0);
}

TEST_F(CliRun, AJobFileRunsItsStepsThroughTemporaries) {
  const std::string job = folder_.write("squares.toml", R"(
workers = 1
backend = "serial"
[arrays]
x = "x.npy"
[[steps]]
kernel = "multiply"
in = ["x", "x"]
out = ["square"]
[[steps]]
kernel = "sum"
in = ["square"]
)");
  const Json j = json({"run", job, "--backend", "threads"});
  EXPECT_EQ(j.at("job"), "squares");
  EXPECT_EQ(j.at("backend"), "threads") << "the command line wins";
  EXPECT_EQ(j.at("workers"), 1);
  EXPECT_EQ(j.at("result").dump(), R"({"sum":328350.0})");
  ASSERT_EQ(j.at("steps").size(), 2u);
  EXPECT_EQ(j["steps"][0].at("kernel"), "multiply");
  EXPECT_EQ(j["steps"][1].at("result").dump(), R"({"sum":328350.0})");
  EXPECT_EQ(files(), (std::vector<std::string>{"squares.toml", "x.npy"})) << "temporaries are not files";
}

TEST_F(CliRun, BadJobsAreRefusedWithTheNearestNameAndTheLine) {
  refused({"run", "smu", "--in", x_}, "sum");
  refused({"run", "sum", "--in", folder_ / "missing.npy"}, "missing.npy");
  refused({"run", "histogram", "--in", x_, "--param", "binz=3", "--param", "lo=0", "--param", "hi=1"}, "bins");
  refused({"run", "sum"}, "x");
  const std::string job = folder_.write("bad.toml", "name = \"bad\"\n[[steps]]\nkernel = \"smu\"\nin = [\"x.npy\"]\n");
  refused({"run", job}, job + ":3: ");
}

TEST_F(CliRun, AFullDeviceIsExit1AndSaysSo) {
  const Outcome o = run_cadre({"run", "sum", "--in", x_, "--json"}, {.stdout_file = "/dev/full"});
  EXPECT_EQ(o.exit, 1);
  EXPECT_EQ(o.err, "cadre: write to standard output: No space left on device\n");
}

TEST_F(CliRun, S2AReaderThatHasLeftIsExit141AndOutputsAreWhole) {
  const std::string out = folder_ / "y.npy";
  const Outcome o = run_cadre({"run", "sqrt", "--in", x_, "--out", out}, {.stdout_closed_pipe = true});
  EXPECT_EQ(o.exit, 141);
  EXPECT_EQ(open_npy(out).shape, Shape{100});
}

/** Jobs of the kernel nap, which tells through a FIFO when it runs and when no worker is left. */
class CliRunNap : public CliRun {
 protected:
  void SetUp() override {
    CliRun::SetUp();
    ASSERT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
  }
  void TearDown() override { close(reader_); }

  Arguments nap(const std::string& ms, const Arguments& more = {}) const {
    Arguments all{"run", "nap", "--plugin", NAP_PATH, "--in", x_, "--param", "ms=" + ms, "--chunk", "1", "--workers", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  /** Until a worker is in the kernel. */
  void await_start() {
    pollfd ready{reader_, POLLIN, 0};
    ASSERT_EQ(poll(&ready, 1, 60'000), 1);
    char byte;
    ASSERT_EQ(read(reader_, &byte, 1), 1);
  }
  /** Until the last worker that was in the kernel is gone. */
  void await_workers_gone() {
    char byte;
    for (pollfd ready{reader_, POLLIN, 0}; poll(&ready, 1, 60'000) == 1;)
      if (read(reader_, &byte, 1) <= 0) return;
    FAIL() << "workers are left";
  }
  Surroundings stopped_by(std::vector<int> signals) {
    close(reader_);  // a reader that has seen its writers leave goes on telling that
    reader_ = open(fifo_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return {.environment = {{"NAP_FIFO", fifo_}}, .meanwhile = [this, signals](int pid) {
              await_start();
              for (int signal : signals) kill(pid, signal);
            }};
  }
  const std::string fifo_ = folder_ / "fifo";
  int reader_ = -1;
};

TEST_F(CliRunNap, PluginsAreRunByPathAndBySearchPath) {
  EXPECT_EQ(json(nap("0")).at("result").dump(), R"({"naps":100})");
  const std::string folder = std::filesystem::path(NAP_PATH).parent_path();
  EXPECT_EQ(json({"run", "nap", "--in", x_, "--param", "ms=0"}, 0, {.environment = {{"CADRE_PLUGIN_PATH", "/nonexistent:" + folder}}}).at("result").at("naps"), 100);
  EXPECT_EQ(run_cadre({"kernels", "nap", "--plugin", NAP_PATH}).out.find("nap: sleeps for each element"), 0u);
  refused({"run", "nap", "--in", x_, "--param", "ms=0", "--plugin", x_}, "x.npy");
}

TEST_F(CliRunNap, S1AndS2ASignalStopsAfterTheChunksThatRun) {
  for (auto [signal, exit] : {std::pair{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}}) {
    const Json j = json(nap("200"), exit, stopped_by({signal}));
    EXPECT_TRUE(j.contains("error"));
    EXPECT_LT(j.at("faults").at("crashes"), 1);
    await_workers_gone();
  }
}

TEST_F(CliRunNap, S2ASignalToTheWholeGroupIsTheCallersAlsoWhileProcessesStart) {
  for (const char* start : {"fork", "forkserver", "spawn"})
    for (int ms = 2; ms <= 40; ms += 2) {
      const Outcome o = run_cadre(nap("5", {"--start", start}), {.meanwhile = [ms](int pid) {
                                                                   std::this_thread::sleep_for(std::chrono::milliseconds(ms));
                                                                   kill(-pid, SIGTERM);
                                                                 },
                                                                 .own_group = true});
      // The program itself may not have come to take it.
      EXPECT_TRUE(o.exit == 143 || o.signal == SIGTERM) << start << " after " << ms << " ms: " << o.exit << ' ' << o.err;
    }
}

TEST_F(CliRunNap, S1ASecondCtrlCEndsAtOnceAndLeavesNoWorker) {
  const auto pressed = [this] {
    Surroundings all = stopped_by({SIGINT});
    all.meanwhile = [first = all.meanwhile](int pid) {
      first(pid);
      siginfo_t ended{};  // two pending signals of one kind are one signal: press until it is over
      while (waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
        kill(pid, SIGINT);
        sched_yield();
      }
    };
    return all;
  };
  const Outcome o = run_cadre(nap("600000"), pressed());
  EXPECT_EQ(o.exit, 130) << o.signal;
  EXPECT_EQ(o.out, "");
  await_workers_gone();
  const std::string journal = folder_ / "j";
  const Json j = json(nap("600000", {"--journal", journal}), 130, pressed());
  EXPECT_EQ(j.at("job"), "nap");
  EXPECT_EQ(j.at("workers"), 2);
  EXPECT_TRUE(j.at("faults").contains("poison")) << j.dump();
  EXPECT_EQ(j.at("error"), "stopped at once by a second signal; the same command with --resume carries on from the journal in " + journal);
  await_workers_gone();
}

TEST_F(CliRunNap, AKernelThatCrashesIsExit1WithTheReport) {
  const Json j = json(nap("0", {"--param", "crash_at=41", "--retries", "1"}), 1);
  EXPECT_GE(j.at("faults").at("crashes").get<int>(), 1);
  EXPECT_NE(j.at("error").get<std::string>(), "");
  EXPECT_EQ(j.at("result"), Json::object());
}

TEST_F(CliRunNap, ProgressIsDrawnOnATerminalAndCleanedUp) {
  const Outcome o = run_cadre_on_terminal(nap("20"), 70, {.environment = {{"NO_COLOR", ""}, {"TERM", "xterm"}}});
  EXPECT_EQ(o.exit, 0);
  EXPECT_NE(o.out.find("/100 chunks"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("\033[32m#"), std::string::npos) << o.out;
  const std::size_t result = o.out.find("result   naps  100\r\n");
  ASSERT_NE(result, std::string::npos) << o.out;
  EXPECT_EQ(o.out.substr(result - 4, 4), "\r\033[K");
}

TEST_F(CliRunNap, NoColorIsHonoured) {
  const Outcome o = run_cadre_on_terminal(nap("20"), 70, {.environment = {{"NO_COLOR", "1"}, {"TERM", "xterm"}}});
  EXPECT_NE(o.out.find("/100 chunks"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("\033[3"), std::string::npos) << o.out;
}

TEST_F(CliRunNap, ProgressIsNotDrawnWhenNotWantedOrNotPossible) {
  for (const Arguments& more : {Arguments{"--no-progress"}, {"--quiet"}}) {
    const Outcome o = run_cadre_on_terminal(nap("20", more), 70, {.environment = {{"TERM", "xterm"}}});
    EXPECT_EQ(o.exit, 0);
    EXPECT_EQ(o.out.find("chunks  "), std::string::npos) << o.out;
    EXPECT_EQ(o.out.find('\033'), std::string::npos) << o.out;
  }
  EXPECT_EQ(run_cadre_on_terminal(nap("20"), 70, {.environment = {{"TERM", "dumb"}}}).out.find('\033'), std::string::npos);
  const Outcome piped = run_cadre(nap("20"));
  EXPECT_EQ(piped.err, "");
}

}  // namespace
}  // namespace cadre::test
