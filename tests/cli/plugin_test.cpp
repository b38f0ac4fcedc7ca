/* `cadre new`, `cadre build`, `cadre check` and `cadre run --expr`, as a user calls them. */
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include <cadre/shm/npy_file.hpp>

#include "program.hpp"

namespace cadre::test {
namespace {

/** A folder to work in, with a cache of its own. */
struct Workshop {
  TemporaryFolder folder;

  Outcome cadre(const std::vector<std::string>& arguments, const std::string& where = "") const {
    return run_cadre(arguments, {.environment = {{"CADRE_CACHE_DIR", folder / "cache"}, {"LC_ALL", "C"}, {"ASAN_OPTIONS", kSignalsAreOurs}}, .folder = where.empty() ? folder.path() : where});
  }
  void save(const std::string& name, const std::vector<double>& values) const {
    write_npy(folder / name, DType::f64, {static_cast<std::int64_t>(values.size())}, values.data());
  }
  std::vector<double> load(const std::string& name) const {
    const AnyArray a = open_npy(folder / name);
    const Array<const double> d = a.as<const double>();
    return {d.begin(), d.end()};
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

constexpr const char* kTwice = "#include <cadre/kernels/plugin.hpp>\nCADRE_MAP(twice, (double x), 2 * x, \"Twice x.\")\n";

TEST(CliNew, WritesAFolderThatBuildsPassesTheCheckAndItsTest) {
  const Workshop w;
  Outcome o = w.cadre({"new", "my_kernel"});
  ASSERT_EQ(o.exit, 0) << o.err;
  const std::string inside = w.folder / "my_kernel";
  o = w.cadre({"build", "my_kernel.cpp"}, inside);
  ASSERT_EQ(o.exit, 0) << o.err;
  EXPECT_EQ(o.err, "");
  o = w.cadre({"check", "my_kernel.so"}, inside);
  EXPECT_EQ(o.exit, 0) << o.out << o.err;
  o = w.cadre({"kernels", "my_kernel", "--plugin", "./my_kernel.so"}, inside);
  EXPECT_TRUE(has(o.out, "slope  real, default 1")) << o.out;
  EXPECT_EQ(std::system((inside + "/test.py " CADRE_PROGRAM_PATH " " + inside + "/my_kernel.so > /dev/null").c_str()), 0);
  o = w.cadre({"new", "my_kernel"});
  EXPECT_EQ(o.exit, 2);
  EXPECT_TRUE(has(o.err, "my_kernel is there already"));
  for (const char* name : {"", "../x", "1x", "a b", "a-b"}) EXPECT_EQ(w.cadre({"new", name}).exit, 2) << name;
}

TEST(CliBuild, IsKeptByTheContentOfAllItsFiles) {
  const Workshop w;
  w.folder.write("scale.h", "#define SCALE 3.0\n");
  w.folder.write("k.cpp", "#include <cadre/kernels/plugin.hpp>\n#include \"scale.h\"\nCADRE_MAP(scaled, (double x), SCALE * x, \"Scaled.\")\n");
  w.save("x.npy", {1, 2, 3});
  const auto result = [&] {
    EXPECT_EQ(w.cadre({"run", "scaled", "--plugin", "k.so", "--in", "x.npy", "--out", "y.npy"}).exit, 0);
    return w.load("y.npy");
  };
  const auto cached = [&](const std::vector<std::string>& arguments) {
    const Outcome o = w.cadre(arguments);
    EXPECT_EQ(o.exit, 0) << o.err;
    return Json::parse(o.out).at("cached").get<bool>();
  };
  EXPECT_FALSE(cached({"build", "k.cpp", "--json"}));
  EXPECT_EQ(result(), (std::vector<double>{3, 6, 9}));
  EXPECT_TRUE(cached({"build", "k.cpp", "--json"}));
  w.folder.write("scale.h", "#define SCALE 5.0\n");
  EXPECT_FALSE(cached({"build", "k.cpp", "--json"}));
  EXPECT_EQ(result(), (std::vector<double>{5, 10, 15}));
  EXPECT_FALSE(cached({"build", "k.cpp", "--json", "--", "-DOTHER"}));
  w.folder.write("scale.h", "#define SCALE 3.0\n");
  std::filesystem::remove(w.folder / "k.so");
  EXPECT_FALSE(cached({"build", "k.cpp", "--json"}));
  EXPECT_TRUE(cached({"build", "k.cpp", "-o", w.folder / "other.so", "--json"}));
  EXPECT_TRUE(std::filesystem::exists(w.folder / "other.so"));
}

TEST(CliBuild, PassesOnWhatTheCompilerSays) {
  const Workshop w;
  w.folder.write("broken.cpp", "#include <cadre/kernels/plugin.hpp>\nCADRE_MAP(broken, (double x), 2 * y, \"?\")\n");
  Outcome o = w.cadre({"build", "broken.cpp"});
  EXPECT_EQ(o.exit, 1);
  EXPECT_EQ(o.out, "");
  EXPECT_TRUE(has(o.err, "broken.cpp:2") && has(o.err, "'y' was not declared")) << o.err;
  EXPECT_FALSE(std::filesystem::exists(w.folder / "broken.so"));
  w.folder.write("default.cpp", "#include <cadre/kernels/plugin.hpp>\nstatic double f() { return 1; }\nCADRE_MAP(broken, (double x, double a = f()), a * x, \"?\")\n");
  o = w.cadre({"build", "default.cpp"});
  EXPECT_EQ(o.exit, 1);
  EXPECT_TRUE(has(o.err, "the default of a parameter must be a number")) << o.err;
  w.folder.write("nothing.c", "int f(void) { return 1; }\n");
  o = w.cadre({"build", "nothing.c"});
  EXPECT_EQ(o.exit, 1);
  EXPECT_TRUE(has(o.err, "The sources define no cadre_plugin()")) << o.err;
}

TEST(CliBuild, WithClangACrashIsNamedByItsLineToo) {
  if (std::system("clang++-14 --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "there is no clang++-14";
  const Workshop w;
  w.folder.write("look.cpp", "#include <cadre/kernels/plugin.hpp>\nstatic double look(double x) {\n  if (x >= 0) return x;\n  return *(volatile double*)8;\n}\nCADRE_MAP(looks, (double x), look(x), \"Looks.\")\n");
  w.save("x.npy", {1, 2, -1, 4});
  setenv("CXX", "clang++-14", 1);
  const Outcome built = w.cadre({"build", "look.cpp"});
  unsetenv("CXX");
  ASSERT_EQ(built.exit, 0) << built.err;
  EXPECT_EQ(built.err, "");
  const Outcome o = w.cadre({"run", "looks", "--plugin", "look.so", "--in", "x.npy", "--out", "y.npy", "--on-poison", "skip"});
  EXPECT_EQ(o.exit, 3);
  EXPECT_TRUE(has(o.err, "element 2 (value -1.0): SIGSEGV in look (look.cpp:4)")) << o.out << o.err;
  EXPECT_EQ(w.load("y.npy")[3], 4.0);
}

TEST(CliBuild, RefusesWhatIsNoSource) {
  const Workshop w;
  w.folder.write("notes.txt", "no code\n");
  w.folder.write("k.cpp", kTwice);
  for (const auto& [file, words] : {std::pair{"notes.txt", "not a source that can be built"}, {"missing.cpp", "No such file"}, {".", "not a source"}}) {
    const Outcome o = w.cadre({"build", file});
    EXPECT_EQ(o.exit, 2) << file;
    EXPECT_TRUE(has(o.err, words)) << o.err;
  }
  EXPECT_EQ(w.cadre({"build"}).exit, 2);
  EXPECT_EQ(w.cadre({"build", "k.cpp", "--optimise"}).exit, 2);
  const Outcome o = run_cadre({"build", "k.cpp"}, {.environment = {{"CXX", "no-such-compiler"}, {"CADRE_CACHE_DIR", w.folder / "cache"}}, .folder = w.folder.path()});
  EXPECT_EQ(o.exit, 1);
  EXPECT_TRUE(has(o.err, "no-such-compiler is not there") && has(o.err, "apt-get install g++")) << o.err;
}

TEST(CliBuild, RunsTheInitialisersOfOneLevelOnce) {
  const Workshop w;
  w.folder.write("once.cpp",
                 "#include <cadre/kernels/plugin.hpp>\n#include <stdlib.h>\nstruct Once { double before; Once() : before(getenv(\"LOADED\") ? 1 : 0) { setenv(\"LOADED\", \"1\", 1); } };\n"
                 "static Once once;\nCADRE_MAP(loads, (double x), x + once.before, \"x.\")\n");
  ASSERT_EQ(w.cadre({"build", "once.cpp"}).exit, 0);
  w.save("x.npy", {0, 0});
  for (const char* backend : {"serial", "processes"}) {
    ASSERT_EQ(w.cadre({"run", "loads", "--plugin", "once.so", "--in", "x.npy", "--out", "y.npy", "--backend", backend}).exit, 0);
    EXPECT_EQ(w.load("y.npy"), (std::vector<double>{0, 0})) << backend;
  }
}

/** The answers of `cadre check` about each kernel of faulty.cpp: question -> whether all was well. */
class CliCheck : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    workshop = new Workshop;
    const Outcome built = workshop->cadre({"build", FAULTY_PATH});
    ASSERT_EQ(built.exit, 0) << built.err;
  }
  static void TearDownTestSuite() { delete workshop; }

  static void expect_wrong(const std::string& kernel, const std::string& question, const std::string& words) {
    const Outcome o = workshop->cadre({"check", "faulty.so", "--kernel", kernel, "--json"});
    EXPECT_EQ(o.exit, 1) << o.out << o.err;
    bool asked = false;
    const Json told = Json::parse(o.out);
    for (const Json& check : told.at("kernels").at(0).at("checks")) {
      if (check.at("check") != question) continue;
      asked = true;
      EXPECT_FALSE(check.at("ok").get<bool>()) << o.out;
      EXPECT_TRUE(has(check.at("words"), words)) << o.out;
    }
    EXPECT_TRUE(asked) << o.out;
  }
  static Workshop* workshop;
};
Workshop* CliCheck::workshop = nullptr;

TEST_F(CliCheck, CatchesAnImpureKernel) {
  expect_wrong("impure", "pure", "another result when they are computed again");
  expect_wrong("remembers", "pure", "after other rows");
}
TEST_F(CliCheck, CatchesAWriteOutsideTheChunk) {
  expect_wrong("beyond", "rows", "a write outside its chunk");
  expect_wrong("far_beyond", "rows", "SIGSEGV");
  expect_wrong("writes_input", "rows", "it writes to input x, which may only be read");
}
TEST_F(CliCheck, CatchesAKernelThatDoesNotBearThreads) { expect_wrong("shared", "threads", "shares state"); }
TEST_F(CliCheck, CatchesAWrongDeclaration) {
  expect_wrong("misread", "types", "float32");
  expect_wrong("neighbours", "elementwise", "declared elementwise");
  expect_wrong("narrow", "rows", "does not write all of row");
  expect_wrong("wide", "rows", "beyond the end of input x");
}
TEST_F(CliCheck, P3NamesWhatIsChangedAroundTheKernel) {
  for (const char* what : {"the floating-point mode", "the signal mask", "the working directory", "stdout"}) expect_wrong("rude", "surroundings", what);
}
TEST_F(CliCheck, TellsAnExceptionByItsText) { expect_wrong("throws", "rows", "no such luck"); }
TEST_F(CliCheck, FindsNothingWithKernelsThatAreRight) {
  for (const char* kernel : {"sums", "places", "draws", "mixed"}) {
    const Outcome o = workshop->cadre({"check", "faulty.so", "--kernel", kernel, "--json"});
    EXPECT_EQ(o.exit, 0) << o.out << o.err;
    const Json k = Json::parse(o.out).at("kernels").at(0);
    EXPECT_EQ(k.at("digest").get<std::string>().size(), 32u);
    EXPECT_GT(k.at("ns_per_element").get<double>(), 0);
  }
}
TEST_F(CliCheck, P1RefusesWhatCanNotBeLoaded) {
  workshop->folder.write("text.so", "not a library");
  for (const char* file : {"text.so", "missing.so"}) {
    const Outcome o = workshop->cadre({"check", file});
    EXPECT_EQ(o.exit, 2);
    EXPECT_TRUE(has(o.err, file)) << o.err;
  }
}
TEST_F(CliCheck, RandomNumbersAreTheSameForAnySchedule) {
  std::vector<double> x(5000);
  workshop->save("x.npy", x);
  std::vector<double> first;
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--backend", "serial"}, {"--chunk", "7"}, {"--backend", "threads", "--workers", "3"}}) {
    std::vector<std::string> call{"run", "draws", "--plugin", "faulty.so", "--in", "x.npy", "--out", "y.npy"};
    call.insert(call.end(), more.begin(), more.end());
    ASSERT_EQ(workshop->cadre(call).exit, 0);
    const std::vector<double> y = workshop->load("y.npy");
    if (first.empty()) first = y;
    EXPECT_EQ(y, first);
  }
  double mean = 0;
  for (double v : first) mean += v / 5000;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt((1 + 1.0 / 12) / 5000));  // five standard deviations of a normal and a uniform number
}

TEST(CliSandbox, NamesThePluginAndTheSystemCall) {
  const Workshop w;
  w.folder.write("outside.cpp", R"(#include <cadre/kernels/plugin.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
static double net(double x) { return x + socket(AF_INET, SOCK_STREAM, 0); }
static double file(double x) { return x + open("made", O_CREAT | O_WRONLY, 0600); }
static double late(double x) { return x < 5000 ? x : x + mkdir("made", 0700); }
static double program(double x) { char name[] = "/bin/true"; char* argv[] = {name, nullptr}; return x + execv(name, argv); }
static double reads(double x) { char c = 0; int fd = open("/proc/self/stat", O_RDONLY); if (read(fd, &c, 1) != 1) return -1; close(fd); return x; }
CADRE_MAP(calls_socket, (double x), net(x), "x")
CADRE_MAP(calls_open, (double x), file(x), "x")
CADRE_MAP(calls_mkdir, (double x), late(x), "x")
CADRE_MAP(calls_execve, (double x), program(x), "x")
CADRE_MAP(calls_read, (double x), reads(x), "x")
)");
  ASSERT_EQ(w.cadre({"build", "outside.cpp"}).exit, 0);
  std::vector<double> x;
  for (int i = 0; i < 10000; ++i) x.push_back(i);
  w.save("x.npy", x);
  for (const char* call : {"socket", "open", "mkdir", "execve"}) {
    const Outcome o = w.cadre({"run", std::string("calls_") + call, "--plugin", "./outside.so", "--in", "x.npy", "--out", "y.npy", "--sandbox"});
    EXPECT_EQ(o.exit, 1) << call << o.err;
    EXPECT_TRUE(has(o.err, "./outside.so: the sandbox does not allow the system call " + std::string(call))) << o.err;
    EXPECT_FALSE(std::filesystem::exists(w.folder / "made"));
    EXPECT_FALSE(std::filesystem::exists(w.folder / "y.npy"));
  }
  const Outcome o = w.cadre({"run", "calls_read", "--plugin", "./outside.so", "--in", "x.npy", "--out", "y.npy", "--sandbox"});
  EXPECT_EQ(o.exit, 0) << o.err;
  EXPECT_EQ(w.load("y.npy"), x);
  EXPECT_EQ(w.cadre({"run", "calls_read", "--plugin", "./outside.so", "--in", "x.npy", "--out", "y.npy", "--sandbox", "--backend", "threads"}).exit, 2);
}

TEST(CliSandbox, HoldsWhileALibraryIsLoaded) {
  const Workshop w;
  w.folder.write("early.cpp", "#include <cadre/kernels/plugin.hpp>\n#include <sys/socket.h>\nstatic const int s = socket(AF_INET, SOCK_STREAM, 0);\nCADRE_MAP(early, (double x), x + 0 * s, \"x\")\n");
  ASSERT_EQ(w.cadre({"build", "early.cpp"}).exit, 0);
  w.save("x.npy", {1, 2});
  const std::vector<std::string> call{"run", "early", "--plugin", "early.so", "--in", "x.npy", "--out", "y.npy"};
  EXPECT_EQ(w.cadre(call).exit, 0);
  std::vector<std::string> confined = call;
  confined.push_back("--sandbox");
  const Outcome o = w.cadre(confined);
  EXPECT_EQ(o.exit, 2);
  EXPECT_TRUE(has(o.err, "early.so: the sandbox does not allow the system call socket")) << o.err;
}

/* Faults of plug-ins: found out in a process that may die. */
TEST(CliPlugin, P2ThatCrashesLeavesOrLoopsWhileItIsLoadedIsRefusedWithTheReason) {
  const Workshop w;
  w.save("x.npy", {1, 2});
  const std::pair<const char*, const char*> cases[] = {{"raise(SIGSEGV);", "it crashes while being loaded (SIGSEGV)"}, {"__builtin_trap();", "(SIGILL)"}, {"_exit(7);", "it ends the process while being loaded (exit code 7)"},
                                                       {"throw 1;", "being loaded"}, {"for (;;) pause();", "does not finish being loaded within 10 s"}};
  for (const auto& [code, words] : cases) {
    w.folder.write("bad.cpp", std::string("#include <cadre/kernels/plugin.hpp>\n#include <signal.h>\n#include <unistd.h>\nstatic int bad() { ") + code + " return 1; }\nstatic const int at_once = bad();\nCADRE_MAP(bad, (double x), x + at_once, \"x\")\n");
    const Outcome built = w.cadre({"build", "bad.cpp", "--", "-w"});
    EXPECT_EQ(built.exit, 2) << built.err;  // it is loaded once, to see
    EXPECT_TRUE(has(built.err, words)) << code << built.err;
  }
}

TEST(CliPlugin, P3WhatAKernelChangesAroundItDoesNotChangeTheResult) {
  const Workshop w;
  w.folder.write("rude.cpp", R"(#include <cadre/kernels/plugin.hpp>
#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static double rude(double x) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (chdir("/") != 0) return -1;
  fesetround(FE_UPWARD);
  static int times = 0;
  if (times++ < 3) fprintf(stdout, "hello\n"), fflush(stdout);
  return 2 * x;
}
CADRE_MAP(rude, (double x), rude(x), "2 x, and bad manners.")
)");
  ASSERT_EQ(w.cadre({"build", "rude.cpp"}).exit, 0);
  std::vector<double> x(20000, 1.5), twice(20000, 3.0);
  w.save("x.npy", x);
  // The second step would add up otherwise than before.
  w.folder.write("job.toml", "[[steps]]\nkernel = \"rude\"\nin = [\"x.npy\"]\nout = [\"y.npy\"]\n[[steps]]\nkernel = \"sum\"\nin = [\"tenths.npy\"]\n");
  w.save("tenths.npy", std::vector<double>(20000, 0.1));
  const Outcome sum = w.cadre({"run", "sum", "--in", "tenths.npy", "--json"});
  for (const char* backend : {"serial", "threads", "processes"}) {
    const Outcome o = w.cadre({"run", w.folder / "job.toml", "--plugin", w.folder / "rude.so", "--backend", backend, "--json"});
    EXPECT_EQ(o.exit, 0) << o.err;
    ASSERT_TRUE(Json::accept(o.out)) << o.out;
    EXPECT_TRUE(has(o.err, "hello"));
    EXPECT_EQ(Json::parse(o.out).at("digest"), Json::parse(sum.out).at("digest")) << backend;
    EXPECT_EQ(w.load("y.npy"), twice) << backend;
  }
}

TEST(CliExpression, IsComputedAndKept) {
  const Workshop w;
  std::vector<double> x;
  for (int i = 0; i < 3001; ++i) x.push_back(0.001 * i);
  w.save("x.npy", x);
  const std::vector<std::string> call{"run", "--expr", "y = a*sqrt(x) + log1p(x)", "--in", "x=x.npy", "--param", "a=2", "--out", "y=y.npy", "--json"};
  for (int round = 0; round < 2; ++round) {
    const Outcome o = w.cadre(call);
    ASSERT_EQ(o.exit, 0) << o.err;
    EXPECT_EQ(Json::parse(o.out).at("outputs").at("y"), "y.npy");
    const std::vector<double> y = w.load("y.npy");
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], 2 * std::sqrt(x[i]) + std::log1p(x[i]), 4e-16 * (1 + y[i]));
  }
}

