#pragma once
/* Forked children for tests of what processes see of each other. */
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <cadre/shm/error.hpp>

namespace cadre::testing {

/** Runs `body` in a forked child and returns "exit N" (what it returned), "signal N" (what killed it) or "threw ...". */
template <class Body>
std::string in_child(Body body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    int code = 125;
    try {
      code = body();
    } catch (const std::exception& error) {
      const std::string what = error.what();
      if (write(ends[1], what.data(), what.size()) < 0) code = 126;
    }
    _exit(code);
  }
  close(ends[1]);
  std::string thrown;
  char text[1024];
  for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) thrown.append(text, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!thrown.empty()) return "threw " + thrown;
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "exit " + std::to_string(WEXITSTATUS(status));
}

/** The message of the Error that `act` throws, or "nothing was thrown". */
template <class Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace cadre::testing
