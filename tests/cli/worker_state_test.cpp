/* What kernels keep in a worker: set up before its first chunk, torn down when it leaves in order, whatever the backend and the start method. */
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include <gtest/gtest.h>

#include <cadre/shm/npy_file.hpp>

#include "program.hpp"

namespace cadre::test {
namespace {

class WorkerState : public ::testing::Test {
 protected:
  WorkerState() {
    std::vector<double> values(kElements);
    std::iota(values.begin(), values.end(), 0.0);
    write_npy(x_, DType::f64, {kElements}, values.data());
    digest_ = Json::parse(run_cadre({"run", "scale", "--in", x_, "--param", "factor=1", "--out", folder_ / "y.npy", "--json"}).out).at("digest");
  }
  /** Runs a job of 50 chunks, and returns what each process has written, by the name of its file. */
  std::map<std::string, std::string> run(const Arguments& more, const std::string& end = "") {
    const std::string kept = folder_ / ("kept" + std::to_string(++runs_));
    std::filesystem::create_directory(kept);
    Arguments all{"run", "keep", "--plugin", KEEPER_PATH, "--in", x_, "--out", folder_ / "y.npy", "--chunk", "100", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome o = run_cadre(all, {.environment = {{"KEEPER_FOLDER", kept}, {"KEEPER_END", end}, {"ASAN_OPTIONS", "detect_leaks=0:handle_abort=0"}}});
    EXPECT_EQ(o.exit, 0) << o.signal << o.err;
    if (o.exit == 0) {
      EXPECT_EQ(Json::parse(o.out).at("digest"), digest_) << o.out;
    }
    std::map<std::string, std::string> files;
    for (const auto& file : std::filesystem::directory_iterator(kept)) {
      std::ifstream in(file.path());
      files[file.path().filename()] = {std::istreambuf_iterator<char>(in), {}};
    }
    EXPECT_FALSE(files.empty());
    return files;
  }
  /** Everybody has torn down, after 50 calls in all. */
  static void expect_torn_down(const std::map<std::string, std::string>& files) {
    std::size_t calls = 0;
    for (const auto& [name, text] : files) {
      EXPECT_TRUE(text.starts_with("up.") && text.ends_with(".down")) << name << ": " << text;
      calls += static_cast<std::size_t>(std::count(text.begin(), text.end(), '.'));
    }
    EXPECT_EQ(calls, 50u);
  }
  static void expect_gone(const std::map<std::string, std::string>& files) {
    for (const auto& [name, text] : files) EXPECT_NE(kill(static_cast<pid_t>(std::stol(name)), 0), 0) << name;
  }

  static constexpr std::int64_t kElements = 5000;
  TemporaryFolder folder_;
  const std::string x_ = folder_ / "x.npy";
  int runs_ = 0;
  std::string digest_;  // of x
};

TEST_F(WorkerState, IsTornDownOnEveryBackendAndByEveryStartMethod) {
  for (const Arguments& where : {Arguments{"--backend", "serial"}, {"--backend", "threads", "--workers", "3"}, {"--workers", "2"}, {"--workers", "2", "--start", "forkserver"}, {"--workers", "2", "--start", "spawn"}}) {
    SCOPED_TRACE(where.back());
    const auto files = run(where);
    expect_torn_down(files);
    if (where[0] != "--backend") expect_gone(files);
  }
}

TEST_F(WorkerState, IsTornDownWhenAWorkerIsReplacedAfterItsShare) {
  const auto files = run({"--workers", "2", "--max-chunks-per-worker", "10"});
  EXPECT_GE(files.size(), 5u);
  expect_torn_down(files);
}

TEST_F(WorkerState, ThatIsNeverTornDownDoesNotKeepTheProgramFromItsEnd) {
  const auto files = run({"--workers", "2"}, "hang");
  expect_gone(files);
}

TEST_F(WorkerState, WhoseTearDownCrashesDoesNotChangeTheResult) {
  const auto files = run({"--workers", "2"}, "crash");
  expect_gone(files);
}

}  // namespace
}  // namespace cadre::test
