/* Lambdas: the same bits on every backend, and what becomes of those that fail. */
#include <array>
#include <stdexcept>

#include <signal.h>

#include <gtest/gtest.h>

#include <cadre/engine/engine.hpp>
#include <cadre/shm/sanitizers.hpp>

#include "../support/child.hpp"
#include "arrays.hpp"
#include "backends.hpp"

#if CADRE_UNDER_ASAN
// A worker's SIGSEGV is the test's, not a finding.
extern "C" const char* __asan_default_options() { return "handle_segv=0"; }
#endif

namespace cadre {
namespace {

using namespace testing;

class Lambdas : public OnHands {
 protected:
  /** What `act` gives on the serial backend. */
  template <class Act>
  static std::string serially(Act act) {
    Engine serial({.backend = Backend::serial});
    return act(serial);
  }
  /** `act` gives the same bytes on this backend as on the serial one. */
  template <class Act>
  static void expect_same(Act act) {
    const std::string expected = serially(act);
    Engine engine(GetParam().options());
    EXPECT_TRUE(act(engine) == expected);
  }
};

TEST_P(Lambdas, MapWritesEveryElementOnce) {
  Engine engine(GetParam().options());
  for (const std::size_t n : {0u, 1u, 7u, 1000u, 300'007u}) {
    const auto x = filled<double>(engine, n, -5, 5);
    const auto y = engine.array<float>(n);
    engine.map(x, y, [a = 2.0](double v) { return static_cast<float>(a * v * v); });
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], static_cast<float>(2.0 * x[i] * x[i])) << i;
  }
}

TEST_P(Lambdas, MapTakesTwoArraysOfDifferentTypes) {
  Engine engine(GetParam().options());
  const auto a = filled<std::int32_t>(engine, 100'003, -1000, 1000);
  const auto b = filled<double>(engine, a.size(), -1, 1);
  const auto y = engine.array<double>(a.size());
  engine.map(a, b, y, [](std::int32_t i, double v) { return i + v; });
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(y[i], a[i] + b[i]) << i;
}

TEST_P(Lambdas, MapInPlaceAppliesToEveryElementExactlyOnce) {
  Engine engine(GetParam().options());
  const auto x = engine.array<std::int64_t>(100'003);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int64_t>(i);
  for (int round = 0; round < 3; ++round) engine.map(x, x, [](std::int64_t v) { return 3 * v + 1; });
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], 27 * static_cast<std::int64_t>(i) + 13) << i;
}

TEST_P(Lambdas, MapReachesSharedArraysThroughCapturedPointers) {
  Engine engine(GetParam().options());
  const auto table = filled<double>(engine, 256, 0, 1);
  const auto x = filled<std::uint8_t>(engine, 10'000, 0, 256);
  const auto y = engine.array<double>(x.size());
  engine.map(x, y, [t = static_cast<const double*>(table.data())](std::uint8_t v) { return t[v]; });
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], table[x[i]]);
}

TEST_P(Lambdas, MapOfArraysOfDifferentSizesIsRefused) {
  Engine engine(GetParam().options());
  const auto x = engine.array<double>(10), y = engine.array<double>(11);
  EXPECT_EQ(error_of([&] { engine.map(x, y, [](double v) { return v; }); }), "map: the arrays have 10 and 11 elements: they must be of one size");
}

TEST_P(Lambdas, MapIntoAShiftedViewOfItsInputIsRefused) {
  Engine engine(GetParam().options());
  const auto x = engine.array<double>(1001);
  const Array<double> head(x.storage(), x.data(), {1000}), tail(x.storage(), x.data() + 1, {1000});
  const auto copy = [](double v) { return v; };
  EXPECT_EQ(error_of([&] { engine.map(head, tail, copy); }), "map: the output lies across an input: give it an array of its own, or the same one");
  const Array<double> first(x.storage(), x.data(), {500}), second(x.storage(), x.data() + 501, {500});
  first[7] = 3;
  engine.map(first, second, copy);
  EXPECT_EQ(second[7], 3);
}

