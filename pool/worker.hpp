#pragma once
/* The worker's loop: take over what the slot's last process left, then claim, run, mark done; wait for the next job. */
#include <cstdint>

#include <cadre/pool/board.hpp>
#include <cadre/pool/task.hpp>

namespace cadre {

/** One process's (or, in tests, one thread's) life in a slot. */
class Worker {
 public:
  Worker(Board* board, const Task& task, int slot);

  /** Registers, finishes the predecessor's chunk, then works until the board says shutdown. */
  void live();

 private:
  void wait_at_gate();
  void finish_predecessors_chunk();
  void work(std::uint32_t epoch);
  bool claim_lowest(std::uint64_t& chunk);
  bool claim_own_then_steal(std::uint64_t& chunk);
  bool try_claim(std::uint64_t chunk);
  void run(std::uint64_t chunk, const Death* predecessor);
  Death death_of_predecessor(std::uint64_t hint) const;
  void tell_done(std::uint32_t count);
  void leave();
  void wait_for_job(std::uint32_t seen);
  void enter(Phase phase) { line_.phase.store(static_cast<std::uint32_t>(phase), std::memory_order_relaxed); }

  Board& board_;
  std::atomic<std::uint64_t>* const words_;
  const Task& task_;
  const int slot_;
  SlotLine& line_;

  // The job at hand. Positions only save looking twice; a successor starts them afresh.
  std::uint32_t epoch_ = 0;
  std::uint64_t chunks_ = 0;
  std::uint64_t own_ = 0, own_end_ = 0;     // own range, front to back
  std::uint32_t victim_ = 0;                // whose range is being robbed, back to front
  std::uint64_t robbed_ = 0, robbed_begin_ = 0;
  std::uint64_t lowest_ = 0;
  std::uint32_t finished_here_ = 0;         // done, not told yet
};

}  // namespace cadre
