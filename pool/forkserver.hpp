#pragma once
/* The server of the forkserver start method: a single-threaded, fresh copy of the program that forks processes on request. Its children are its own, so it
   reaps them and passes on how they ended. Made at the first request, made again when it was killed; each process of the program that asks has one of its own. It
   ends with that process, as its children do. */
#include <sys/types.h>

#include <cadre/shm/parcel.hpp>

namespace cadre {

struct ServedProcess {
  pid_t pid = -1;
  int pidfd = -1;
  int status_fd = -1;  // an int as of waitpid can be read when it has ended; end of file before that: the server is gone
};

/** A process, forked by this process's server, that reads the parcel in `entry` and leaves by _exit. Throws Error. Any thread. */
ServedProcess ask_forkserver(void (*entry)(ParcelReader&), const Parcel& parcel);
/** The server's pid, 0 when there is none: for tests. */
pid_t forkserver_pid() noexcept;
/** Ends the server and waits for its end; its processes are not asked. The next request makes another one. */
void end_forkserver() noexcept;

}  // namespace cadre