TEST_P(Lambdas, ReduceOfDoublesHasTheBitsOfTheSerialBackend) {
  expect_same([](Engine& engine) {
    std::string bits;
    for (const std::size_t n : {0u, 1u, 7u, 1000u, 300'007u}) {
      const auto x = filled<double>(engine, n, -5, 5);
      bits += bytes_of(engine.reduce(x, 0.1, [](double a, double b) { return a + b; }));
    }
    return bits;
  });
}

TEST_P(Lambdas, ReduceCountsItsInitialValueOnce) {
  Engine engine(GetParam().options());
  const auto sum = [](std::int64_t a, std::int64_t b) { return a + b; };
  for (const std::size_t n : {0u, 1u, 5u, 100'003u}) {
    const auto x = engine.array<std::int32_t>(n);
    for (auto& v : x) v = 2;
    EXPECT_EQ(engine.reduce(x, std::int64_t{1000}, sum), 1000 + 2 * static_cast<std::int64_t>(n));
  }
  const auto x = filled<std::int32_t>(engine, 100'003, -1'000'000, 1'000'000);
  EXPECT_EQ(engine.reduce(x, std::int32_t{-2'000'000}, [](std::int32_t a, std::int32_t b) { return std::max(a, b); }), *std::max_element(x.begin(), x.end()));
}

TEST_P(Lambdas, ScatterCountsExactlyWithFewBinsAndWithMany) {
  Engine engine(GetParam().options());
  const auto x = filled<std::uint32_t>(engine, 200'003, 0, 1'500'000);
  for (const std::size_t bins : {1u, 1000u, 1'500'000u}) {
    const auto counts = engine.scatter<std::uint64_t>(bins, x, [bins](std::uint32_t v, auto& add) { add(v % bins, 1); });
    std::vector<std::uint64_t> expected(bins);
    for (const auto v : x) ++expected[v % bins];
    ASSERT_EQ(counts.size(), bins);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), counts.begin())) << bins;
  }
}

TEST_P(Lambdas, ScatterOfNothingIsZeros) {
  Engine engine(GetParam().options());
  const auto sums = engine.scatter<double>(5, engine.array<double>(0), [](double v, auto& add) { add(0, v); });
  EXPECT_EQ(std::count(sums.begin(), sums.end(), 0.0), 5);
}

TEST_P(Lambdas, ScatterOfDoublesHasTheBitsOfTheSerialBackend) {
  expect_same([](Engine& engine) {
    const auto x = filled<double>(engine, 200'003, 0, 1);
    std::string bits;
    for (const std::size_t bins : {100u, 1'200'000u})
      bits += bytes_of(engine.scatter<double>(bins, x, [bins](double v, auto& add) { add(static_cast<std::size_t>(v * 0.999 * static_cast<double>(bins)), v - 0.3); }));
    return bits;
  });
}

// Each element adds so often that a chunk's list does not fit in the room of its partial: the chunk is spoken in parts, several for some.
TEST_P(Lambdas, ScatterSpokenInPartsHasTheBitsOfTheSerialBackend) {
  const auto scatter = [](Engine& engine) {
    const auto x = filled<double>(engine, 10'000, 0, 1);
    return bytes_of(engine.scatter<double>(1'200'000, x, [](double v, auto& add) {
      const auto times = static_cast<std::size_t>(v * 2000);
      for (std::size_t k = 0; k < times; ++k) add((static_cast<std::size_t>(v * 1e9) + k * k * 7) % 1'200'000, v / static_cast<double>(k + 1));
    }));
  };
  expect_same(scatter);
}

TEST_P(Lambdas, ScatterSpokenInPartsCountsExactly) {
  Engine engine(GetParam().options());
  const auto x = filled<std::uint32_t>(engine, 10'000, 0, 1500);
  const auto counts = engine.scatter<std::int64_t>(1'200'000, x, [](std::uint32_t v, auto& add) {
    for (std::uint32_t k = 0; k < v; ++k) add(k * 700, 2);
  });
  std::vector<std::int64_t> expected(counts.size());
  for (const auto v : x)
    for (std::uint32_t k = 0; k < v; ++k) expected[k * 700] += 2;
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), counts.begin()));
}

TEST_P(Lambdas, ScatterOutOfRangeNamesTheRowAndTheBin) {
  Engine engine(GetParam().options());
  auto x = engine.array<std::uint32_t>(100'003);
  x[70'001] = 5;
  const auto count = [](std::uint32_t v, auto& add) { add(v, 1); };
  for (const std::size_t bins : {5u, 2u})
    EXPECT_EQ(error_of([&] { engine.scatter<std::uint64_t>(bins, x, count); }), "scatter: row 70001: bin 5 is out of range: there are " + std::to_string(bins));
  EXPECT_EQ(engine.scatter<std::uint64_t>(6, x, count)[5], 1u);
}

TEST_P(Lambdas, AnElementThatAddsMoreThanThePartialHoldsIsAnError) {
  Engine engine(GetParam().options());
  const auto x = engine.array<std::uint32_t>(100);
  EXPECT_NE(error_of([&] {
              engine.scatter<double>(1'200'000, x, [](std::uint32_t, auto& add) {
                for (std::size_t k = 0; k < 1'000'000; ++k) add(k, 1.0);
              });
            }).find("one element adds more entries"),
            std::string::npos);
}

TEST_P(Lambdas, TheTextOfAnExceptionIsInTheErrorAndTheEngineGoesOn) {
  Engine engine(GetParam().options());
  const auto x = engine.array<std::int32_t>(100'003);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int32_t>(i);
  const auto y = engine.array<std::int32_t>(x.size());
  const std::string error = error_of([&] {
    engine.map(x, y, [](std::int32_t v) {
      if (v == 50'000) throw std::invalid_argument("fifty thousand is not wanted");
      return v;
    });
  });
  EXPECT_NE(error.find("exception: fifty thousand is not wanted"), std::string::npos) << error;
  EXPECT_NE(error.find("element 50000 (value 50000): "), std::string::npos) << error;
  EXPECT_NE(error_of([&] { engine.reduce(x, 0, [](std::int32_t, std::int32_t) -> std::int32_t { throw 3; }); }).find("not a std::exception"), std::string::npos);
  engine.map(x, y, [](std::int32_t v) { return -v; });
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], -x[i]);
}

INSTANTIATE_TEST_SUITE_P(AllHands, Lambdas, ::testing::ValuesIn(kAllHands), name_of_hands);

class LambdasInProcesses : public LeakCheck {};

TEST_F(LambdasInProcesses, ACaptureByReferenceIsRefusedWithThatReason) {
  Engine engine({.workers = 2});
  const auto x = engine.array<double>(10);
  double factor = 2;
  const std::string error = error_of([&] { engine.map(x, x, [&factor](double v) { return factor * v; }); });
  EXPECT_NE(error.find("captures by reference"), std::string::npos) << error;
  engine.map(x, x, [factor](double v) { return factor * v; });
  static double global;
  global = static_cast<double>(x.size());
  const std::string pointer = error_of([&] { engine.map(x, x, [p = &global](double v) { return *p * v; }); });
  EXPECT_NE(pointer.find("a pointer into this process's own memory"), std::string::npos) << pointer;
}

// Under ASan a worker's SIGSEGV is a SIGSEGV too (see above).
TEST_F(LambdasInProcesses, FaultW6_ACrashNamesTheElementAndTheEngineGoesOn) {
  Engine engine({.workers = 2});
  const auto x = engine.array<std::int32_t>(102'400);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int32_t>(i);
  const auto y = engine.array<std::int32_t>(x.size());
  const auto crash_at_50000 = [](std::int32_t v) {
    if (v == 50'000) raise(SIGSEGV);
    return v;
  };
  const std::string error = error_of([&] { engine.map(x, y, crash_at_50000); });
  EXPECT_TRUE(error.starts_with("map: element 50000 (value 50000): SIGSEGV in ")) << error;
  EXPECT_TRUE(error.ends_with(", 3 times out of 3")) << error;
  EXPECT_EQ(engine.faults().crashes, 3u);
  engine.map(x, y, [](std::int32_t v) { return v + 1; });
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], x[i] + 1);
}

TEST_F(LambdasInProcesses, FaultW8_AnExitInAKernelIsACrashWithItsCode) {
  Engine engine({.workers = 2, .retries = 1});
  const auto x = engine.array<double>(10), y = engine.array<double>(10);
  x[3] = -1;
  const auto leave = [](double v) {
    if (v < 0) _exit(7);
    return v;
  };
  EXPECT_EQ(error_of([&] { engine.map(x, y, leave); }), "map: element 3 (value -1.0): the kernel left with exit code 7, 2 times out of 2");
  EXPECT_EQ(engine.reduce(x, 1.0, [](double a, double b) { return a + b; }), 0.0);
}

// A write through any pointer that a kernel has reaches its outputs alone.
TEST_F(LambdasInProcesses, FaultW7_AWriteToAnInputOrAnotherArrayIsACrashAndChangesNothing) {
  Engine engine({.workers = 2, .retries = 0});
  const auto x = engine.array<double>(1000), y = engine.array<double>(1000), bystander = engine.array<double>(1000);
  for (double* target : {x.data(), bystander.data()}) {
    const std::string error = error_of([&] {
      engine.map(x, y, [target](double v) {
        target[0] = 99;
        return v;
      });
    });
    EXPECT_NE(error.find("SIGSEGV"), std::string::npos) << error;
  }
  EXPECT_EQ(x[0], 0);
  EXPECT_EQ(bystander[0], 0);
}

}  // namespace
}  // namespace cadre
