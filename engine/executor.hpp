#pragma once
/* Runs passes: describes each as a Work, gives it the memory that it combines in, has the backend's hands run its chunks, and finishes it.
   One executor per engine, made before its workers. */
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cadre/engine/backend.hpp>
#include <cadre/engine/ledger.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/shm/array.hpp>

namespace cadre {

struct PassInput {
  AnyArray array;
  bool whole = false;
};

struct PassOutput {
  std::uint32_t kind = CADRE_OUT_MAP;
  std::uint32_t op = CADRE_ADD, counts = 0;
  double fill = 0;         // MAP: of a skipped element
  AnyArray array;          // MAP, FINISH: where to write, no storage: not wanted. COLUMN: where the result is to be copied, if anywhere;
                           // set by the run to where it is
};

struct Pass {
  std::string kernel;      // for messages
  Code code;
  cadre_plan plan{};
  std::vector<PassInput> inputs;
  std::vector<PassOutput> outputs;
  std::vector<std::string> result_names;
  std::uint64_t chunk = 0; // elements per chunk; 0: the plan's
  bool always_finish = false;  // run finish even without accumulator or results

  /* What came of it. */
  std::uint64_t chunks = 0;
  std::uint64_t resumed = 0;           // of them, those that an earlier program had done
  std::shared_ptr<Storage> previous;   // the finished accumulator
  bool again = false;                  // the kernel asks for the pass to be run once more
  std::vector<SmallResult> results;
};

/** Thrown when a stop was asked for: the job ends with 128 + signal. */
struct Interrupted {
  int signal;
};

/** What comes of kernels that fail. */
struct FaultLimits {
  int retries = 2;
  bool skip = false;
  std::uint64_t max_skipped = 100;
  bool strict = false;
  double verify_fraction = 0;
  bool private_copies = false;  // threads
};

class Executor {
 public:
  /** With a journal its memory is kept in a ledger; `resumed`: an earlier program's is taken up, of the checkpoint of that number. */
  Executor(Backend backend, const HandsPlan& plan, const FaultLimits& limits, bool journal = false, std::optional<std::uint64_t> resumed = {});
  ~Executor();

  /** Runs one pass to its end. Throws Error (failed) when it can not be, Interrupted when a stop was asked for. */
  void run(Pass& pass, const std::function<void(std::uint64_t done, std::uint64_t chunks)>& progress = {});
  /** Passes are traced from now on, each to the end of that list; null: not any more. */
  void trace_to(std::vector<PassTrace>* list) { traces_ = list; }
  /** The hashes of the arrays' 1 MiB blocks, 16 bytes each, computed in parallel. */
  std::vector<std::byte> hash_blocks(const std::vector<AnyArray>& arrays);

  /** Forgets the poison of the job before. */
  void begin_job();
  /** The job was begun by an earlier program, which has found these. */
  void carry_on(std::vector<Poison> found) { found_ = std::move(found); }
  /** Elements of the job that fail, by pass and index. */
  const std::vector<Poison>& poison() const { return found_; }
  /** Chunks run again from their start, since the engine was made. */
  std::uint64_t retries() const;

  Pool* pool() { return hands_->pool(); }
  /** Something may have run. With a journal alone. */
  bool has_posted() const { return posted_; }
  /** What a journal knows of the pass. */
  Ledger& ledger() { return ledger_; }
  /** Where the captures of a pass's code are while it runs. */
  const void* capture_address() const;

 private:
  struct Shared;
  void describe(Pass& pass);
  void describe_scatter(Pass& pass, std::uint64_t row_bytes);
  void describe_memory(Pass& pass);
  void add_mapping(const AnyArray& array, bool writable);
  void give_partials(std::uint64_t bytes);
  void post(PassStage stage, std::uint64_t chunks, Pass& pass, const std::function<void(std::uint64_t, std::uint64_t)>& progress);
  void finish(Pass& pass);
  void clear_columns(Pass& pass);
  void copy_columns(Pass& pass);
  void post_bulk(PassStage stage, Pass& pass);
  void give_private_copies(const Pass& pass, std::uint64_t row_bytes);
  void merge_private_copies(Pass& pass);
  void prepare_trace();
  void collect_trace(const Pass& pass, std::uint64_t posted, std::uint64_t ended);
  void collect_poison(std::uint32_t epoch, const Pass& pass);
  void forget_failures(std::uint32_t epoch);
  [[noreturn]] void explain(const PoolResult& result, std::uint32_t epoch, const Pass& pass);
  std::byte* kept(std::shared_ptr<Storage>& storage, Role role, std::uint64_t bytes, std::uint32_t index = 0);
  std::byte* kept_sparse(std::shared_ptr<Storage>& storage, Role role, std::uint64_t bytes, std::uint64_t secured);
  std::size_t slots() const { return static_cast<std::size_t>(slots_); }

  HandsPlan plan_;
  const FaultLimits limits_;
  Shared* shared_ = nullptr;             // in protocol memory, as the next two
  SlotTrouble* troubles_ = nullptr;
  PoisonList* poison_ = nullptr;
  std::uint32_t most_poison_ = 0;
  std::vector<Poison> found_;
  bool posted_ = false;
  Ledger ledger_;
  Work draft_;                           // of the current pass; published when it is posted
  std::unique_ptr<Hands> hands_;
  const bool in_caller_;                 // serial and threads: chunks run in this process
  int slots_ = 0;                        // workers, and what a journal has beyond them

  // Memory that stays from pass to pass, grown as needed.
  std::shared_ptr<Storage> accumulators_, segments_, images_, finish_area_, partial_list_, hashes_, trace_area_, private_columns_;
  std::vector<WorkColumn> private_shape_;  // of private_columns_, with rows in the place of addresses; empty: they are not as new
  std::vector<PassTrace>* traces_ = nullptr;
  std::vector<std::shared_ptr<Storage>> partials_;
  std::vector<AnyArray> mapped_;         // of the current pass, for messages
  std::vector<AnyArray> columns_;        // of the current pass, in the order of Work::columns
};

/** "element 41 (value -1.0): SIGSEGV in invert_cdf (invert.cpp:41), 3 times out of 3". */
std::string sentence_of(const Poison&);

/** Whether a stop was asked for: the signal, or 0 (see request_stop). */
int stop_requested() noexcept;

}  // namespace cadre
