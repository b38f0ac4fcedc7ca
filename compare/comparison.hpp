#pragma once
/* Serial, threads and processes on the same kernel, plan and data: measured in turns, with what the kernel tells of each run.

   A point is a number of workers and a size of the arrays. At each point blocks follow each other; a block starts a fresh process for every backend and

     start-up    makes the engine and takes the first result of an empty job from it
     cold        runs the job once over the files, just mapped
     load        brings the inputs into shared memory, runs once uncounted, with the digest
     warm        rounds, A B C, B C A, C A B ...: what the medians and ratios are made of
     evidence    one run with a trace, memory, the digest once more

   so that what differs from start to start (where memory lies) is seen as often as there are blocks. Blocks go on until every ratio is known to 2 %, or the time
   is up. Nothing is measured while another contestant's run lasts. */
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <cadre/compare/backend_list.hpp>
#include <cadre/compare/contestant.hpp>
#include <cadre/compare/machine_limits.hpp>
#include <cadre/compare/statistics.hpp>

namespace cadre::compare {

struct ComparisonPlan {
  Job job;
  Options options;                       // what all backends share; backend, workers, start and pin come from below
  std::vector<BackendSpec> backends;
  std::vector<int> workers;              // empty: as many as usable CPUs
  std::vector<std::uint64_t> sizes;      // rows; empty: the files as they are
  double max_time = 60;                  // seconds for all points together
  double wanted_width = 0.02;            // of the interval of each ratio
  std::optional<MachineLimits> limits = {};  // where they are known already
  /** Called now and then with a line on what is being done; may be empty. */
  std::function<void(const std::string&)> progress;
};

/** What the traces of a contestant's runs come to, per run and worker, in seconds; medians over the traced runs. */
struct TraceFigures {
  double wake = 0;          // from the job's being given out until a worker begins its first chunk, of the last worker that takes part
  double kernel = 0;        // in the kernel
  double combine = 0;       // applying its part to the combined result, without waiting
  double lock_wait = 0;     // waiting for locks of segments
  double idle = 0;          // neither of these, between the first chunk of the run and its end
  double tail = 0;          // of that, after a worker's last chunk
  std::uint64_t steals = 0; // chunks that another slot than the plan's first choice has run; processes only, 0 elsewhere
  double participants = 0;  // workers that ran a chunk
};

struct ContestantResult {
  BackendSpec spec;
  int workers = 0;
  std::string isa;
  std::vector<std::vector<Run>> blocks;  // warm runs, by block
  std::vector<Run> cold, first;          // one of each per block
  std::vector<StartUp> start_ups;
  std::vector<WorkerMemory> memory;      // of the last block
  std::vector<PassTrace> trace;          // of the last block
  std::vector<TraceFigures> traced;      // one per block
  std::map<std::string, int> digests;    // digest -> how often
  std::string error;                     // it failed: no more runs after that
  std::array<std::string, kCounters> missing;

  /* Made from these by summarise(). */
  Interval seconds;                      // of a warm run
  Interval cold_seconds;                 // wall
  Interval start_up;
  Interval to_serial, to_other;          // speed: time of the other / own time; zeros where there is no other
  int serial = -1, other = -1;           // which contestants these are
  double median = 0, bytes_per_second = 0, elements_per_second = 0, operations_per_second = 0;
  Usage warm_usage, cold_usage;          // of a median run, all workers together
  TraceFigures figures;

  bool ran() const { return error.empty() && !blocks.empty() && !blocks.front().empty(); }
  std::vector<std::vector<double>> times() const;
};

struct Point {
  int workers = 0;
  std::uint64_t rows = 0;                // --sizes; 0: as the files are
  std::uint64_t elements = 0, chunks = 0;
  double bytes = 0;                      // read and written by a run
  double output_bytes = 0;               // of them, written
  double operations = 0;                 // float64, of kernels that say how many they need
  bool copied = true;                    // warm runs read shared memory; false: the mapped files, for want of memory
  std::vector<ContestantResult> contestants;
  bool narrow = false;                   // every interval came out narrower than wanted
  double seconds = 0;                    // that it took
};

struct Noise {
  double other_load = 0;                 // CPUs kept busy by others while this was measured, on the average
  double stolen = 0;                     // CPUs that a hypervisor gave to others
  double drift = 0;                      // relative change of all times from the first third to the last
};

struct Comparison {
  std::string job;
  MachineLimits machine;
  std::vector<Point> points;
  Noise noise;
  std::vector<std::string> warnings;
  std::string error;                     // digests that differ, or a backend that failed: exit 1
  std::string verdict;                   // the paragraph
};

/** Bytes/s that memory streams at most on so many cores to a job that reads and writes as this one: triad where much is written, else reading. */
double stream_roof(const Comparison& all, const Point& point, int workers);

/** What share of that, and of the fused multiply-adds that the same cores can do, a contestant reached; 0 where its bytes or operations are not known. */
double share_of_stream(const Comparison& all, const Point& point, const ContestantResult& c);
double share_of_arithmetic(const Comparison& all, const ContestantResult& c);

/** Whether its arrays are more than the last cache holds: else memory is no limit. */
bool leaves_caches(const Comparison& all, const Point& point);

/** A run below this tells of dispatch rather than of the kernel. */
constexpr double kTooShort = 100e-6;
/** Whether the ratio of a contestant to another is one of kernels: both run long enough. */
bool is_told(const Point& point, const ContestantResult& c, int against);

/** How many blocks it took. */
std::size_t blocks_of(const Point& point);
constexpr std::size_t kMostBlocks = 40;  // then a point is left, whatever its intervals

/** Measures. Throws Error (usage) for bad input, before anything is started. The program must call cadre::init and serve_contestant for its copies. */
Comparison compare_backends(const ComparisonPlan& plan);

/** What follows from the runs: for compare_backends, and for whoever has read them again. */
void summarise(Comparison& comparison);

TraceFigures figures_of(const std::vector<PassTrace>& passes, int workers, Backend backend);

}  // namespace cadre::compare
