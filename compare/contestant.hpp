#pragma once
/* One backend at work on the job, in a process of its own: a fresh copy of the program that makes an engine and then runs the job as often as it is told to. A crash
   there is a result. What is said goes over a pair of sockets, one line of JSON each way:

     caller -> contestant    the plan; then "cold", "load", "warm", "traced", "memory"; the end of the stream ends it
     contestant -> caller    what came of it, or {"error": ...} */
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/types.h>

#include <cadre/compare/backend_list.hpp>
#include <cadre/compare/evidence.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/report.hpp>

namespace cadre::compare {

/** The flag that a copy of the program is started with; behind it the descriptor to talk over. */
constexpr const char* kContestantFlag = "--contestant";

/** In a program that compares: what a copy of it does that was started with kContestantFlag. Its exit code. */
int serve_contestant(int fd);

struct ContestantPlan {
  BackendSpec spec;
  Options options;         // backend, workers, start and pin already those of spec
  Job job;
  bool copy_inputs = true; // load: into shared memory, on huge pages where there are any; false: the files stay mapped
  bool silent = false;     // what it prints is dropped
};

enum class RunKind { cold, first, warm };
const char* name_of(RunKind);

/** Between two runs: workers of the one before go to sleep. */
constexpr std::chrono::milliseconds kSettle{2};

/** One run of the job. */
struct Run {
  RunKind kind = RunKind::warm;
  double seconds = 0;      // the work
  double wall = 0;         // with opening the files, planning, and the digest where there is one
  std::string digest;      // "": none was computed
  std::string error;       // of a job that failed
  int exit_code = 0;
  std::uint64_t elements = 0, chunks = 0;
  double bytes = 0;        // of all inputs and outputs
  double operations = 0;   // float64, of kernels that say how many they need
  std::uint64_t crashes = 0, retries = 0;
  std::vector<WorkerUsage> workers;
};

struct StartUp {
  double seconds = 0;        // from nothing to the first result of an empty job: processes or threads made, and all that they need at first
  double engine_seconds = 0; // of that, the engine's constructor
  int workers = 0;
  std::string isa;
  std::array<std::string, kCounters> missing;  // why a counter can not be had
};

struct WorkerMemory {
  std::string who;           // "worker 1", "caller"
  MemoryUse use;
};

/** The contestant can do nothing more: it died, or its engine refused. */
struct ContestantEnded : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Contestant {
 public:
  /** Starts a copy of this program. Throws Error when there is no process to be had. */
  explicit Contestant(const ContestantPlan& plan);
  ~Contestant();
  Contestant(const Contestant&) = delete;
  Contestant& operator=(const Contestant&) = delete;

  /** How many seconds each answer may take from now on; a contestant that takes longer is killed. */
  void allow(double seconds) { patience_ = seconds; }

  /* All throw ContestantEnded. */
  StartUp start();
  /** Cold: the files are mapped for this run, and given back after it. `digest`: compute it, in this run or after it. */
  Run run(RunKind kind, bool digest);
  /** Brings the inputs to where they stay: warm runs need it. */
  void load();
  /** A warm run with a trace. */
  std::vector<PassTrace> trace();
  std::vector<WorkerMemory> memory();
  pid_t pid() const { return pid_; }

 private:
  std::string ask(const std::string& what);
  [[noreturn]] void tell_end();
  const ContestantPlan plan_;
  pid_t pid_ = -1;
  int fd_ = -1;
  double patience_ = std::numeric_limits<double>::infinity();
  std::string unread_;
};

}  // namespace cadre::compare
