#pragma once
/* How a task of a pool can fail: what get() throws. */
#include <cstdint>
#include <string>
#include <vector>

#include <cadre/shm/error.hpp>

namespace cadre {

/** The task has thrown. what() is "std::out_of_range: no such row". */
class TaskError : public Error {
 public:
  TaskError(std::string type, std::string message);
  /** Name of the exception's type, as in the source. */
  const std::string& type() const noexcept { return type_; }
  /** Its what(); "" for what is not a std::exception. */
  const std::string& message() const noexcept { return message_; }

 private:
  std::string type_, message_;
};

/** The worker that ran the task died, of it or of a signal from outside; another one is in its place. Whether the task had its effects can not be known. */
class WorkerDied : public Error {
 public:
  WorkerDied(int signal, int exit, std::vector<std::string> stack, const std::string& said);
  /** That ended it; 0: it left by itself, with exit_code(). */
  int signal() const noexcept { return signal_; }
  int exit_code() const noexcept { return exit_; }
  /** Where it was, innermost first: "invert (invert.cpp:41)". Empty after SIGKILL and other signals from outside. */
  const std::vector<std::string>& stack() const noexcept { return stack_; }

 private:
  int signal_, exit_;
  std::vector<std::string> stack_;
};

}  // namespace cadre
