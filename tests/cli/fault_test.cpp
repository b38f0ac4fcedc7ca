/* Kernels that come to grief, through the program: what is found, told, left out. The numbers are those of the table of faults. */
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <filesystem>
#include <numeric>
#include <tuple>

#include <gtest/gtest.h>

#include <cadre/shm/npy_file.hpp>

#include "program.hpp"

namespace cadre::test {
namespace {

// As in harm.cpp.
enum How { kSegv, kFpe, kIll, kBus, kAbort, kExit, kHang, kThrow, kThrowOther, kTerminate, kOverflow, kMessage, kWriteInput, kFork, kCrowd, kImpure, kLeak, kLongJump, kWritePlan, kWriteBehind, kWriteBefore, kWriteColumns, kKill, kTerm, kStop };

/** Processes come by each start method. */
class Harm : public ::testing::Test {
 protected:
  virtual std::string start() const = 0;
  static constexpr std::int64_t kElements = 100'000;

  /** x.npy: 0, 1, 2, ... with the given elements negative. */
  void write(const std::vector<std::size_t>& bad) {
    std::vector<double> values(kElements);
    std::iota(values.begin(), values.end(), 0.0);
    for (const std::size_t i : bad) values[i] = -1.5;
    write_npy(x_, DType::f64, {kElements}, values.data());
  }
  Outcome run(const std::string& kernel, How how, Arguments more = {}) {
    Arguments all{"run", kernel, "--plugin", HARM_PATH, "--in", x_, "--param", "how=" + std::to_string(how), "--json"};
    all.insert(all.end(), more.begin(), more.end());
    if (std::find(more.begin(), more.end(), "--backend") == more.end()) all.insert(all.end(), {"--start", start()});
    return run_cadre(all, {.environment = {{"ASAN_OPTIONS", std::string(kSignalsAreOurs) + ":detect_leaks=0"}}});
  }
  Json json(const std::string& kernel, How how, int exit, const Arguments& more = {}) {
    const Outcome o = run(kernel, how, more);
    EXPECT_EQ(o.exit, exit) << o.signal << o.err;
    return Json::parse(o.out);
  }
  Arguments to_y(Arguments more = {}) {
    more.insert(more.end(), {"--out", y_});
    return more;
  }
  std::vector<double> y() {
    const auto all = open_npy(y_).as<const double>();
    return {all.begin(), all.end()};
  }
  TemporaryFolder folder_;
  const std::string x_ = folder_ / "x.npy", y_ = folder_ / "y.npy";
};

struct Ending {
  How how;
  const char* name;
  const char* signal;  // nullptr: none
  int exit;            // -1: none
  const char* what;    // nullptr: none
  const char* place;   // in the stack; nullptr: no stack
};

const auto kStarts = ::testing::Values("fork", "forkserver", "spawn");

class HarmOfEachKind : public Harm, public ::testing::WithParamInterface<std::tuple<Ending, const char*>> {
  std::string start() const override { return std::get<1>(GetParam()); }
};

class HarmBy : public Harm, public ::testing::WithParamInterface<const char*> {
  std::string start() const override { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Starts, HarmBy, kStarts, [](const auto& at) { return std::string(at.param); });

TEST_P(HarmOfEachKind, FaultsW6W7W8_IsFoundDownToTheElementAndNamed) {
  const Ending& e = std::get<0>(GetParam());
  write({73'401});
  const Json j = json("harm", e.how, 1, to_y());
  ASSERT_EQ(j.at("faults").at("poison").size(), 1u) << j.dump();
  const Json& p = j.at("faults").at("poison")[0];
  EXPECT_EQ(p.at("index"), 73'401);
  EXPECT_EQ(p.at("value"), -1.5);
  EXPECT_EQ(p.at("signal"), e.signal ? Json(e.signal) : Json(nullptr));
  EXPECT_EQ(p.at("exit"), e.exit < 0 ? Json(nullptr) : Json(e.exit));
  EXPECT_EQ(p.at("what"), e.what ? Json(e.what) : Json(nullptr));
  EXPECT_EQ(p.at("attempts"), 3);
  if (e.signal) {
    EXPECT_GT(p.at("peak_rss"), 0);
  }
  if (e.place) {
    ASSERT_FALSE(p.at("stack").empty());
    EXPECT_NE(p.at("stack")[0].get<std::string>().find(e.place), std::string::npos) << p.at("stack").dump();
  }
  EXPECT_EQ(j.at("faults").at("retries"), 2);
  EXPECT_EQ(j.at("faults").at("crashes"), e.signal || e.exit >= 0 ? 3 : 0);
  EXPECT_NE(j.at("error").get<std::string>().find("element 73401 (value -1.5): "), std::string::npos) << j.at("error");
  EXPECT_FALSE(std::filesystem::exists(y_));
}

INSTANTIATE_TEST_SUITE_P(Ways, HarmOfEachKind,
                         ::testing::Combine(::testing::Values(Ending{kSegv, "Segv", "SIGSEGV", -1, nullptr, "fail_at (harm.cpp:"}, Ending{kFpe, "Fpe", "SIGFPE", -1, nullptr, "fail_at (harm.cpp:"},
                                           Ending{kIll, "Ill", "SIGILL", -1, nullptr, "fail_at (harm.cpp:"}, Ending{kBus, "Bus", "SIGBUS", -1, nullptr, "fail_at (harm.cpp:"},
                                           Ending{kAbort, "Abort", "SIGABRT", -1, nullptr, "fail_at (harm.cpp:"}, Ending{kExit, "Exit", nullptr, 7, nullptr, nullptr},
                                           Ending{kThrow, "Throw", nullptr, -1, "the root of a negative number", nullptr},
                                           Ending{kThrowOther, "ThrowOther", nullptr, -1, "an exception that is not a std::exception", nullptr},
                                           Ending{kTerminate, "Terminate", "SIGABRT", -1, "from where nothing may be thrown", "throws (harm.cpp:"},
                                           Ending{kOverflow, "StackOverflow", "SIGSEGV", -1, "stack overflow", "deeper (harm.cpp:"}, Ending{kMessage, "Message", nullptr, -1, "no root of it", nullptr},
                                           Ending{kWriteInput, "WriteToAnInput", "SIGSEGV", -1, nullptr, "fail_at (harm.cpp:"},
                                           Ending{kWritePlan, "WriteToWhatIsShared", "SIGSEGV", -1, nullptr, "fail_at (harm.cpp:"}), kStarts),
                         [](const auto& at) { return std::string(std::get<0>(at.param).name) + "_" + std::get<1>(at.param); });

const std::vector<std::size_t> kBad{0, 41, 42, 50'000, 99'999};

TEST_P(HarmBy, FaultW6_SkipFillsMapOutputsAndListsWhatWasLeftOut) {
  write(kBad);
  std::string digest;
  for (const Arguments& how_run : {Arguments{"--workers", "1"}, {"--workers", "2"}, {"--workers", "5", "--strict"}}) {
    const Json j = json("harm", kSegv, 3, to_y([&] { Arguments a = how_run; a.insert(a.end(), {"--on-poison", "skip"}); return a; }()));
    std::vector<std::size_t> listed;
    for (const Json& p : j.at("faults").at("poison")) listed.push_back(p.at("index"));
    EXPECT_EQ(listed, kBad);
    const std::vector<double> got = y();
    ASSERT_EQ(got.size(), static_cast<std::size_t>(kElements));
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (std::find(kBad.begin(), kBad.end(), i) != kBad.end())
        EXPECT_TRUE(std::isnan(got[i])) << i;
      else
        ASSERT_EQ(got[i], 2.0 * static_cast<double>(i));
    }
    if (digest.empty()) digest = j.at("digest");
    EXPECT_EQ(j.at("digest"), digest);
    EXPECT_NE(j.at("error").get<std::string>().find("5 elements were skipped"), std::string::npos) << j.at("error");
  }
}

TEST_P(HarmBy, FaultW6_SkipLeavesElementsOutOfFoldsAndScattersOnEveryBackend) {
  write(kBad);
  std::map<std::string, std::string> digests;
  for (const Arguments& where : {Arguments{"--backend", "serial"}, {"--backend", "threads", "--workers", "3"}, {"--workers", "2"}}) {
    Arguments skip = where;
    skip.insert(skip.end(), {"--on-poison", "skip"});
    const Json sum = json("harm_sum", kThrow, 3, skip);
    EXPECT_EQ(sum.at("result").at("n"), kElements - 5);
    EXPECT_EQ(sum.at("result").at("sum"), 4'999'950'000.0 - 0 - 41 - 42 - 50'000 - 99'999);
    for (const char* rows : {"rows=100", "rows=3000000"}) {
      Arguments scatter = skip;
      scatter.insert(scatter.end(), {"--param", rows});
      const Json counts = json("harm_count", kThrow, 3, to_y(scatter));
      const std::vector<double> got = y();
      std::vector<double> expected(got.size(), 0.0);
      for (std::size_t i = 0; i < static_cast<std::size_t>(kElements); ++i)
        if (std::find(kBad.begin(), kBad.end(), i) == kBad.end()) expected[i * 7 % got.size()] += static_cast<double>(i);
      EXPECT_EQ(got, expected) << rows;
      std::string& digest = digests[rows];
      if (digest.empty()) digest = counts.at("digest");
      EXPECT_EQ(counts.at("digest"), digest);
    }
    std::string& digest = digests["sum"];
    if (digest.empty()) digest = sum.at("digest");
    EXPECT_EQ(sum.at("digest"), digest);
  }
  // The same elements left out because they crash.
  EXPECT_EQ(json("harm_sum", kAbort, 3, {"--on-poison", "skip"}).at("digest"), digests["sum"]);
  EXPECT_EQ(json("harm_count", kAbort, 3, to_y({"--on-poison", "skip", "--param", "rows=100"})).at("digest"), digests["rows=100"]);
}

TEST_P(HarmBy, FaultW6_SkipWorksInPlace) {
  write({7});
  json("harm", kExit, 3, {"--out", x_, "--on-poison", "skip"});
  const auto all = open_npy(x_).as<const double>();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == 7)
      EXPECT_TRUE(std::isnan(all[i]));
    else
      ASSERT_EQ(all[i], 2.0 * static_cast<double>(i));
  }
}

TEST_P(HarmBy, FaultW8_ALongJumpToWhereNobodyIsAnyMoreIsFoundDownToTheElement) {
  write({73'401});
  const Json j = json("harm", kLongJump, 1, to_y({"--timeout", "1"}));  // how it ends is anybody's guess
  ASSERT_EQ(j.at("faults").at("poison").size(), 1u) << j.dump();
  EXPECT_EQ(j.at("faults").at("poison")[0].at("index"), 73'401);
  EXPECT_TRUE(j.at("faults").at("poison")[0].at("signal").is_string());
  EXPECT_FALSE(std::filesystem::exists(y_));
}

TEST_P(HarmBy, FaultW6_OneElementOfTenMillionIsFound) {
  constexpr std::int64_t kMany = 10'000'000;
  std::vector<double> values(kMany, 1.0);
  values[7'340'033] = -1;
  write_npy(x_, DType::f64, {kMany}, values.data());
  const Json j = json("harm_sum", kSegv, 3, {"--on-poison", "skip"});
  EXPECT_EQ(j.at("result").at("n"), kMany - 1);
  EXPECT_EQ(j.at("result").at("sum"), static_cast<double>(kMany - 1));
  ASSERT_EQ(j.at("faults").at("poison").size(), 1u);
  EXPECT_EQ(j.at("faults").at("poison")[0].at("index"), 7'340'033);
}

TEST_P(HarmBy, FaultW7_AStrictKernelThatWritesBesideItsRowsChangesNoOthers) {
  write({50'000});
  for (const How beside : {kWriteBehind, kWriteBefore}) {
    // Within its worker's own memory it does no harm, beyond it it crashes; others' rows are as they should be either way.
    const Outcome o = run("harm", beside, to_y({"--strict", "--on-poison", "skip", "--chunk", "1000"}));
    ASSERT_TRUE(o.exit == 0 || o.exit == 3) << o.exit << o.err;
    const std::vector<double> got = y();
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (i == 50'000)
        EXPECT_TRUE(o.exit == 3 ? std::isnan(got[i]) : got[i] == -3) << got[i];
      else
        ASSERT_EQ(got[i], 2.0 * static_cast<double>(i));
    }
  }
}

TEST_P(HarmBy, FaultW7_AStrayWriteOfAScatterIsACrashAndChangesNoSum) {
  write({50'000});
  const Json j = json("harm_count", kWriteColumns, 3, to_y({"--on-poison", "skip"}));
  EXPECT_EQ(j.at("faults").at("poison").at(0).at("index"), 50'000);
  const Json left_out = json("harm_count", kSegv, 3, to_y({"--on-poison", "skip"}));
  EXPECT_EQ(j.at("digest"), left_out.at("digest"));
}

TEST_P(HarmBy, FaultW9_WhatAKernelForkedCanNotTouchTheResultAndDiesWithItsWorker) {
  write({50'000});
  const std::string told = folder_ / "told";
  setenv("HARM_FILE", told.c_str(), 1);
  const Json j = json("harm", kFork, 0, to_y());
  unsetenv("HARM_FILE");
  EXPECT_EQ(j.at("faults").at("crashes"), 1);
  std::ifstream file(told);
  pid_t child = 0;
  std::string how;
  file >> child >> how;
  ASSERT_GT(child, 0);
  EXPECT_EQ(how, "fault");
  for (int i = 0; i < 1000 && kill(child, 0) == 0; ++i) usleep(10'000);
  EXPECT_NE(kill(child, 0), 0) << "process " << child << " has outlived its worker and the program";
  const std::vector<double> got = y();
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], i == 50'000 ? -3 : 2.0 * static_cast<double>(i)) << i;
}

TEST_P(HarmBy, FaultW5_AnEndlessLoopIsEndedAndNamed) {
  write({73'401});
  const Json j = json("harm", kHang, 1, to_y({"--timeout", "0.2", "--retries", "1"}));
  const Json& p = j.at("faults").at("poison").at(0);
  EXPECT_EQ(p.at("index"), 73'401);
  EXPECT_EQ(p.at("what"), "over its deadline of 0.2 s");
  EXPECT_EQ(p.at("attempts"), 2);
  ASSERT_FALSE(p.at("stack").empty());
  EXPECT_NE(p.at("stack")[0].get<std::string>().find("fail_at (harm.cpp:"), std::string::npos) << p.at("stack").dump();
  EXPECT_EQ(j.at("faults").at("timeouts"), 2);
}

TEST_P(HarmBy, FaultW8_AKernelThatKillsItselfIsFoundDownToTheElement) {
  write({73'401});
  for (const auto& [how, signal] : {std::pair(kKill, "SIGKILL"), {kTerm, "SIGTERM"}}) {
    const Json j = json("harm", how, 1, to_y());
    ASSERT_EQ(j.at("faults").at("poison").size(), 1u) << j.dump();
    const Json& p = j.at("faults").at("poison")[0];
    EXPECT_EQ(p.at("index"), 73'401);
    EXPECT_EQ(p.at("signal"), signal);
    EXPECT_EQ(p.at("attempts"), 3);
    EXPECT_NE(j.at("error").get<std::string>().find(std::string("element 73401 (value -1.5): ended by ") + signal + " again and again: by its kernel, or from outside, 3 times out of 3"), std::string::npos) << j.at("error");
    // So many could be chance.
    EXPECT_GT(j.at("faults").at("crashes"), 200);
  }
}

TEST_P(HarmBy, FaultJ6_WhereEveryElementFailsTheJobFailsAfterTheMostThatMayBeSkipped) {
  std::vector<double> values(1000, -1.0);
  write_npy(x_, DType::f64, {1000}, values.data());
  const Json j = json("harm", kSegv, 1, to_y({"--on-poison", "skip", "--max-skipped", "3", "--retries", "0"}));
  EXPECT_NE(j.at("error").get<std::string>().find("more than 3 elements fail (--max-skipped)"), std::string::npos) << j.at("error");
  EXPECT_GE(j.at("faults").at("poison").size(), 4u);
  EXPECT_EQ(json("harm", kSegv, 1, to_y({"--on-poison", "skip", "--max-skipped", "0"})).at("faults").at("poison").empty(), false);
}

TEST_P(HarmBy, ElementsThatFailOnlyTogetherAreToldAsThat) {
  write({73'401});
  const std::string error = json("harm", kCrowd, 1, to_y()).at("error");
  EXPECT_NE(error.find("none of them alone: they fail only together"), std::string::npos) << error;
}

TEST_P(HarmBy, ACrashOfFinishFailsTheJobAfterItsRetries) {
  write({});
  const Json j = json("harm_sum", kSegv, 1, {"--param", "finish=1"});
  EXPECT_NE(j.at("error").get<std::string>().find("while the result was finished: SIGABRT"), std::string::npos) << j.at("error");
  EXPECT_EQ(j.at("faults").at("crashes"), 3);
}

TEST_P(HarmBy, FaultJ5_AKernelThatIsNotAFunctionOfItsInputsIsFoundOut) {
  write({73'401});
  const std::string error = json("harm", kImpure, 1, to_y({"--verify-fraction", "1"})).at("error");
  EXPECT_NE(error.find("not a pure function"), std::string::npos) << error;
  json("harm", kImpure, 0, to_y({"--verify-fraction", "0"}));
  write({});
  for (const char* kernel : {"harm", "harm_count"}) json(kernel, kSegv, 0, to_y({"--verify-fraction", "1"}));
  json("harm_count", kSegv, 0, to_y({"--verify-fraction", "0.5", "--param", "rows=3000000"}));
  json("harm_sum", kSegv, 0, {"--verify-fraction", "1"});
}

TEST_P(HarmBy, FaultW12_WorkersAreReplacedAfterTheirShareAndNothingIsLost) {
  write({});
  const Json plain = json("harm_sum", kSegv, 0), recycled = json("harm_sum", kSegv, 0, {"--max-chunks-per-worker", "5"});
  EXPECT_EQ(recycled.at("digest"), plain.at("digest"));
  EXPECT_EQ(recycled.at("faults").at("crashes"), 0);
  EXPECT_EQ(json("harm_sum", kSegv, 0, {"--max-memory-per-worker", "1K"}).at("digest"), plain.at("digest"));
}

/** A control group of its own for this process and what it starts, with a limit on memory; needs the right to make one. */
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes) {
    std::string own;
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      if (line.find(":memory:") != std::string::npos) home_ = "/sys/fs/cgroup/memory" + line.substr(line.rfind(':') + 1);
      if (home_.empty() && line.starts_with("0::") && std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers")) home_ = "/sys/fs/cgroup" + line.substr(3);
    }
    const bool v1 = home_.starts_with("/sys/fs/cgroup/memory");
    group_ = (v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup") + std::string("/cadre-test-") + std::to_string(getpid());
    std::error_code error;
    made_ = !home_.empty() && std::filesystem::create_directory(group_, error) && put(group_ + (v1 ? "/memory.limit_in_bytes" : "/memory.max"), bytes) && put(group_ + "/cgroup.procs", static_cast<std::uint64_t>(getpid()));
  }
  ~MemoryLimit() {
    if (made_) put(home_ + "/cgroup.procs", static_cast<std::uint64_t>(getpid()));
    std::error_code error;
    std::filesystem::remove(group_, error);
  }
  bool made() const { return made_; }

 private:
  static bool put(const std::string& file, std::uint64_t value) {
    std::ofstream out(file);
    out << value << std::flush;
    return out.good();
  }
  std::string home_, group_;
  bool made_ = false;
};

TEST_P(HarmBy, FaultW11_AnOomKillIsCalledOneAndTheCallerLives) {
  const MemoryLimit limit(512u << 20);
  if (!limit.made()) GTEST_SKIP() << "no control group can be made here";
  std::vector<double> values(100, 1.0);
  values[41] = -1;
  write_npy(x_, DType::f64, {100}, values.data());
  const Json j = json("harm", kLeak, 3, to_y({"--retries", "1", "--on-poison", "skip"}));
  const Json& p = j.at("faults").at("poison").at(0);
  EXPECT_EQ(p.at("index"), 41);
  EXPECT_EQ(p.at("signal"), "SIGKILL");
  EXPECT_EQ(p.at("what"), "killed by the system for want of memory");
  EXPECT_GT(p.at("peak_rss"), 100u << 20);
}

TEST_P(HarmBy, FaultR6_ManyMoreWorkersThanCoresGiveTheSameBits) {
  write({});
  EXPECT_EQ(json("harm_sum", kSegv, 0, {"--workers", "64"}).at("digest"), json("harm_sum", kSegv, 0, {"--backend", "serial"}).at("digest"));
}

TEST_P(HarmBy, FlagsOfProcessesAreRefusedElsewhere) {
  write({});
  for (const Arguments& flag : {Arguments{"--timeout", "1"}, {"--max-chunks-per-worker", "5"}, {"--max-memory-per-worker", "1G"}}) {
    Arguments more = flag;
    more.insert(more.end(), {"--backend", "threads"});
    const Outcome o = run("harm_sum", kSegv, more);
    EXPECT_EQ(o.exit, 2);
    EXPECT_NE(o.err.find(flag[0] + " needs --backend processes"), std::string::npos) << o.err;
  }
  for (const Arguments& bad : {Arguments{"--timeout", "0"}, {"--timeout", "nan"}, {"--on-poison", "ignore"}, {"--max-skipped", "-1"}, {"--verify-fraction", "1.5"}, {"--max-memory-per-worker", "lots"}})
    EXPECT_EQ(run("harm_sum", kSegv, bad).exit, 2) << bad[0];
}

}  // namespace
}  // namespace cadre::test
