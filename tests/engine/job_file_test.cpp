/* Job files: what is read, and what is refused with which line. Lines of the table of faults in brackets. */
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <cadre/engine/job.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {
namespace {

namespace fs = std::filesystem;

class JobFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "cadre-job-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path() const { return (folder_ / "job.toml").string(); }
  JobFile read(const std::string& text) {
    std::ofstream(path(), std::ios::binary) << text;
    return read_job_file(path());
  }
  /** The message of the refusal, without the folder's name. */
  std::string refusal(const std::string& text) {
    try {
      read(text);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), Error::Kind::usage);
      std::string message = e.what();
      for (std::size_t at; (at = message.find(folder_.string() + "/")) != std::string::npos;) message.erase(at, folder_.string().size() + 1);
      return message;
    }
    return "(not refused)";
  }
  fs::path folder_;
};

constexpr const char* kStep = "[[steps]]\nkernel = \"sum\"\nin = [\"x.npy\"]\n";

TEST_F(JobFileTest, TheExampleOfTheContractIsReadWhole) {
  JobFile file = read(R"(name = "fares"
backend = "processes"
workers = 8
no-pin = true

[arrays]
fare = "fare.npy"
tip  = "/data/tip.npy"

[[steps]]
kernel = "divide"
in  = ["tip", "y=fare"]
out = ["share"]

[[steps]]
kernel = "histogram"
in  = ["share"]
params = { bins = 100, lo = 0.0, hi = 1.0 }
out = ["share_histogram.npy"]
)");
  EXPECT_EQ(file.job.name, "fares");
  EXPECT_EQ(file.job.files, (std::map<std::string, std::string>{{"fare", (folder_ / "fare.npy").string()}, {"tip", "/data/tip.npy"}}));
  EXPECT_EQ(file.options, (std::map<std::string, std::string>{{"backend", "processes"}, {"workers", "8"}, {"no-pin", "true"}}));
  EXPECT_EQ(file.option_lines.at("backend"), 2);
  EXPECT_EQ(file.option_lines.at("no-pin"), 4);
  ASSERT_EQ(file.job.steps.size(), 2u);
  using Bindings = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(file.job.steps[0].kernel, "divide");
  EXPECT_EQ(file.job.steps[0].in, (Bindings{{"", "tip"}, {"y", "fare"}}));
  EXPECT_EQ(file.job.steps[0].out, (Bindings{{"", "share"}}));
  EXPECT_EQ(file.job.steps[0].where, path() + ":11");
  EXPECT_EQ(file.job.steps[1].out, (Bindings{{"", (folder_ / "share_histogram.npy").string()}}));
  std::map<std::string, Param> params(file.job.steps[1].params.begin(), file.job.steps[1].params.end());
  EXPECT_EQ(params, (std::map<std::string, Param>{{"bins", std::int64_t{100}}, {"lo", 0.0}, {"hi", 1.0}}));
}

TEST_F(JobFileTest, AJobWithoutANameHasThatOfItsFile) { EXPECT_EQ(read(kStep).job.name, "job"); }

TEST_F(JobFileTest, WhatLooksLikeAFileIsFoundBesideTheJobFile) {
  JobFile file = read("[[steps]]\nkernel = \"add\"\nin = [\"sub/x\", \"y=../y.npy\", \"/abs/z.npy\"]\nout = [\"temporary\"]\n");
  EXPECT_EQ(file.job.steps[0].in[0].second, (folder_ / "sub/x").string());
  EXPECT_EQ(file.job.steps[0].in[1].second, (folder_ / "../y.npy").string());
  EXPECT_EQ(file.job.steps[0].in[2].second, "/abs/z.npy");
  EXPECT_EQ(file.job.steps[0].out[0].second, "temporary");
}

TEST_F(JobFileTest, PluginsMayBeAList) {
  EXPECT_EQ(read("plugin = [\"a.so\", \"/b.so\"]\n" + std::string(kStep)).options.at("plugin"), (folder_ / "a.so").string() + "\n/b.so");
}

