#include <cadre/bench/child.hpp>

#include <cadre/bench/harness.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>

extern char** environ;

namespace cadre::bench {
namespace {

std::map<std::string, Child>& children() {
  static std::map<std::string, Child> all;
  return all;
}

}  // namespace

ChildEntry::ChildEntry(const std::string& name, Child child) { children()[name] = std::move(child); }

int child_main(int argc, char** argv) {
  if (argc < 3 || std::strcmp(argv[1], "--child") != 0) return -1;
  try {
    for (double number : children().at(argv[2])({argv + 3, argv + argc})) std::printf("%.17g\n", number);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[2], error.what());
    return 1;
  }
}

std::vector<double> run_child(const std::vector<std::string>& name_and_arguments) {
  std::vector<std::string> words{"/proc/self/exe", "--child"};
  words.insert(words.end(), name_and_arguments.begin(), name_and_arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe: " + std::string(std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, words[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; error == 0 && (got = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  close(ends[0]);
  if (error != 0) throw std::runtime_error("run the bench again: " + std::string(std::strerror(error)));
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw WrongAnswer("child " + name_and_arguments[0] + " ended with status " + std::to_string(status));
  std::vector<double> numbers;
  std::istringstream lines(text);
  for (double number; lines >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace cadre::bench
