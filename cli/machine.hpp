#pragma once
/* What this machine gives, looked up for `cadre doctor`. */
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <cadre/shm/memory.hpp>

namespace cadre::cli {

struct Problem {
  std::string what, remedy;
};

struct Limit {
  const char* name;                    // JSON key
  const char* words;                   // for people
  std::optional<std::uint64_t> value;  // none: unlimited
  bool in_bytes;
};

struct Machine {
  int online = 0, affinity = 0, usable = 0;
  double quota = 0;                                   // CPUs; 0: none
  int packages = 0, cores = 0, threads = 0, numa = 0; // 0: not known
  std::uint64_t l1 = 0, l2 = 0, l3 = 0;               // bytes of one cache
  std::string isa;
  std::uint64_t memory = 0;                           // of the machine, bytes
  MemoryLimit available;
  std::vector<Limit> limits;
  std::string thp, shmem_thp;                         // the settings chosen; "" where the kernel has none
  bool collapse = false;                              // a new array lies on 2 MiB pages here
  bool memfd = false;
  std::uint64_t dev_shm = 0;                          // bytes; never used by Cadre
  std::vector<Problem> problems;
};

/** Looks and tries; takes a few milliseconds and 4 MiB. */
Machine examine_machine();

}  // namespace cadre::cli
