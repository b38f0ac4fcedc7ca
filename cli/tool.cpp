#include "tool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <cadre/shm/error.hpp>

namespace cadre::cli {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int start(const CommandLine& command, const std::string& output, pid_t& pid) {
  std::vector<char*> arguments;
  for (const std::string& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);  // ignored in this program
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

std::vector<ToolResult> run_tools(const std::vector<CommandLine>& commands, const std::string& folder) {
  std::vector<ToolResult> results(commands.size());
  std::vector<pid_t> pids(commands.size(), -1);
  std::vector<std::string> files;
  int error = 0;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < commands.size() && !error; ++i) {
    files.push_back(folder + "/output" + std::to_string(i));
    error = start(commands[i], files[i], pids[i]);
    failed = i;
  }
  for (std::size_t i = 0; i < commands.size(); ++i) {
    int status = 0;
    if (pids[i] <= 0) continue;
    while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR) {
    }
    results[i].exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    results[i].output = text_of(files[i]);
    unlink(files[i].c_str());
  }
  if (error) throw_errno("run " + commands[failed][0], error, Error::Kind::failed);
  return results;
}

std::string find_tool(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = (folder.empty() ? "." : folder) + "/" + name;
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

}  // namespace cadre::cli
