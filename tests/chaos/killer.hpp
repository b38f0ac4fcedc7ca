#pragma once
/* A thread that does to a pool's processes what the world does to processes. */
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <cadre/pool/pool.hpp>

#include "tally.hpp"

namespace cadre::chaos {

/** The step of the protocol (docs/combine.md) that a slot is in: 0 it holds no chunk, 2 it computes, 3 its partial is complete (or being copied),
    4 it applies, 6 done but not cleared. */
int step_of(const Board& board, std::uint32_t slot);

/** 'R' running, 'S' sleeping, 'T' stopped ...; 0: gone. */
char state_of_process(pid_t pid);

class Killer {
 public:
  /** Kills workers of the pool until `tally.kills` has reached `enough`, or it is destroyed. */
  Killer(Pool& pool, Tally& tally, std::uint64_t enough, std::uint64_t seed);
  ~Killer();

 private:
  void run();
  void strike();
  void kill_worker(std::uint32_t slot, pid_t pid);
  bool chance(double probability) { return std::uniform_real_distribution<>()(random_) < probability; }
  void pause(double mean_us);

  Pool& pool_;
  Board& board_;
  Tally& tally_;
  const std::uint64_t enough_;
  std::mt19937_64 random_;
  std::vector<pid_t> killed_;        // by slot: the last one
  bool supervisors_whole_ = true;    // one of the two may be killed, not both
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace cadre::chaos
