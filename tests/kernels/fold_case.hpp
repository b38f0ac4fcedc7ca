#pragma once
/* What the tests of folds and scatters share: samples that are kind to sums, runs over several cuts, alignments and levels. */
#include "map_case.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace cadre::test {

constexpr double kUnit = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline const std::size_t kSizes[] = {0, 1, 7, 1000, 100003};

/** n values: floating point normal around 3 with deviation 2, integers over their whole range. */
template <class T>
std::vector<T> sample(std::size_t n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(3, 2);
  std::vector<T> out(n);
  for (T& v : out) {
    if constexpr (std::is_integral_v<T>)
      v = static_cast<T>(random());
    else
      v = static_cast<T>(normal(random));
  }
  return out;
}

/** n integers from 0 to most. */
template <class T>
std::vector<T> keys(std::size_t n, std::uint64_t most, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::uint64_t> draw(0, most);
  std::vector<T> out(n);
  for (T& v : out) v = static_cast<T>(draw(random));
  return out;
}

/** Calls check(level, cut, offset) for every level of this machine with several cuts and alignments; scatters both ways, and with a list that
    runs full. */
inline void everywhere(const std::function<void(Level, const Cut&, std::size_t)>& check) {
  for (Level level : levels()) {
    check(level, {}, 0);
    check(level, {.seed = 2, .chunks = 7, .dense = false}, 1);
    check(level, {.seed = 3, .chunks = 3, .dense = false, .capacity = 4100, .flushes = 2}, 3);
    check(level, {.seed = 4, .chunks = 40}, 5);
  }
}

}  // namespace cadre::test
