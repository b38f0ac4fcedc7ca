#include <cadre/tasks/task_error.hpp>

#include <string.h>

namespace cadre {

namespace {

std::string told(int signal, int exit, const std::vector<std::string>& stack, const std::string& said) {
  const char* name = signal ? sigabbrev_np(signal) : nullptr;
  std::string text = "the worker of a task ";
  text += !signal ? "left with exit code " + std::to_string(exit) : name ? "died of SIG" + std::string(name) : "died of signal " + std::to_string(signal);
  if (!stack.empty()) text += " in " + stack.front();
  return said.empty() ? text : text + ": " + said;
}

}  // namespace

TaskError::TaskError(std::string type, std::string message)
    : Error(message.empty() ? type : type + ": " + message, Kind::failed), type_(std::move(type)), message_(std::move(message)) {}

WorkerDied::WorkerDied(int signal, int exit, std::vector<std::string> stack, const std::string& said)
    : Error(told(signal, exit, stack, said), Kind::failed), signal_(signal), exit_(exit), stack_(std::move(stack)) {}

}  // namespace cadre
