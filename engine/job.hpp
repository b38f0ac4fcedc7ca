#pragma once
/* What is to be done: steps of named kernels over named arrays. The command line, a job file and a C++ program all say it
   in this form; Engine::run does it. */
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <cadre/shm/array.hpp>

namespace cadre {

/** A parameter as given: "10", "0.5". Whole numbers are kept exactly; a real for an integer parameter is refused. */
using Param = std::variant<std::int64_t, double>;

struct Step {
  std::string kernel;
  std::vector<std::pair<std::string, std::string>> in;   // (input's name or "" for positional, array name or file.npy)
  std::vector<std::pair<std::string, std::string>> out;  // (output's name or "" for positional, array name or file.npy)
  std::vector<std::pair<std::string, Param>> params;
  std::string where;                                     // "fares.toml:7" for messages; "" for the command line
};

struct Job {
  std::string name;                          // "job" of the report: the kernel's or the job file's name
  std::map<std::string, std::string> files;  // [arrays]: name -> file
  std::map<std::string, AnyArray> arrays;    // arrays of the program (C++ only): name -> array
  std::vector<Step> steps;
  std::uint64_t chunk = 0;                   // elements per chunk; 0: the plan's
  bool digest = true;
  bool trace = false;                        // tell in the report which worker ran each chunk, and when; not with a journal
  /** Called in the caller about ten times a second, with chunks done and chunks of the current step. */
  std::function<void(std::size_t step, std::uint64_t done, std::uint64_t chunks)> progress;
};

/** Reads a job file (TOML). Throws Error "FILE:LINE: ..." on unknown keys, wrong types, bad syntax; files of more than 1 MiB are refused.
    Options that it sets are returned as flags without dashes -> value, for the caller to apply beneath its own. */
struct JobFile {
  Job job;
  std::map<std::string, std::string> options;  // "backend" -> "processes", "workers" -> "8", "no-pin" -> "true"
  std::map<std::string, int> option_lines;     // line of each, for messages
};
JobFile read_job_file(const std::string& path);
/** The same of a text; `path` is for messages, and its folder for the files that the text names. */
JobFile parse_job_text(const std::string& text, const std::string& path);

}  // namespace cadre
