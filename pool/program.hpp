#pragma once
/* Fresh copies of this program, for processes that are not forked: exec of /proc/self/exe, with the arena's file and a parcel as inherited descriptors.
   cadre::init, in the copy, maps the arena where the others have it, finds the function that the parcel names, and runs it in the place of main. */
#include <cstddef>
#include <initializer_list>

#include <sys/types.h>

#include <cadre/shm/parcel.hpp>

namespace cadre {

/** The first line of main, where forkserver or spawn are to be used: in a process that Cadre started it runs what that was started for, and
    does not return. */
void init(int argc, char** argv);

/** Whether init was called. */
bool is_initialised() noexcept;
/** Throws Error, which says what is missing, unless init was called. */
void require_init(const char* what);

/** What a copy of the program runs: the rest of the parcel is its own. It leaves by _exit. */
using Entry = void (*)(ParcelReader&);
/** The first of the descriptors that were passed, in the copy; the others follow. */
constexpr int kFirstPassed = 5;

/** Descriptors that may travel with one parcel. */
constexpr std::size_t kMostDescriptors = 200;

/** Starts a copy of the program that runs `entry`, with copies of `fds` and of the parcel's descriptors. Its pid; throws Error. It has the caller's signal mask and standard streams,
    and none of its other descriptors. Any thread. */
pid_t exec_program(Entry entry, const Parcel& parcel, std::initializer_list<int> fds);

/** `bytes` as an anonymous file, to be passed on and read with read_parcel, which closes it. Throw Error. */
int parcel_file(const Parcel& parcel);
std::vector<std::byte> read_parcel(int fd);

}  // namespace cadre
