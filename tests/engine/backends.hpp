#pragma once
/* The backends and numbers of workers that every result must be the same on. */
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <cadre/engine/engine.hpp>
#include <cadre/shm/sanitizers.hpp>

#include "../support/leak_check.hpp"

namespace cadre::testing {

struct TestedHands {
  Backend backend;
  int workers;
  StartMethod start = StartMethod::fork;

  Options options() const { return {.backend = backend, .workers = workers, .start = start}; }
};

inline void PrintTo(const TestedHands& hands, std::ostream* out) { *out << hands.workers << " on " << name_of(hands.backend) << " by " << name_of(hands.start); }
inline std::string name_of_hands(const ::testing::TestParamInfo<TestedHands>& info) {
  return name_of(info.param.backend) + std::string("_") + std::to_string(info.param.workers) + (info.param.start == StartMethod::fork ? "" : std::string("_") + name_of(info.param.start));
}

#if CADRE_UNDER_ASAN
// Addresses do not depend on how many workers there are; each run costs many times as much.
inline const std::vector<TestedHands> kAllHands{{Backend::serial, 1}, {Backend::threads, 3}, {Backend::processes, 3}, {Backend::processes, 3, StartMethod::forkserver}};
#elif CADRE_UNDER_TSAN
// It does not see from process to process.
inline const std::vector<TestedHands> kAllHands{{Backend::threads, 1}, {Backend::threads, 2}, {Backend::threads, 3}, {Backend::threads, 8}, {Backend::threads, 33}};
#else
inline const std::vector<TestedHands> kAllHands{{Backend::serial, 1},    {Backend::threads, 1},    {Backend::threads, 2},   {Backend::threads, 3},
                                          {Backend::threads, 8},   {Backend::threads, 33},   {Backend::processes, 1}, {Backend::processes, 2},
                                          {Backend::processes, 3}, {Backend::processes, 8},  {Backend::processes, 33},
                                          {Backend::processes, 3, StartMethod::forkserver}, {Backend::processes, 3, StartMethod::spawn}};
#endif

/** One of each: for what does not depend on how many there are. */
inline const auto kEachBackend = ::testing::Values(TestedHands{Backend::serial, 1}, TestedHands{Backend::threads, 2}, TestedHands{Backend::processes, 2},
                                            TestedHands{Backend::processes, 2, StartMethod::forkserver}, TestedHands{Backend::processes, 2, StartMethod::spawn});

class OnHands : public LeakCheck, public ::testing::WithParamInterface<TestedHands> {};

}  // namespace cadre::testing
