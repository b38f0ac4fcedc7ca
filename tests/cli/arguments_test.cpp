/* What the program makes of its arguments, before any job runs. Lines of the table of faults stand in the names. */
#include <unistd.h>

#include <gtest/gtest.h>

#include "program.hpp"

namespace cadre::test {
namespace {

/** Exit 2, nothing on stdout, the message on stderr. */
void expect_refused(const Arguments& arguments, const std::string& message) {
  const Outcome o = run_cadre(arguments);
  EXPECT_EQ(o.exit, 2) << message;
  EXPECT_EQ(o.out, "");
  EXPECT_EQ(o.err, "cadre: " + message + "\n");
}

TEST(CliHelp, VersionIsPrinted) {
  const Outcome o = run_cadre({"--version"});
  EXPECT_EQ(o.exit, 0);
  EXPECT_EQ(o.out, "cadre " CADRE_VERSION "\n");
  EXPECT_EQ(o.err, "");
}

TEST(CliHelp, HelpOfTheProgramAndOfEachCommandGoesToStdout) {
  for (const Arguments& a : {Arguments{"--help"}, {"-h"}, {"run", "--help"}, {"kernels", "--help"}, {"doctor", "--help"}}) {
    const Outcome o = run_cadre(a);
    EXPECT_EQ(o.exit, 0);
    EXPECT_EQ(o.err, "");
    EXPECT_NE(o.out.find("Usage: cadre"), std::string::npos) << o.out;
  }
}

TEST(CliHelp, HelpOfRunNamesEveryFlagOfTheContract) {
  const std::string help = run_cadre({"run", "--help"}).out;
  for (const char* flag : {"--in", "--out", "--param", "--expr", "--backend", "--workers", "--start", "--isa", "--chunk", "--no-pin", "--plugin", "--sandbox", "--retries", "--timeout",
                           "--strict", "--on-poison", "--max-skipped", "--max-chunks-per-worker", "--max-memory-per-worker", "--verify-fraction", "--journal", "--resume",
                           "--no-digest", "--json", "--no-progress", "--quiet"})
    EXPECT_NE(help.find(std::string("\n  ") + flag + " "), std::string::npos) << flag;
}

TEST(CliUsage, NoCommandAndUnknownCommandsAreRefused) {
  expect_refused({}, "no command: cadre run, cadre compare, cadre kernels, cadre new, cadre build, cadre check, cadre doctor or cadre manager; see cadre --help");
  expect_refused({"rnu"}, "there is no command rnu; did you mean cadre run?");
  expect_refused({"--frobnicate"}, "unknown option --frobnicate; see cadre --help");
}

TEST(CliUsage, UnknownOptionsAreRefusedWithTheNearest) {
  expect_refused({"run", "sum", "--wokers", "3"}, "unknown option --wokers; did you mean --workers?");
  expect_refused({"run", "sum", "--wokers=3"}, "unknown option --wokers=3; did you mean --workers?");
  expect_refused({"run", "sum", "one", "two"}, "unexpected argument one; see cadre run --help");
  expect_refused({"kernels", "--frobnicate"}, "unknown option --frobnicate; see cadre kernels --help");
}

TEST(CliUsage, AFlagWithoutItsValueIsRefused) {
  for (const char* flag : {"--workers", "--in", "--out", "--param", "--backend", "--plugin"}) {
    const Outcome o = run_cadre({"run", "sum", flag});
    EXPECT_EQ(o.exit, 2) << flag;
    EXPECT_NE(o.err.find(flag), std::string::npos) << o.err;
  }
}

TEST(CliUsage, J1NumbersOutOfRangeAreRefusedWithTheRange) {
  for (const char* bad : {"0", "-1", "1e9", "nan", "NaN", "abc", "1025", "1.5", "", "99999999999999999999"}) {
    const Outcome o = run_cadre({"run", "sum", "--in", "x.npy", "--workers", bad});
    EXPECT_EQ(o.exit, 2) << bad;
    EXPECT_NE(o.err.find("not a whole number from 1 to 1024"), std::string::npos) << o.err;
  }
  for (const char* bad : {"0", "-1", "1099511627777", "inf"}) {
    const Outcome o = run_cadre({"run", "sum", "--in", "x.npy", "--chunk", bad});
    EXPECT_EQ(o.exit, 2) << bad;
    EXPECT_NE(o.err.find("not a whole number from 1 to 1099511627776"), std::string::npos) << o.err;
  }
  for (const char* bad : {"-1", "1001", "nan"}) {
    const Outcome o = run_cadre({"run", "sum", "--in", "x.npy", "--retries", bad});
    EXPECT_EQ(o.exit, 2) << bad;
    EXPECT_NE(o.err.find("not a whole number from 0 to 1000"), std::string::npos) << o.err;
  }
  expect_refused({"run", "sum", "--in", "x.npy", "--workers=-1"}, "--workers -1: not a whole number from 1 to 1024");
}

TEST(CliUsage, UnknownChoicesAreRefusedWithTheKnownOnes) {
  expect_refused({"run", "sum", "--in", "x.npy", "--backend", "gpu"}, "--backend gpu: not one of serial, threads, processes");
  expect_refused({"run", "sum", "--in", "x.npy", "--isa", "v9"}, "--isa v9: not one of auto, v2, v3, v4");
  expect_refused({"run", "sum", "--in", "x.npy", "--start", "clone"}, "--start clone: not one of fork, forkserver, spawn");
}

TEST(CliUsage, TheManagerRefusesWhatItDoesNotKnow) {
  expect_refused({"manager"}, "where is the manager to listen? --listen host:port, or --listen ./socket; see cadre manager --help");
  expect_refused({"manager", "--listen"}, "--listen needs a value; see cadre manager --help");
  expect_refused({"manager", "--listen", "nowhere"}, "\"nowhere\" is no address: write host:port, or the path of a socket with a slash in it (./socket)");
  expect_refused({"manager", "--listen", "127.0.0.1:0", "--certificates", "/nonexistent"}, "load /nonexistent/ca.pem: No such file or directory. `cadre manager init` writes certificates; --certificates or $CADRE_MANAGER_CERTIFICATES says where they are");
  expect_refused({"manager", "init", "--host", "a:1", "--certificates", "/nonexistent"}, "\"a:1\" is no host: give a name or an address, without a port");
  expect_refused({"manager", "init", "--days", "0"}, "--days 0: give a whole number from 1");
}

TEST(CliUsage, BadParametersAndFileNamesAreRefused) {
  expect_refused({"run", "sum", "--param", "bins"}, "--param bins: not NAME=VALUE");
  expect_refused({"run", "sum", "--param", "bins=many"}, "--param bins=many: the value is not a number that float64 can hold");
  expect_refused({"run", "sum", "--param", "a=1", "--param", "a=2"}, "--param a=2: a was given before");
  expect_refused({"run", "sum", "--in", "x="}, "--in x=: no file is named; --in [NAME=]FILE.npy");
  expect_refused({"run"}, "run what? cadre run KERNEL --in FILE.npy, or cadre run JOB.toml; cadre kernels lists the kernels");
}

TEST(CliUsage, WithJsonARefusalIsOneObjectOnStdoutToo) {
  for (const Arguments& a : {Arguments{"run", "sum", "--workers", "0", "--json"}, {"run", "--json", "--bogus"}, {"run", "sum", "--json", "--workers"}, {"kernels", "nosuch", "--json"}}) {
    const Outcome o = run_cadre(a);
    EXPECT_EQ(o.exit, 2);
    const Json j = Json::parse(o.out, nullptr, false);
    ASSERT_TRUE(j.is_object()) << o.out;
    EXPECT_EQ(j.size(), 1u);
    EXPECT_EQ(o.err, "cadre: " + j.at("error").get<std::string>() + "\n");
    EXPECT_EQ(o.out.back(), '\n');
  }
}

TEST(CliUsage, ControlCharactersOfArgumentsDoNotReachTheTerminal) {
  const Outcome o = run_cadre({"run", "sum", "--workers", "\x1b[31m"});
  EXPECT_EQ(o.exit, 2);
  EXPECT_EQ(o.err.find('\x1b'), std::string::npos);
}

class CliJobFile : public ::testing::Test {
 protected:
  void expect_refused_at(const std::string& text, int line, const std::string& message, const Arguments& more = {}) {
    const std::string path = folder_.write("job.toml", text);
    Arguments all{"run", path};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome o = run_cadre(all);
    EXPECT_EQ(o.exit, 2);
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err, "cadre: " + path + ":" + std::to_string(line) + ": " + message + "\n");
  }
  TemporaryFolder folder_;
};

TEST_F(CliJobFile, ErrorsNameFileAndLine) {
  const std::string step = "[[steps]]\nkernel = \"sum\"\nin = [\"x.npy\"]\n";
  expect_refused_at("name = \"a\"\nworkerz = 3\n" + step, 2, "unknown key workerz; did you mean workers?");
  expect_refused_at("workers = 0\n" + step, 1, "workers = 0: not a whole number from 1 to 1024");
  expect_refused_at("\nworkers = nan\n" + step, 2, "workers = nan: not a whole number from 1 to 1024");
  expect_refused_at("\n\nbackend = \"gpu\"\n" + step, 3, "backend = gpu: not one of serial, threads, processes");
}

TEST_F(CliJobFile, InputsOnTheCommandLineDoNotGoWithAJobFile) {
  const std::string path = folder_.write("job.toml", "[[steps]]\nkernel = \"sum\"\nin = [\"x.npy\"]\n");
  for (const char* flag : {"--in", "--out", "--param"})
    expect_refused({"run", path, flag, "x=1"}, std::string(flag) + " goes with a kernel; a job file says it itself, under [[steps]]");
}

TEST_F(CliJobFile, J4HugeDeepAndGarbledFilesAreRefused) {
  expect_refused_at("x = " + std::string(100'000, '['), 1, "nested more than 64 deep");
  expect_refused_at("name = \"\xff\"\n", 1, "not UTF-8 text");
  const std::string path = folder_.write("huge.toml", "");
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 30), 0);
  expect_refused({"run", path}, path + ": larger than 1 MiB, the most that a job file may have");
}

TEST_F(CliJobFile, AMissingFileIsRefusedByName) {
  expect_refused({"run", folder_ / "missing.toml"}, "read the job file " + (folder_ / "missing.toml") + ": No such file or directory (errno 2)");
}

}  // namespace
}  // namespace cadre::test
