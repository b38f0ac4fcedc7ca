#pragma once
/* What is compared: a job made ready to be run many times. Its outputs go to shared memory instead of files, its inputs may be repeated to other sizes. */
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/job.hpp>
#include <cadre/engine/options.hpp>

namespace cadre::compare {

/** An array of a file's type and width with another number of rows, in memory that any process may open by its name. Ends with the object. */
class SizedFile {
 public:
  /** The rows of `file`, cut off or repeated in order. Throws Error: no memory. */
  SizedFile(const std::string& file, std::uint64_t rows);
  SizedFile(const SizedFile&) = delete;
  ~SizedFile();
  /** "/proc/PID/fd/N" */
  const std::string& path() const { return path_; }

 private:
  int fd_ = -1;
  std::string path_;
};

class Subject {
 public:
  /** Checks the job as Engine::run does. Outputs that are files become temporaries; so do those without a name that are too big for `result`. Throws Error (usage). */
  Subject(Job job, const Options& options);

  const Job& job() const { return job_; }
  /** The same over arrays of that many rows: every file that is as long as the first input which is cut. Throws Error (usage) when there is none. */
  Job sized(std::uint64_t rows, std::vector<std::unique_ptr<SizedFile>>& files) const;
  /** Throws Error where there is no memory for inputs of that many rows, or where `sized` throws a usage error. */
  void check_size(std::uint64_t rows) const;
  /** Bytes of all files that a job reads. */
  static std::uint64_t input_bytes(const Job& job);
  /** Reads them all once, so that whoever comes first does not pay for the disk. */
  static void read_ahead(const Job& job);
  /** Names that steps read and that mean files: the name, and the file. */
  static std::vector<std::pair<std::string, std::string>> input_files(const Job& job);

 private:
  /** Names and files that are as long as the first input which is cut. Throws Error (usage): there is none. */
  std::vector<std::pair<std::string, std::string>> cut_files() const;

  Job job_;
  Options options_;
};

}  // namespace cadre::compare
