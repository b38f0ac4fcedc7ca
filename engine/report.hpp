#pragma once
/* What came of a job: everything that `cadre run --json` prints. */
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <cadre/engine/options.hpp>

namespace cadre {

/** A small result: int64, uint64 or float64, of 0 to 2 dimensions (shape empty: a single number), C order. */
struct SmallResult {
  std::string name;
  std::vector<std::int64_t> shape;
  std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>> values;
};

struct Poison {
  std::uint64_t index = 0;
  std::string value;                // as JSON; "" none
  std::string signal, what;         // "" none
  int exit = -1;                    // -1: none
  int attempts = 0;
  std::uint64_t peak_rss = 0;       // bytes
  std::vector<std::string> stack;
};

struct Faults {
  std::uint64_t crashes = 0;        // deaths that held a chunk
  std::uint64_t timeouts = 0;
  std::uint64_t retries = 0;        // reruns of whole chunks
  std::uint64_t resumed_chunks = 0;
  std::vector<Poison> poison;
};

struct StepReport {
  std::string kernel;
  std::uint64_t elements = 0, chunks = 0;
  double seconds = 0;
  std::vector<SmallResult> result;
};

/** A chunk of one run: who ran it and when. Times in seconds since the pass was given to the workers. */
struct ChunkTrace {
  std::uint32_t chunk = 0, slot = 0;
  double begin = 0, computed = 0, end = 0;  // claimed; the kernel has returned; its part is combined
  double waited = 0;                        // of that, for locks of segments
};
struct PassTrace {
  std::string kernel;
  double seconds = 0;                       // until the last chunk was known to be done
  std::vector<ChunkTrace> chunks;           // by number
  std::vector<double> segment_waits;        // seconds waited for the lock of each segment of a combined result
};

struct Report {
  std::string job;
  Backend backend{};
  StartMethod start{};
  int workers = 0;
  Isa isa{};                        // never automatic
  std::uint64_t elements = 0;       // of the last step
  std::uint64_t chunks = 0;
  double seconds = 0;               // the work of all steps, without reading headers, digest and renaming
  double bytes_per_second = 0;      // bytes of inputs and outputs of all steps over seconds
  double operations = 0;            // float64 operations of all passes that were run here, of kernels that say how many they need
  std::vector<StepReport> steps;    // result: the last step's
  std::vector<std::pair<std::string, std::string>> outputs;  // output's name -> file, all steps' files
  std::string digest;               // 32 hex digits; "" when not asked for
  Faults faults;
  std::vector<PassTrace> trace;     // with Job::trace, of every pass
  std::string error;                // "" when the job was done
  int exit_code = 0;                // 0 done, 1 failed, 3 done but elements were skipped, 128+N signal N
};

/** The JSON object of cli.md, in one line, without a newline. NaN and infinities become null, as JSON has none. */
std::string to_json(const Report&);

}  // namespace cadre
