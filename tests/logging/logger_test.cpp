#include <cadre/logging/logger.hpp>

#include <fcntl.h>
#include <signal.h>

#include <map>
#include <regex>
#include <sstream>

#include <cadre/sync/event.hpp>

#include "../support/methods.hpp"

namespace cadre {
namespace {

/** Everything that this process and its children write to stderr, through a pipe as a shell's would be. */
class Captured {
 public:
  Captured() : before_(dup(STDERR_FILENO)) {
    if (pipe2(ends_, O_CLOEXEC) != 0) throw_errno("make a pipe", errno);
    dup2(ends_[1], STDERR_FILENO);
    close(ends_[1]);
    reader_ = std::thread([this] {
      char part[1 << 16];
      for (ssize_t n; (n = read(ends_[0], part, sizeof part)) > 0;) text_.append(part, static_cast<std::size_t>(n));
    });
  }
  ~Captured() { (void)text(); }
  /** All of it, when the children have ended. */
  const std::string& text() {
    if (before_ < 0) return text_;
    end_forkserver();  // which has the pipe as its stderr
    dup2(before_, STDERR_FILENO);
    close(before_);
    before_ = -1;
    reader_.join();
    close(ends_[0]);
    return text_;
  }
  std::vector<std::string> lines() {
    std::istringstream in(text());
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

 private:
  int before_, ends_[2];
  std::thread reader_;
  std::string text_;
};

class LoggerTest : public testing::OnMethods {
 protected:
  void TearDown() override {
    get_logger().set_level(spdlog::level::off);
    OnMethods::TearDown();
  }
};
INSTANTIATE_TEST_SUITE_P(Methods, LoggerTest, testing::kAllMethods, testing::name_of_method);

TEST_P(LoggerTest, IsSilentUntilAskedAndBelowItsLevel) {
  Captured captured;
  get_logger().critical("nobody asked");
  log_to_stderr(spdlog::level::warn);
  get_logger().info("too low");
  get_logger().warn("number {}", 5);
  EXPECT_EQ(captured.text(), "[WARNING/MainProcess:" + std::to_string(getpid()) + "] number 5\n");
}

TEST_P(LoggerTest, LinesCarryNameAndPidOfTheProcessThatSaysThem) {
  Captured captured;
  log_to_stderr(spdlog::level::err);
  Process p(ProcessOptions{.name = "cook"}, [] {
    get_logger().error("the soup is too hot");
    get_logger().info("not said at this level");
  });
  p.start();
  p.join();
  EXPECT_EQ(captured.text(), "[ERROR/cook:" + std::to_string(p.pid()) + "] the soup is too hot\n");
}

TEST_P(LoggerTest, BeginningsAndEndsOfProcessesAreTold) {
  Captured captured;
  log_to_stderr();
  Process p([] { cadre::exit(3); });
  p.start();
  p.join();
  const std::string who = "[INFO/" + p.name() + ":" + std::to_string(p.pid()) + "] ";
  EXPECT_EQ(captured.text(), who + "child process calling run()\n" + who + "process exiting with exitcode 3\n");
}

TEST_P(LoggerTest, LinesOfManyProcessesNeverInterleave) {
  Captured captured;
  log_to_stderr(spdlog::level::warn);
  std::vector<Process> all;
  // Longer than what a pipe takes in one piece.
  for (int i = 0; i < 4; ++i)
    all.emplace_back([](char c) {
      for (int k = 0; k < 100; ++k) get_logger().warn(std::string(k % 2 ? 9000 : 50, c));
    }, static_cast<char>('a' + i));
  for (Process& p : all) p.start();
  for (Process& p : all) p.join();
  std::map<char, int> count;
  for (const std::string& line : captured.lines()) {
    const auto at = line.find("] ");
    ASSERT_EQ(line.find("[WARNING/Process-"), 0u) << line;
    const std::string said = line.substr(at + 2);
    ASSERT_TRUE(said.size() == 9000 || said.size() == 50) << said.size();
    ASSERT_EQ(said, std::string(said.size(), said[0]));
    ++count[said[0]];
  }
  for (char c = 'a'; c < 'e'; ++c) EXPECT_EQ(count[c], 100);
}

TEST_P(LoggerTest, WhatWasSaidJustBeforeBeingKilledIsThere) {
  Captured captured;
  log_to_stderr(spdlog::level::warn);
  for (int round = 0; round < 5; ++round) {
    Process p([](int n) {
      get_logger().warn("last words {}", n);
      raise(SIGKILL);
    }, round);
    p.start();
    p.join();
    EXPECT_EQ(p.exitcode(), -SIGKILL);
  }
  const std::vector<std::string> lines = captured.lines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_NE(lines[4].find("last words 4"), std::string::npos);
}

// Those that write all the time are killed in the middle of it: the others go on, and lines after a torn one are whole again.
TEST_P(LoggerTest, AKilledWriterHoldsNobodyUp) {
  Captured captured;
  log_to_stderr(spdlog::level::warn);
  for (int round = 0; round < 5; ++round) {
    Event writing;
    Process chatter([](Event& e) {
      for (;;) {
        get_logger().warn(std::string(20'000, 'x'));
        e.set();
      }
    }, writing);
    chatter.start();
    writing.wait();
    chatter.kill();
    chatter.join();
    get_logger().warn("after {}", round);
  }
  EXPECT_NE(captured.text().find("] after 4\n"), std::string::npos);
}

}  // namespace
}  // namespace cadre
