#pragma once
/* Ctrl-C and its relatives while a job runs: the first asks the engine to stop after what it is doing, the second ends the
   program at once. Nothing is lost by that: workers end when the program is gone, outputs have no name before they are whole. */
#include <string>

#include <cadre/engine/report.hpp>

namespace cadre::cli {

class StopSignals {
 public:
  /** Takes SIGINT, SIGTERM and SIGHUP, unless the program was started with them ignored (nohup, a background job of a script). `json`: a sudden
      end is told on stdout too. */
  explicit StopSignals(bool json);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /** Where a sudden end tells its JSON from now on; before: stdout. */
  void results_to(int fd);
  /** What is known of the job that runs now, for a sudden end to tell. `journal`: "" where it has none. Once. */
  void started(Report report, const std::string& journal);

 private:
  const bool wants_json_;
  const std::string error_, json_;
  std::string told_error_, told_json_;  // apart: a signal may come while they are made
};

/** Whether a progress line stands on stderr, so that a sudden end moves off it. */
void set_line_drawn(bool drawn) noexcept;

}  // namespace cadre::cli