TEST(CliExpression, HasPrecedenceConditionsAndTruths) {
  const Workshop w;
  std::vector<double> x{-2, -0.5, 0, 0.5, 1, 3};
  w.save("x.npy", x);
  struct Case {
    const char* text;
    double (*value)(double);
  };
  const Case cases[] = {
      {"-x**2 + 3*x - 1/4", [](double v) { return -(v * v) + 3 * v - 0.25; }},
      {"2**3**2 - x", [](double v) { return 512 - v; }},
      {"x < 0 ? -x : x > 1 ? 1 : x", [](double v) { return v < 0 ? -v : v > 1 ? 1 : v; }},
      {"where(x > 0 and not x >= 1, 10, 20) + (x == 0)", [](double v) { return (v > 0 && !(v >= 1) ? 10.0 : 20.0) + (v == 0); }},
      {"clip(x, -1, 1) * sign(x) + abs(x) + max(x, 0)", [](double v) { return std::fmin(std::fmax(v, -1), 1) * (v > 0 ? 1 : v < 0 ? -1 : 0) + std::fabs(v) + std::fmax(v, 0); }},
      {"pi * x + 1e-3 - .5", [](double v) { return 3.141592653589793 * v + 1e-3 - .5; }},
  };
  for (const Case& c : cases) {
    const Outcome o = w.cadre({"run", "--expr", c.text, "--in", "x.npy", "--out", "y.npy"});
    ASSERT_EQ(o.exit, 0) << c.text << o.err;
    const std::vector<double> y = w.load("y.npy");
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_DOUBLE_EQ(y[i], c.value(x[i])) << c.text << " of " << x[i];
  }
}

