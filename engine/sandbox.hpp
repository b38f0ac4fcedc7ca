#pragma once
/* The sandbox of `--sandbox`: what a process with plug-ins in it may not do. A filter of the system calls (seccomp), for good and for all that comes after. */

namespace cadre {

/** From now on this process has no network, starts no programs, makes, opens for writing, renames and removes no files, and touches no other process. A
    system call of that kind calls `violated(context, NAME)` in a signal handler, which must not return; files may be read, memory and threads be had.
    Throws Error when the system has no seccomp. For single-threaded processes. */
void enter_sandbox(void (*violated)(void* context, const char* system_call), void* context);

}  // namespace cadre
