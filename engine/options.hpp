#pragma once
/* How an engine and its jobs are run. Every field has the flag of `cadre run` with its name. */
#include <cstdint>
#include <string>
#include <vector>

#include <cadre/pool/start_method.hpp>

namespace cadre {

enum class Backend { serial, threads, processes };
/** An element that fails alone, every time: the job ends and names it, or goes on without it. */
enum class OnPoison { fail, skip };
/** x86-64 level of the built-in kernels' code; `automatic` is the highest that the CPU has. */
enum class Isa { automatic, v2, v3, v4 };

const char* name_of(Backend);
const char* name_of(OnPoison);
const char* name_of(Isa);

struct Options {
  Backend backend = Backend::processes;
  int workers = 0;                          // 0: the CPUs that this process may really use (affinity, cgroup quota)
  StartMethod start = StartMethod::fork;    // processes only
  Isa isa = Isa::automatic;
  bool pin = true;                          // processes only: one worker per CPU, pinned
  int retries = 2;                          // attempts per chunk after the first
  double timeout = 0;                       // processes only: seconds that a kernel may take for a chunk; 0: any time
  OnPoison on_poison = OnPoison::fail;      // what comes of an element that fails every time
  std::uint64_t max_skipped = 100;          // with OnPoison::skip: more fail the job
  bool strict = false;                      // map outputs go through the slot's own memory: a stray write can not reach another chunk
  std::uint64_t max_chunks_per_worker = 0;  // processes only: then the process is replaced; 0: any number
  std::uint64_t max_memory_per_worker = 0;  // processes only: bytes of its own memory, then the process is replaced; 0: any
  double verify_fraction = 0;               // share of the chunks that are run twice and compared
  std::vector<std::string> plugins;         // .so files with further kernels
  std::string journal;  // directory that keeps the one job of the engine resumable; "" none. Processes only, and the program's first engine
  bool resume = false;  // carry on with the job that the journal has, or begin it if there is none
  bool private_copies = false;              // threads only: each thread combines in copies of its own, which are put together at the end
  bool sandbox = false;                     // processes only: plug-ins without network, exec, new files
};

}  // namespace cadre
