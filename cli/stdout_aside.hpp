#pragma once
/* While plug-ins run, what they print goes to stderr: stdout is for results. */
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace cadre::cli {

class StdoutAside {
 public:
  explicit StdoutAside(bool wanted) : kept_(wanted ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : -1) {
    if (kept_ >= 0) dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  StdoutAside(const StdoutAside&) = delete;
  ~StdoutAside() {
    put_back();
    if (kept_ >= 0) close(kept_);
  }
  void put_back() {
    if (kept_ < 0) return;
    std::fflush(stdout);
    dup2(kept_, STDOUT_FILENO);
  }
  /** Where results go meanwhile. */
  int results() const { return kept_ >= 0 ? kept_ : STDOUT_FILENO; }

 private:
  const int kept_;
};

}  // namespace cadre::cli
