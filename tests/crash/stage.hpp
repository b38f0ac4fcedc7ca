#pragma once
/* The stage of a crash test: a board, two slots and a few tiny jobs in a small shared memory, and the caller's part: to post one job after the
   other. What runs on it is the product's own worker and chunk runner. */
#include <functional>
#include <string>
#include <vector>

#include <cadre/engine/chunk_runner.hpp>
#include <cadre/engine/partial.hpp>
#include <cadre/engine/poison.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/pool/board.hpp>
#include <cadre/pool/task.hpp>

#include "shared_memory.hpp"

namespace cadre::crash {

constexpr std::uint32_t kSlots = 2, kMostChunks = 64, kMostSegments = 16;

/** A piece of the result, and what must be in it at the end. */
struct Expectation {
  std::string what;
  const std::byte* at;
  std::vector<std::byte> bytes;
};

struct StagedJob {
  Work work;
  std::vector<Expectation> expected;
};

/** The protocol's words, for telling whether anything has moved. */
struct Words {
  std::uint64_t epoch;
  std::uint64_t record[kSlots], hint[kSlots], chunk[kMostChunks];
  std::uint32_t lock[kMostSegments], turn[kMostSegments];
  friend bool operator==(const Words&, const Words&) = default;
};

class Stage {
 public:
  Stage();

  SharedMemory& memory() { return memory_; }
  Board& board() const { return *board_; }
  SlotLine& line(std::uint32_t slot) const { return board_->lines[slot]; }
  const Work& work() const { return *work_; }
  Segment* segments() const { return segments_; }

  /** A Work with nothing to do but what all have in common. */
  Work blank();
  void add(StagedJob job) { jobs_.push_back(std::move(job)); }
  const std::vector<StagedJob>& jobs() const { return jobs_; }

  /** The caller's part. The current job is number epoch - 1. */
  void post_next();
  std::size_t current() const { return board_->epoch.load() - 1; }
  bool job_done() const;
  /** What the supervisor does before it puts a process into a slot. */
  void refill(std::uint32_t slot) const { line(slot).phase.store(static_cast<std::uint32_t>(Phase::starting)); }
  bool is_last() const { return current() + 1 == jobs_.size(); }
  bool all_done() const { return is_last() && job_done(); }

  Words words() const;
  /** Somebody sleeps until a segment is unlocked, or died so. */
  bool waited_for() const;
  /** "" or what is wrong with results, locks and turns when all is done. */
  std::string faults() const;
  /** The step of the protocol that a slot is in, 1 to 6, as its words tell. */
  int step_of(std::uint32_t slot) const;

 private:
  SharedMemory memory_{std::size_t{64} << 20};
  Board* board_;
  Work* work_;
  Segment* segments_;
  Complaint* complaints_;
  SlotTrouble* troubles_;
  PoisonList* poison_;
  std::uint64_t* partials_;
  std::byte* images_;
  std::vector<StagedJob> jobs_;
};

/** The life of a worker process in a slot of the stage: takes over, works until shutdown. */
void live(Stage& stage, std::uint32_t slot);

}  // namespace cadre::crash
