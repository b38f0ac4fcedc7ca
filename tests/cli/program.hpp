#pragma once
/* Runs the real program, as a shell would, and tells what came of it. */
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace cadre::test {

using Json = nlohmann::ordered_json;  // as the program writes it
using Arguments = std::vector<std::string>;

/** ASAN_OPTIONS of programs whose kernels come to grief: their signals are ours. */
constexpr const char* kSignalsAreOurs = "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:use_sigaltstack=0";

struct Outcome {
  int exit = -1;    // exit code, -1 if ended by a signal
  int signal = 0;   // the signal that ended it
  std::string out, err;
};

struct Surroundings {
  std::map<std::string, std::string> environment;  // beside that of the test; a value of "" removes the variable
  std::string stdout_file;                         // opened for writing as stdout; "" captures
  bool stdout_closed_pipe = false;                 // stdout is a pipe that nobody reads
  std::string folder;                              // working directory; "" that of the test
  std::function<void(int pid)> meanwhile;          // called once after the start
  bool own_group = false;                          // it leads a process group of its own
};

/** cadre ARGUMENTS..., waited for. */
Outcome run_cadre(const Arguments& arguments, const Surroundings& surroundings = {});

/** The same on a terminal of its own, `columns` wide: out is all that it showed. */
Outcome run_cadre_on_terminal(const Arguments& arguments, int columns, const Surroundings& surroundings = {});

/** A folder that is gone with the object. */
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  /** Writes a text file into it; returns its path. */
  std::string write(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

}  // namespace cadre::test
