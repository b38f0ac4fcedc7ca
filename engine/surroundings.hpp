#pragma once
/* Where chunks run in the caller itself: its working directory and signal mask, put back after plug-ins have run. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace cadre {

class Surroundings {
 public:
  /** `wanted`: there are plug-ins. */
  explicit Surroundings(bool wanted) : folder_(wanted ? open(".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1), wanted_(wanted) {
    if (wanted_) pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
  }
  Surroundings(const Surroundings&) = delete;
  ~Surroundings() {
    if (!wanted_) return;
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    if (folder_ < 0) return;
    if (fchdir(folder_) != 0) { /* it is gone, or may not be entered: names are relative to nothing, as they were */
    }
    close(folder_);
  }

 private:
  const int folder_;
  const bool wanted_;
  sigset_t mask_;
};

}  // namespace cadre
