#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "signals.hpp"

namespace cadre::cli {
namespace {

/** "0:12", "1:02:03" */
std::string clock_text(double seconds) {
  const auto s = static_cast<unsigned long long>(std::clamp(seconds, 0.0, 1e9));
  char text[48];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%llu:%02llu", s / 60, s % 60);
  return text;
}

int terminal_width(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const int width = columns ? std::atoi(columns) : 0;
  return width > 0 ? width : 80;
}

}  // namespace

std::string render_progress(const ProgressState& s, int width, bool colour) {
  const double share = s.chunks == 0 ? 1.0 : std::min(1.0, static_cast<double>(s.done) / static_cast<double>(s.chunks));
  const std::string step = s.steps > 1 ? "step " + std::to_string(s.step + 1) + "/" + std::to_string(s.steps) + " " : "";
  char percent[8];
  std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(share * 100));
  const std::string chunks = "  " + std::to_string(s.done) + "/" + std::to_string(s.chunks) + " chunks";
  std::string time = "  " + clock_text(s.seconds);
  if (s.done > 0 && s.done < s.chunks) time += ", " + clock_text(s.seconds * (1 - share) / share) + " left";

  const int room = std::max(width, 1) - 1;
  std::string tail = percent;
  for (const std::string& part : {chunks, time})
    if (static_cast<int>(step.size() + tail.size() + part.size()) <= room) tail += part;
  const int bar = std::min(40, room - static_cast<int>(step.size() + tail.size()) - 4);  // brackets and two spaces
  if (bar < 8) return (step + tail).substr(0, static_cast<std::size_t>(room));

  const int filled = static_cast<int>(share * bar);
  std::string line = std::string(static_cast<std::size_t>(filled), '#');
  if (filled < bar) line += '>';
  if (colour) line = "\033[32m" + line + "\033[0m";
  return step + "[" + line + std::string(static_cast<std::size_t>(std::max(bar - filled - 1, 0)), ' ') + "]  " + tail;
}

Progress::Progress(int fd, std::size_t steps, bool wanted) : fd_(fd) {
  const char* term = std::getenv("TERM");
  const char* no_colour = std::getenv("NO_COLOR");
  enabled_ = wanted && isatty(fd) && !(term && std::strcmp(term, "dumb") == 0);
  colour_ = !(no_colour && *no_colour);
  state_.steps = steps;
}

Progress::~Progress() { finish(); }

void Progress::update(std::size_t step, std::uint64_t done, std::uint64_t chunks) {
  if (!enabled_) return;
  if (step != state_.step) began_ = Clock::now();
  state_.step = step;
  state_.done = done;
  state_.chunks = chunks;
  state_.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  const std::string line = "\r" + render_progress(state_, terminal_width(fd_), colour_) + "\033[K";
  set_line_drawn(drawn_ = true);
  if (::write(fd_, line.data(), line.size()) < 0) enabled_ = false;  // the terminal is gone; the job is not
}

void Progress::finish() {
  if (!drawn_) return;
  if (::write(fd_, "\r\033[K", 4) < 0) enabled_ = false;
  set_line_drawn(drawn_ = false);
}

}  // namespace cadre::cli
