#pragma once
/* Runs a worker one instruction at a time and writes down every state of the shared memory that it passes through: each is one that a SIGKILL
   can leave behind. */
#include <functional>
#include <vector>

#include "stage.hpp"

namespace cadre::crash {

/** A state of the shared memory, as what changed since the state before. */
struct State {
  std::vector<Change> changes;
  std::uint64_t instructions = 0;   // in which the memory was like this: a kill after any of them finds this state
  std::uint64_t after = 0;          // number of the instruction that made it
  std::uint64_t address = 0;        // of the one that would have been the next
  int step = 0;                     // of the protocol
  bool words_moved = false;         // a record, hint, chunk word, lock or turn changed
};

struct Path {
  Image start;
  std::vector<State> states;        // [0] is `start` itself
  std::uint64_t instructions = 0;
  std::array<std::uint64_t, 7> in_step{};   // instructions by step of the protocol
};

/** Steps a process in `slot` from `start` on, until it has nothing left to do, waits for somebody else, or `enough` says so. Jobs are posted as they are
    done, if `posting`. The stage's memory is left as the process left it. */
Path step_through(Stage& stage, std::uint32_t slot, const Image& start, bool posting, const std::function<bool()>& enough = {});

/** "file+0x123" of an address of this program. */
std::string place_of(std::uint64_t address);

}  // namespace cadre::crash
