#pragma once
/* The progress bar: one line on stderr, drawn over itself, gone at the end.

     step 2/4 [###########>              ]  45%  343/763 chunks  0:12, 0:15 left */
#include <chrono>
#include <cstdint>
#include <string>

namespace cadre::cli {

struct ProgressState {
  std::size_t step = 0, steps = 1;      // step counts from 0
  std::uint64_t done = 0, chunks = 0;   // of this step
  double seconds = 0;                   // since the step began
};

/** The line, of at most `width` - 1 columns; escape sequences for colour do not count. What does not fit is left out, the bar first. */
std::string render_progress(const ProgressState& state, int width, bool colour);

class Progress {
 public:
  /** Draws on file descriptor `fd`, only if that is a terminal that can move its cursor and `wanted` is true. */
  Progress(int fd, std::size_t steps, bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool enabled() const noexcept { return enabled_; }
  void update(std::size_t step, std::uint64_t done, std::uint64_t chunks);
  /** Clears the line. */
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  int fd_;
  bool enabled_, colour_;
  bool drawn_ = false;
  ProgressState state_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace cadre::cli
