#pragma once
/* What the process of a slot is told of its predecessor's end. */
#include <cstdint>

namespace cadre {

struct Death {
  /** It was the kernel's doing: a synchronous signal, an exit, a deadline or an OOM kill while the kernel ran. Or a kill that may have come from outside, after so many of
      the same chunk that it is the kernel's. False: a kill from outside, which says nothing about the chunk, or a death in our own code. */
  bool of_kernel = false;
  int signal = 0;               // 0: it left by itself
  int exit = -1;                // -1: it did not
  bool timed_out = false;
  bool out_of_memory = false;
  std::uint64_t peak_rss = 0;   // bytes
};

}  // namespace cadre
