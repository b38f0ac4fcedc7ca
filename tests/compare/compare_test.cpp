/* cadre compare, through the program: what it finds, tells and refuses. No figure of time is asked for, only what must hold of any. */
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include <cadre/shm/npy_file.hpp>

#include "../cli/program.hpp"

namespace cadre::test {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<int> children_of(int pid) {
  std::istringstream text(text_of("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"));
  return {std::istream_iterator<int>(text), {}};
}

std::set<int> tree_of(int pid) {
  std::set<int> all{pid};
  for (const int child : children_of(pid)) all.merge(tree_of(child));
  return all;
}

/** The fields of /proc/PID/stat behind the name: the state is the first. */
std::vector<std::string> fields_of(int pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream text(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  return {std::istream_iterator<std::string>(text), {}};
}

bool is_alive(int pid) {
  const auto fields = fields_of(pid);
  return !fields.empty() && fields[0] != "Z" && fields[0] != "X";
}

long cpu_ticks(int pid) {
  const auto fields = fields_of(pid);
  return fields.size() > 12 ? std::stol(fields[11]) : 0;
}

/** What f gives as soon as that is something, for as long as a busy machine may need. */
template <class F>
auto wait_for(F f) {
  auto found = f();
  const auto empty = [&] {
    if constexpr (requires { found.empty(); })
      return found.empty();
    else
      return !found;
  };
  for (int i = 0; i < 3000 && empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    found = f();
  }
  return found;
}

class Compare : public ::testing::Test {
 protected:
  void write(const std::string& name, std::vector<double> values) {
    const auto n = static_cast<std::int64_t>(values.size());
    write_npy(folder_ / name, DType::f64, {n}, values.data());
  }
  void write_rows(const std::string& name, std::size_t n) {
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(i % 1000) / 1000;
    write(name, values);
  }
  /** In the folder, with little time; a sanitizer leaves signals to us. */
  Outcome compare(Arguments more) {
    more.insert(more.begin(), "compare");
    if (std::find(more.begin(), more.end(), "--max-time") == more.end()) more.insert(more.end(), {"--max-time", "0.2"});
    return run_cadre(more, {.environment = {{"CADRE_CACHE_DIR", folder_ / "cache"}, {"ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:handle_abort=0:use_sigaltstack=0:detect_leaks=0"}}, .folder = folder_.path()});
  }
  Json json(Arguments more, int exit = 0) {
    more.push_back("--json");
    const Outcome o = compare(more);
    EXPECT_EQ(o.exit, exit) << o.err;
    return Json::parse(o.out);
  }
  void expect_refused(const Arguments& arguments, const std::string& why) {
    const Outcome o = compare(arguments);
    EXPECT_EQ(o.exit, 2) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_NE(o.err.find(why), std::string::npos) << o.err;
  }
  TemporaryFolder folder_;
};

TEST_F(Compare, EveryBackendGivesTheDigestOfARunAndRawSamples) {
  write_rows("x.npy", 300'000);
  const Json all = json({"moments", "--in", "x.npy", "--backends", "serial,threads,processes,processes:pages=4k,processes:start=spawn:pin=no", "--workers", "2"});
  const Json run = Json::parse(run_cadre({"run", "moments", "--in", folder_ / "x.npy", "--json"}).out);
  EXPECT_EQ(all["job"], "moments");
  ASSERT_EQ(all["points"].size(), 1u);
  const Json& point = all["points"][0];
  EXPECT_EQ(point["elements"], 300'000);
  EXPECT_EQ(point["chunks"], run["chunks"]);
  EXPECT_EQ(point["bytes"], 2'400'000);
  ASSERT_EQ(point["contestants"].size(), 5u);
  for (const Json& c : point["contestants"]) {
    EXPECT_TRUE(c["error"].is_null()) << c["error"];
    ASSERT_EQ(c["digests"].size(), 1u) << c;
    EXPECT_TRUE(c["digests"].contains(run["digest"].get<std::string>())) << c["digests"];
    EXPECT_EQ(c["workers"], c["backend"] == "serial" ? 1 : 2);
    EXPECT_GT(c["median"].get<double>(), 0);
    std::size_t warm = 0, cold = 0, first = 0;
    for (const Json& r : c["runs"]) {
      warm += r[0] == "warm";
      cold += r[0] == "cold";
      first += r[0] == "first";
      EXPECT_GT(r[2].get<double>(), 0);
      EXPECT_GE(r[3].get<double>(), r[2].get<double>());
      // A thread backend is the caller and its threads; fewer where the machine was too busy to start one.
      EXPECT_GE(r[4].size(), 1u);
      if (c["backend"] != "threads") {
        EXPECT_EQ(r[4].size(), c["workers"]);
      }
    }
    EXPECT_GE(warm, 3u);
    EXPECT_GE(cold, 1u);
    EXPECT_EQ(cold, first);
    EXPECT_EQ(cold, c["start_ups"].size());
    ASSERT_FALSE(c["trace"].empty());
    EXPECT_EQ(c["trace"].back()["chunks"].size(), point["chunks"].get<std::size_t>());
    EXPECT_GE(c["memory"].size(), 1u);
    EXPECT_GT(c["memory"][0]["pss"].get<std::uint64_t>(), 0u);
  }
  EXPECT_GT(all["machine"]["roofs"].back()["read"].get<double>(), 0);
  EXPECT_GT(all["machine"]["roofs"].back()["fma"].get<double>(), 0);
  EXPECT_FALSE(all["verdict"].get<std::string>().empty());
}

// What the table prints follows from the raw samples.
TEST_F(Compare, MediansCanBeComputedAgainFromTheSamples) {
  write_rows("x.npy", 200'000);
  const Json all = json({"sum", "--in", "x.npy", "--backends", "processes,processes", "--workers", "2"});
  for (const Json& c : all["points"][0]["contestants"]) {
    std::vector<double> times;
    for (const Json& r : c["runs"])
      if (r[0] == "warm") times.push_back(r[2]);
    std::sort(times.begin(), times.end());
    const std::size_t n = times.size();
    EXPECT_DOUBLE_EQ(c["median"].get<double>(), n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2);
  }
  EXPECT_EQ(all["points"][0]["contestants"][0]["name"], "processes #1");
  EXPECT_EQ(all["points"][0]["contestants"][0]["other"], "processes #2");
}

TEST_F(Compare, OperationsThatAKernelTellsAreHeldAgainstTheMachine) {
  write_rows("x.npy", 200'000);
  const Json all = json({"dot", "--in", "x.npy", "--in", "x.npy", "--backends", "serial", "--workers", "1"});
  const Json& point = all["points"][0];
  EXPECT_EQ(point["operations"], 400'000);
  EXPECT_NEAR(point["contestants"][0]["operations_per_second"].get<double>() * point["contestants"][0]["median"].get<double>(), 400'000, 1);
  const Outcome text = compare({"dot", "--in", "x.npy", "--in", "x.npy", "--backends", "serial", "--workers", "1"});
  EXPECT_NE(text.out.find("of FMA"), std::string::npos) << text.out;
  EXPECT_EQ(json({"min", "--in", "x.npy", "--backends", "serial", "--workers", "1"})["points"][0]["operations"], 0);
}

TEST_F(Compare, WorkersAndSizesMakePoints) {
  write_rows("x.npy", 1000);
  write_rows("y.npy", 1000);
  const Json all = json({"axpy", "--in", "x.npy", "--in", "y.npy", "--param", "a=2", "--backends", "serial,threads", "--workers", "1,3", "--sizes", "700,100K"});
  ASSERT_EQ(all["points"].size(), 4u);
  const std::uint64_t rows[] = {700, 700, 102400, 102400};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(all["points"][i]["elements"], rows[i]);
    EXPECT_EQ(all["points"][i]["bytes"], 24 * rows[i]);
    EXPECT_EQ(all["points"][i]["output_bytes"], 8 * rows[i]);
    EXPECT_EQ(all["points"][i]["workers"], i % 2 ? 3 : 1);
  }
}

TEST_F(Compare, NothingIsWrittenButTheCsv) {
  write_rows("x.npy", 50'000);
  const Outcome o = compare({"sqrt", "--in", "x.npy", "--out", "y.npy", "--csv", "runs.csv", "--workers", "2"});
  EXPECT_EQ(o.exit, 0) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "y.npy"));
  std::ifstream file(folder_ / "runs.csv");
  std::string head, line;
  ASSERT_TRUE(std::getline(file, head));
  const auto columns = std::count(head.begin(), head.end(), ',');
  std::size_t lines = 0;
  for (; std::getline(file, line); ++lines) EXPECT_EQ(std::count(line.begin(), line.end(), ','), columns) << line;
  EXPECT_GE(lines, 3u * 5u);
  for (const char* word : {"serial", "threads", "processes", "cold", "start-up", "faults", "steals", "limits on"}) EXPECT_NE(o.out.find(word), std::string::npos) << word << " is not in\n" << o.out;
}

TEST_F(Compare, JobFilesOfSeveralStepsAreCompared) {
  write_rows("tip.npy", 20'000);
  write("fare.npy", std::vector<double>(20'000, 2.0));
  folder_.write("fares.toml", "name = \"fares\"\n[arrays]\ntip = \"tip.npy\"\nfare = \"fare.npy\"\n[[steps]]\nkernel = \"divide\"\nin = [\"tip\", \"fare\"]\nout = [\"share.npy\"]\n[[steps]]\n"
                              "kernel = \"histogram\"\nin = [\"share.npy\"]\nparams = { bins = 100, lo = 0.0, hi = 1.0 }\nout = [\"counts.npy\"]\n");
  const Json all = json({"fares.toml", "--workers", "2"});
  EXPECT_EQ(all["job"], "fares");
  for (const Json& c : all["points"][0]["contestants"]) {
    EXPECT_EQ(c["digests"].size(), 1u);
    EXPECT_EQ(c["trace"].size(), 2u);  // passes
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "counts.npy"));
}

TEST_F(Compare, PrivateCopiesGiveTheSameCounts) {
  write_rows("x.npy", 100'000);
  const Arguments histogram{"histogram", "--in", "x.npy", "--param", "bins=70000", "--param", "lo=0", "--param", "hi=1", "--workers", "3"};
  Arguments both = histogram;
  both.insert(both.end(), {"--backends", "threads,threads:combine=private"});
  const Json all = json(both);
  EXPECT_EQ(all["points"][0]["contestants"][0]["digests"].begin().key(), all["points"][0]["contestants"][1]["digests"].begin().key());
}

TEST_F(Compare, AKernelThatIsNotThreadSafeIsCalledThat) {
  write_rows("x.npy", 400);
  const Outcome o = compare({"racy", "--plugin", UNRULY_PATH, "--in", "x.npy", "--chunk", "50", "--workers", "2"});
  EXPECT_EQ(o.exit, 1) << o.out;
  EXPECT_NE(o.err.find("not thread-safe"), std::string::npos) << o.err;
  EXPECT_NE(o.out.find("No verdict"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("faster than on"), std::string::npos) << o.out;
}

TEST_F(Compare, ADigestThatDependsOnTheBackendIsAnError) {
  write_rows("x.npy", 400);
  const Outcome o = compare({"placed", "--plugin", UNRULY_PATH, "--in", "x.npy", "--chunk", "100", "--workers", "2", "--backends", "serial,processes"});
  EXPECT_EQ(o.exit, 1) << o.out;
  EXPECT_NE(o.err.find("depends on where the kernel runs"), std::string::npos) << o.err;
}

TEST_F(Compare, ACrashIsAResultOfItsBackendAndTheOthersGoOn) {
  std::vector<double> values(400, 1.0);
  values[123] = -1;
  write("x.npy", values);
  const Json all = json({"fragile", "--plugin", UNRULY_PATH, "--in", "x.npy", "--chunk", "100", "--workers", "2", "--on-poison", "skip"}, 1);
  const Json& c = all["points"][0]["contestants"];
  EXPECT_NE(c[0]["error"].get<std::string>().find("died of SIGSEGV"), std::string::npos) << c[0]["error"];
  EXPECT_NE(c[1]["error"].get<std::string>().find("died of SIGSEGV"), std::string::npos) << c[1]["error"];
  EXPECT_TRUE(c[2]["error"].is_null()) << c[2]["error"];
  EXPECT_GT(c[2]["median"].get<double>(), 0);
  EXPECT_NE(all["error"].get<std::string>().find("serial: its process died of SIGSEGV"), std::string::npos) << all["error"];
}

TEST_F(Compare, AKernelThatHangsEndsItsBackendWhenHalfOfTheTimeIsUpAndTheOthersGoOn) {
  std::vector<double> values(400, 1.0);
  values[123] = -1;
  write("x.npy", values);
  const Json all = json({"endless", "--plugin", UNRULY_PATH, "--in", "x.npy", "--chunk", "100", "--workers", "2", "--backends", "serial,processes", "--timeout", "0.1", "--retries", "0", "--on-poison", "skip"}, 1);
  const Json& c = all["points"][0]["contestants"];
  EXPECT_NE(c[0]["error"].get<std::string>().find("no answer came within 5 s: its kernel hangs"), std::string::npos) << c[0]["error"];
  EXPECT_TRUE(c[1]["error"].is_null()) << c[1]["error"];
  EXPECT_GT(c[1]["median"].get<double>(), 0);
}

TEST_F(Compare, NobodyOutlivesAComparisonThatIsKilled) {
  write("x.npy", std::vector<double>(400, -1.0));
  for (const char* backend : {"serial", "threads", "processes"}) {
    std::set<int> all;
    const auto kill_it = [&](int pid) {
      const std::vector<int> contestants = wait_for([&] {
        std::vector<int> children = children_of(pid);
        std::erase_if(children, [](int child) { return text_of("/proc/" + std::to_string(child) + "/cmdline").find("--contestant") == std::string::npos; });
        return children;
      });
      ASSERT_EQ(contestants.size(), 1u);
      // Until somebody is in the kernel, for good.
      EXPECT_TRUE(wait_for([&] {
        all = tree_of(contestants[0]);
        return std::any_of(all.begin(), all.end(), [](int p) { return cpu_ticks(p) > 20; });
      }));
      kill(pid, SIGKILL);
    };
    const Outcome o = run_cadre({"compare", "endless", "--plugin", UNRULY_PATH, "--in", folder_ / "x.npy", "--workers", "2", "--backends", backend, "--max-time", "100"}, {.meanwhile = kill_it});
    EXPECT_EQ(o.signal, SIGKILL) << backend;
    EXPECT_GE(all.size(), 1u) << backend;
    EXPECT_TRUE(wait_for([&] { return std::none_of(all.begin(), all.end(), is_alive); })) << backend;
  }
}

TEST_F(Compare, AJobWithoutElementsIsTooShort) {
  write("x.npy", {});
  const Json all = json({"sum", "--in", "x.npy", "--workers", "2"});
  for (const Json& c : all["points"][0]["contestants"]) {
    EXPECT_TRUE(c["error"].is_null()) << c["error"];
    EXPECT_EQ(c["digests"].size(), 1u);
  }
}

TEST_F(Compare, TheTableIsPrintedThoughTheReportCanNotBeWritten) {
  write_rows("x.npy", 1000);
  const Outcome o = compare({"sum", "--in", "x.npy", "--workers", "1", "--csv", "/dev/full"});
  EXPECT_EQ(o.exit, 1) << o.err;
  EXPECT_NE(o.err.find("write /dev/full: it can not be written"), std::string::npos) << o.err;
  EXPECT_NE(o.out.find("processes"), std::string::npos) << o.out;
}

TEST_F(Compare, ARunThatIsTooShortGetsNoRatio) {
  write_rows("x.npy", 10);
  const Outcome o = compare({"sum", "--in", "x.npy", "--workers", "2"});
  EXPECT_EQ(o.exit, 0) << o.err;
  EXPECT_NE(o.err.find("what is compared is dispatch, not the kernel"), std::string::npos) << o.err;
  // A machine that is very busy may stretch even these runs.
  if (o.out.find("too short") != std::string::npos) {
    EXPECT_NE(o.out.find("Too short to tell"), std::string::npos) << o.out;
    EXPECT_NE(o.out.find("--sizes"), std::string::npos) << o.out;
  }
}

TEST_F(Compare, BadUsageIsRefusedBeforeAnythingIsMeasured) {
  write_rows("x.npy", 10);
  expect_refused({"sum", "--in", "x.npy", "--backends", "serial,gpu"}, "the backends are serial, threads and processes");
  expect_refused({"sum", "--in", "x.npy", "--backend", "serial"}, "--backend: --backends says what is compared");
  expect_refused({"sum", "--in", "x.npy", "--journal", "j"}, "--journal: a journal keeps one run of a job");
  expect_refused({"sum", "--in", "x.npy", "--workers", "0"}, "--workers 0: 0 is not a whole number from 1 to 1024");
  expect_refused({"sum", "--in", "x.npy", "--sizes", "1X"}, "--sizes 1X: 1X is not a whole number");
  expect_refused({"sum", "--in", "x.npy", "--sizes", "10,1024G"}, "--sizes: all that has 1099511627776 rows needs 8.0 TiB");
  expect_refused({"sum", "--in", "x.npy", "--csv", "nowhere/runs.csv"}, "nowhere/runs.csv: it can not be written");
  expect_refused({"sum", "--in", "missing.npy"}, "missing.npy");
  expect_refused({"sums", "--in", "x.npy"}, "did you mean sum?");
  expect_refused({"--suite", "--in", "x.npy"}, "--suite has jobs of its own");
  expect_refused({"--suite", "--backends", "serial"}, "--suite chooses backends for each of its jobs");
  for (const char* seconds : {"0", "-3", "nan", "inf"}) expect_refused({"sum", "--in", "x.npy", "--max-time", seconds}, "--max-time: not a number of seconds above 0");
  expect_refused({"sum", "--in", "x.npy", "--report", "."}, ".: is a directory");
  expect_refused({"sum", "--in", "x.npy", "--report", "r", "--csv", "r"}, "--csv and --report both name r");
  expect_refused({}, "compare what? cadre compare KERNEL");
  expect_refused({"monte_carlo_option", "--sizes", "1K"}, "monte_carlo_option");
}

}  // namespace
}  // namespace cadre::test
