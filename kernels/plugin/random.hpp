#pragma once
#include <cadre/kernels/math.hpp>
#include <cadre/kernels/plugin/support.h>

namespace cadre {

/** A random stream per element: the same numbers for any schedule, chunk size and backend. Philox4x32-10, counted by element. */
class Random {
 public:
  Random(uint64_t seed, uint64_t element) : seed_(seed), element_(element) {}
  uint32_t bits() {
    if (left_ == 0) cadre_random_block(seed_, element_, block_++, words_), left_ = 4;
    return words_[--left_];
  }
  /** Uniform in [0, 1), 53 bits. */
  double uniform() {
    const uint64_t high = bits() >> 5, low = bits() >> 6;
    return static_cast<double>(high << 26 | low) * 0x1p-53;
  }
  /** Standard normal (Box and Muller). */
  double normal() {
    const double radius = cadre::sqrt(-2.0 * cadre::log(1.0 - uniform()));
    return radius * cadre::cos(6.283185307179586 * uniform());
  }

 private:
  uint64_t seed_, element_, block_ = 0;
  uint32_t words_[4], left_ = 0;
};

}  // namespace cadre
