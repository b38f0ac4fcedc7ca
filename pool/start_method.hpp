#pragma once
/* How a process comes to be, in Python's words:

     fork        a copy of the caller as it is now: everything that it has is there, its other threads are not
     forkserver  forked by a single-threaded server, which is a fresh copy of the program: quick, and clean of the caller's threads and memory
     spawn       a fresh copy of the program each time

   The last two need cadre::init(argc, argv) as the first line of main. */
#include <string_view>

namespace cadre {

enum class StartMethod { fork, forkserver, spawn };

const char* name_of(StartMethod);
/** Throws Error with the names that there are. */
StartMethod start_method_named(std::string_view name);

}  // namespace cadre
