#pragma once
/* What the tests of elementwise kernels share: test data of every type, and runs that must agree bit for bit wherever the data lie. */
#include "serial_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <map>

namespace cadre::test {

template <class F>
void for_each_type(F f) {
  f(double{}), f(float{}), f(std::int8_t{}), f(std::int16_t{}), f(std::int32_t{}), f(std::int64_t{});
  f(std::uint8_t{}), f(std::uint16_t{}), f(std::uint32_t{}), f(std::uint64_t{});
}

/** n reproducible values: floating point of very different size and both signs, integers over their whole range. */
template <class T>
std::vector<T> numbers(std::size_t n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<T> out(n);
  for (T& v : out) {
    if constexpr (std::is_integral_v<T>)
      v = static_cast<T>(random());
    else
      v = static_cast<T>(std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random), static_cast<int>(random() % 40) - 20));
  }
  return out;
}

/** n values, evenly from lo to hi. */
template <class T>
std::vector<T> range(std::size_t n, double lo, double hi) {
  std::vector<T> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<T>(lo + (hi - lo) * static_cast<double>(i) / static_cast<double>(n > 1 ? n - 1 : 1));
  return out;
}

/** Equal bit for bit, any NaN for any NaN. */
template <class T>
void expect_same(const std::vector<T>& got, const std::vector<T>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(T)) == 0) continue;
    if constexpr (std::is_floating_point_v<T>)
      if (std::isnan(got[i]) && std::isnan(want[i])) continue;
    FAIL() << "element " << i << " is " << +got[i] << ", not " << +want[i];
  }
}

using Params = std::map<std::string, double>;

/** Runs a kernel with one output for several cuts and alignments, which must not change a bit of it, and returns `out`. */
Tensor run_anywhere(const char* name, Level level, const Params& params, const std::vector<Tensor>& inputs);

template <class Out, class... In>
std::vector<Out> map_anywhere(const char* name, Level level, const Params& params, const std::vector<In>&... inputs) {
  std::vector<Tensor> tensors;
  (tensors.emplace_back(inputs, std::vector<std::int64_t>{}, 0), ...);
  return run_anywhere(name, level, params, tensors).template values<Out>();
}

template <class Out, class X>
std::vector<Out> map_one(const char* name, Level level, const std::vector<X>& x, const Params& params = {}) {
  return map_anywhere<Out>(name, level, params, x);
}
template <class Out, class X, class Y>
std::vector<Out> map_two(const char* name, Level level, const std::vector<X>& x, const std::vector<Y>& y, const Params& params = {}) {
  return map_anywhere<Out>(name, level, params, x, y);
}

}  // namespace cadre::test
