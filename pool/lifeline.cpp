#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cadre/pool/lifeline.hpp>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>

#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

int ends[2] = {-1, -1};  // read, write

// A forked child holds nobody's lifeline but its own. Its reading end stays until it has held on.
void let_go() {
  if (ends[1] >= 0) close(ends[1]);
  ends[0] = ends[1] = -1;
}

}  // namespace

int lifeline() {
  static std::once_flag watched;
  std::call_once(watched, [] { pthread_atfork(nullptr, nullptr, let_go); });
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (ends[0] < 0 && pipe2(ends, O_CLOEXEC) != 0) throw_errno("make the pipe that ends processes with this one", errno, Error::Kind::failed);
  return ends[0];
}

void hold_on_to(int end) noexcept {
  // To whom the signal goes belongs to the open file, which all processes of one parent share: a file of this one's own.
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", end);
  const int own = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (own >= 0) {
    fcntl(own, F_SETOWN, getpid());
    fcntl(own, F_SETSIG, SIGKILL);
    fcntl(own, F_SETFL, O_NONBLOCK | O_ASYNC);
  }
  pollfd gone{end, 0, 0};  // before it could tell; asked of the old file, as a new one does not know that there ever was a writer
  if (poll(&gone, 1, 0) > 0 && (gone.revents & POLLHUP)) kill(getpid(), SIGKILL);
  close(end);
}

}  // namespace cadre
