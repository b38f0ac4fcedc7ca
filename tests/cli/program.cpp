#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace cadre::test {
namespace {

[[noreturn]] void become_cadre(const Arguments& arguments, const Surroundings& s) {
  std::vector<char*> argv{const_cast<char*>(CADRE_PROGRAM_PATH)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  for (const auto& [name, value] : s.environment) value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
  signal(SIGPIPE, SIG_DFL);
  if (s.folder.empty() || chdir(s.folder.c_str()) == 0) execv(CADRE_PROGRAM_PATH, argv.data());
  _exit(126);
}

void read_until_closed(const std::vector<std::pair<int, std::string*>>& sources) {
  std::vector<pollfd> open;
  for (const auto& [fd, into] : sources) open.push_back({fd, POLLIN, 0});
  for (std::size_t left = open.size(); left > 0;) {
    if (poll(open.data(), open.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (open[i].fd < 0 || open[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t n = read(open[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        sources[i].second->append(buffer, static_cast<std::size_t>(n));
      } else {  // end of file; a terminal whose last user is gone says EIO
        close(open[i].fd);
        open[i].fd = -1;
        --left;
      }
    }
  }
}

void wait_for(pid_t pid, Outcome& outcome) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
  }
  if (WIFEXITED(status)) outcome.exit = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
}

}  // namespace

Outcome run_cadre(const Arguments& arguments, const Surroundings& s) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  if (s.stdout_closed_pipe) {
    close(out[0]);
    out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  if (!s.stdout_file.empty()) {
    close(out[1]);
    out[1] = open(s.stdout_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (out[1] < 0) throw std::runtime_error("open " + s.stdout_file);
  }
  const pid_t pid = fork();
  if (s.own_group) setpgid(pid, pid);  // here and there: whoever comes first
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    become_cadre(arguments, s);
  }
  close(out[1]);
  close(err[1]);
  if (s.meanwhile) s.meanwhile(pid);
  Outcome outcome;
  read_until_closed({{out[0], &outcome.out}, {err[0], &outcome.err}});
  wait_for(pid, outcome);
  return outcome;
}

Outcome run_cadre_on_terminal(const Arguments& arguments, int columns, const Surroundings& s) {
  winsize size{24, static_cast<unsigned short>(columns), 0, 0};
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
  if (pid < 0) throw std::runtime_error("forkpty");
  if (pid == 0) become_cadre(arguments, s);
  if (s.meanwhile) s.meanwhile(pid);
  Outcome outcome;
  read_until_closed({{terminal, &outcome.out}});
  wait_for(pid, outcome);
  return outcome;
}

TemporaryFolder::TemporaryFolder() {
  path_ = (std::filesystem::temp_directory_path() / "cadre-cli-XXXXXX").string();
  if (!mkdtemp(path_.data())) throw std::runtime_error("mkdtemp " + path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& text) const {
  std::ofstream(*this / name, std::ios::binary) << text;
  return *this / name;
}

}  // namespace cadre::test
