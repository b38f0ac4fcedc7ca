#pragma once
/* The data of the problems: the same for every contestant and every run, made from the element's number alone, and chosen so that
   the right answer is exact and known. Where a value is a multiple of 2^-20 below 1, sums of up to 2^33 of them and products
   of two are exact in float64, in any order and with or without fused operations: a sum is right to the bit or wrong. */
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include <cadre/bench/harness.hpp>
#include <cadre/bench/team.hpp>

namespace cadre::bench {

/** SplitMix64's finaliser of the element's number: a random function of (i, stream). */
inline std::uint64_t random_bits(std::uint64_t i, std::uint64_t stream) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u + stream * 0xd1342543de82ef95u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
/** In [0, 1), a multiple of 2^-20. */
inline double coarse_uniform(std::uint64_t i, std::uint64_t stream) { return static_cast<double>(random_bits(i, stream) >> 44) * 0x1p-20; }
/** In [0, 1), a multiple of 2^-53. */
inline double uniform(std::uint64_t i, std::uint64_t stream) { return static_cast<double>(random_bits(i, stream) >> 11) * 0x1p-53; }

/** data[i] = f(i), by all threads. */
template <class T, class F>
void fill(T* data, std::size_t n, const F& f) {
  each_part(n, 1 << 18, [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) data[i] = static_cast<T>(f(i));
  });
}

/** Throws WrongAnswer with the first of the elements i < n for which right(i) is false. */
template <class F>
void expect_all(std::size_t n, const std::string& what, const F& right) {
  std::atomic<std::size_t> wrong{n};
  each_part(n, 1 << 16, [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i)
      if (!right(i)) {
        std::size_t lowest = wrong;
        while (i < lowest && !wrong.compare_exchange_weak(lowest, i)) {}
        return;
      }
  });
  if (wrong < n) throw WrongAnswer(what + " is wrong at element " + std::to_string(wrong));
}

inline void expect_close(double got, double right, double tolerance, const std::string& what) {
  if (std::abs(got - right) <= tolerance) return;
  char text[80];
  std::snprintf(text, sizeof text, " is %.17g, not %.17g", got, right);
  throw WrongAnswer(what + text);
}

}  // namespace cadre::bench