TEST(CliExpression, ThatCanNotBeReadIsExit2AndSaysWhere) {
  const Workshop w;
  w.save("x.npy", {1, 2});
  const std::pair<const char*, const char*> cases[] = {
      {"x +", "at the end"}, {"sqt(x)", "did you mean sqrt?"}, {"2 + 3", "no array is in it"}, {"x ^ 2", "powers are written **"}, {"double * x", "can not be a name"},
      {"(x", "\")\" is expected"}, {"where(x > 1, 2)", "where takes 3 arguments, not 2"}, {"x; system(\"ls\")", "this character"}, {"1x", "not a number"}, {"x x", "an operator"},
      {"__builtin_trap(x)", "there is no function"}, {"y + x", "input"}};
  for (const auto& [text, words] : cases) {
    const Outcome o = w.cadre({"run", "--expr", text, "--in", "x=x.npy", "--out", "z.npy"});
    EXPECT_EQ(o.exit, 2) << text;
    EXPECT_TRUE(has(o.err, words)) << text << ": " << o.err;
  }
  EXPECT_EQ(w.cadre({"run", "--expr", std::string(200, '(') + "x" + std::string(200, ')'), "--in", "x.npy", "--out", "z.npy"}).exit, 2);
  EXPECT_EQ(w.cadre({"run", "--expr", std::string(5000, '-') + "x", "--in", "x.npy", "--out", "z.npy"}).exit, 2);
  EXPECT_EQ(w.cadre({"run", "sum", "--expr", "x", "--in", "x.npy"}).exit, 2);
  EXPECT_TRUE(has(w.cadre({"run", "--expr", "x", "--in", "x.npy", "--param", "a=1", "--out", "z.npy"}).err, "does not use it"));
}

}  // namespace
}  // namespace cadre::test
