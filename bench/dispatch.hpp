#pragma once
/* Pools whose task is a given amount of arithmetic: what giving out work costs, without kernels, arrays or results. */
#include <cstdint>

#include <cadre/pool/pool.hpp>

namespace cadre::bench {

/** Arithmetic that takes the same time wherever it runs (two tasks on one core take twice as long, which waiting by the clock would
    hide): a chain of dependent multiplications. */
inline std::uint64_t spend(std::uint64_t steps) {
  std::uint64_t z = steps;
  for (std::uint64_t i = 0; i < steps; ++i) z = z * 6364136223846793005u + 1442695040888963407u;
  return z;
}
/** Steps that one core makes in a microsecond, when nobody disturbs it. */
double steps_per_microsecond();

/** A pool of `workers` whose chunks each spend what run() is told. Made before any thread of oneTBB exists. */
class SpendingPool {
 public:
  explicit SpendingPool(int workers);
  /** Requires chunks > 0. Throws WrongAnswer unless all of them were done. */
  void run(std::uint64_t chunks, std::uint64_t steps);

 private:
  std::uint64_t* steps_;  // in the arena
  Pool pool_;
};

}  // namespace cadre::bench
