#pragma once
/* How an engine and its jobs are run. Every field has the flag of `cadre run` with its name. */
#include <cstdint>
#include <string>
#include <vector>

namespace cadre {

enum class Backend { serial, threads, processes };
enum class StartMethod { fork, forkserver, spawn };
/** x86-64 level of the built-in kernels' code; `automatic` is the highest that the CPU has. */
enum class Isa { automatic, v2, v3, v4 };

const char* name_of(Backend);
const char* name_of(StartMethod);
const char* name_of(Isa);

struct Options {
  Backend backend = Backend::processes;
  int workers = 0;                          // 0: the CPUs that this process may really use (affinity, cgroup quota)
  StartMethod start = StartMethod::fork;    // processes only
  Isa isa = Isa::automatic;
  bool pin = true;                          // processes only: one worker per CPU, pinned
  int retries = 2;                          // attempts per chunk after the first
  std::vector<std::string> plugins;         // .so files with further kernels
};

}  // namespace cadre