TEST_F(JobFileTest, WholeNumbersStayExact) {
  JobFile file = read("[[steps]]\nkernel = \"k\"\nparams = { n = 9007199254740993 }\n");
  EXPECT_EQ(file.job.steps[0].params[0].second, Param(std::int64_t{9007199254740993}));
}

TEST_F(JobFileTest, UnknownKeysAreRefusedWithTheNearestAndTheLine) {
  EXPECT_EQ(refusal("\nworkerz = 3\n" + std::string(kStep)), "job.toml:2: unknown key workerz; did you mean workers?");
  EXPECT_EQ(refusal("[[step]]\nkernel = \"sum\"\n"), "job.toml:1: unknown key step; did you mean steps?");
  EXPECT_EQ(refusal("[[steps]]\nkernal = \"sum\"\n"), "job.toml:2: unknown key of a step kernal; did you mean kernel?");
}

TEST_F(JobFileTest, WrongTypesAreRefusedWithTheLine) {
  EXPECT_EQ(refusal("name = 3\n" + std::string(kStep)), "job.toml:1: name is a text: name = \"fares\"");
  EXPECT_EQ(refusal("arrays = 3\n" + std::string(kStep)), "job.toml:1: arrays is a table: [arrays], then name = \"file.npy\" on lines of their own");
  EXPECT_EQ(refusal("[arrays]\n\nx = 3\n" + std::string(kStep)), "job.toml:3: array x is given by a file: x = \"file.npy\"");
  EXPECT_EQ(refusal("[steps]\nkernel = \"sum\"\n"), "job.toml:1: each step is a table of its own, headed [[steps]]");
  EXPECT_EQ(refusal("[[steps]]\nkernel = 3\n"), "job.toml:2: kernel is a text: kernel = \"histogram\"");
  EXPECT_EQ(refusal("[[steps]]\nkernel = \"sum\"\nin = \"x.npy\"\n"), "job.toml:3: in is a list of array names or files: in = [\"x\", \"y=other.npy\"]");
  EXPECT_EQ(refusal("[[steps]]\nkernel = \"sum\"\nin = [3]\n"), "job.toml:3: in is a list of array names or files: in = [\"x\", \"y=other.npy\"]");
  EXPECT_EQ(refusal("[[steps]]\nkernel = \"sum\"\nparams = [1]\n"), "job.toml:3: params is a table: params = { bins = 100 }");
  EXPECT_EQ(refusal("[[steps]]\nkernel = \"sum\"\nparams = { bins = \"many\" }\n"), "job.toml:3: parameter bins is not a number");
  EXPECT_EQ(refusal("workers = [1]\n" + std::string(kStep)), "job.toml:1: workers is a single value, as after --workers");
}

TEST_F(JobFileTest, AStepWithoutAKernelAndAJobWithoutStepsAreRefused) {
  EXPECT_EQ(refusal("\n[[steps]]\nin = [\"x.npy\"]\n"), "job.toml:2: the step names no kernel: kernel = \"sum\"");
  EXPECT_EQ(refusal("name = \"empty\"\n"), "job.toml: no [[steps]]: a job has at least one, with kernel = \"...\" and in = [...]");
  EXPECT_EQ(refusal(""), "job.toml: no [[steps]]: a job has at least one, with kernel = \"...\" and in = [...]");
}

TEST_F(JobFileTest, NamesOfArraysThatLookLikeFilesAreRefused) {
  EXPECT_EQ(refusal("[arrays]\n\"x.npy\" = \"y.npy\"\n" + std::string(kStep)),
            "job.toml:2: \"x.npy\" can not name an array: names have no '/' and no '=' and do not end in .npy");
}

TEST_F(JobFileTest, BadSyntaxIsRefusedWithItsLine) {
  EXPECT_EQ(refusal("name = \"a\"\nname = \"b\"\n").substr(0, 12), "job.toml:2: ");
  EXPECT_EQ(refusal("name = \"a\"\n\nworkers = = 3\n").substr(0, 12), "job.toml:3: ");
  EXPECT_EQ(refusal("name = \"unclosed\n").substr(0, 12), "job.toml:1: ");
  EXPECT_EQ(refusal("[\narrays]\n"),
            "job.toml: bad syntax, on a line that the parser does not tell (a line break within [ ... ] of a table's head, for example)");
}

TEST_F(JobFileTest, J4NestingIsRefusedBeforeTheParserSeesIt) {
  EXPECT_EQ(refusal("\nx = " + std::string(100'000, '[')), "job.toml:2: nested more than 64 deep");
  std::string tables = "x = ";
  for (int i = 0; i < 100'000; ++i) tables += "{a=";
  EXPECT_EQ(refusal(tables), "job.toml:1: nested more than 64 deep");
  std::string quoted = "x = ";  // brackets in strings neither open nor close
  for (int i = 0; i < 1'000; ++i) quoted += "[ \"]]\\\"]\", ']', \"\"\"]\n\"]\"\"\"\"\", ";
  EXPECT_NE(refusal(quoted).find("nested more than 64 deep"), std::string::npos);
}

TEST_F(JobFileTest, J4KeysOfManyPartsAreRefusedToo) {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  EXPECT_EQ(refusal(key + " = 1\n"), "job.toml:1: a key of more than 64 parts");
  EXPECT_EQ(refusal("[" + key + "]\n"), "job.toml:1: a key of more than 64 parts");
}

TEST_F(JobFileTest, BracketsInStringsAndCommentsDoNotCount) {
  const std::string brackets(200, '[');
  EXPECT_EQ(read("name = \"" + brackets + "\"  # " + brackets + "\n" + kStep).job.name, brackets);
  EXPECT_EQ(read("name = '''" + brackets + "'\n" + brackets + "'''\n" + kStep).job.name, brackets + "'\n" + brackets);
}

TEST_F(JobFileTest, J4AFileOfMoreThanAMebibyteIsRefusedInBoundedTime) {
  std::ofstream(path()) << "# ";
  ASSERT_EQ(::truncate(path().c_str(), off_t{1} << 30), 0);
  EXPECT_THROW(
      {
        try {
          read_job_file(path());
        } catch (const Error& e) {
          EXPECT_EQ(std::string(e.what()), path() + ": larger than 1 MiB, the most that a job file may have");
          throw;
        }
      },
      Error);
  std::string comment = kStep + std::string("#");
  comment.append((std::size_t{1} << 20) - comment.size(), 'x');
  EXPECT_EQ(read(comment).job.steps.size(), 1u);
}

TEST_F(JobFileTest, J4AByteOrderMarkInTheMiddleIsRefused) { EXPECT_NE(refusal("name = \"a\"\nx\xef\xbb\xbf = 1\n").find(":2: a byte order mark"), std::string::npos); }

// The parser asks of each letter whether it is white space.
TEST_F(JobFileTest, J4LettersThatAreNotAsciiAreNoWhiteSpace) {
  EXPECT_NE(refusal("x\xc9\xa3 = 1\n").find("job.toml:1: "), std::string::npos);
  EXPECT_EQ(read("name = \"\"\"\\\n  \xc3\xa9\"\"\"\n" + std::string(kStep)).job.name, "\xc3\xa9");
}

TEST_F(JobFileTest, J4BytesThatAreNotUtf8AreRefusedWithTheirLine) {
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"})
    EXPECT_EQ(refusal("# fine: \xe2\x82\xac\nname = \"" + std::string(bad) + "\"\n"), "job.toml:2: not UTF-8 text");
  EXPECT_EQ(read("name = \"\xe2\x82\xac \xf0\x9f\x98\x80\"\n" + std::string(kStep)).job.name, "\xe2\x82\xac \xf0\x9f\x98\x80");
}

TEST_F(JobFileTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  const std::string fifo = (folder_ / "fifo.toml").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THROW(read_job_file(fifo), Error);
  EXPECT_THROW(read_job_file(folder_.string()), Error);
  EXPECT_THROW(read_job_file("/dev/zero"), Error);
  EXPECT_THROW(read_job_file((folder_ / "missing.toml").string()), Error);
}

}  // namespace
}  // namespace cadre
