/* A worker is killed after each of its instructions, from the start of its life over the claim to the last done, with each way of combining. Its memory is what
   the shared memory is then; the slot's next process must make the undisturbed result of it. */
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "recovery.hpp"
#include "scenarios.hpp"
#include "stepping.hpp"

namespace cadre::crash {
namespace {

const Order kAlone{0}, kOtherFirst{1, 0}, kOtherLast{0, 1};

class Crash : public ::testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override {
    GetParam().set(stage_);
    stage_.post_next();
    start_ = stage_.memory().image();
  }

  /** Of the states of a path after which a death is told from the one before by the protocol's words, and those that follow them (a torn block): up to `most`, evenly
      spread, or all of them where the environment has CADRE_CRASH_ALL. */
  static std::vector<std::size_t> turning_points(const Path& path, std::size_t most) {
    std::vector<std::size_t> points;
    for (std::size_t i = 1; i < path.states.size(); ++i)
      if (path.states[i].words_moved || path.states[i - 1].words_moved) points.push_back(i);
    if (std::getenv("CADRE_CRASH_ALL") || points.size() <= most) return points;
    std::vector<std::size_t> some;
    for (std::size_t i = 0; i < most; ++i) some.push_back(points[i * points.size() / most]);
    return some;
  }
  static Image image_at(const Path& path, std::size_t state) {
    Image image = path.start;
    for (std::size_t i = 0; i <= state; ++i) SharedMemory::apply(path.states[i].changes, image);
    return image;
  }

  Stage stage_;
  Image start_;
};

TEST_P(Crash, FaultW1_AfterEveryInstructionIsMadeGood) {
  const Path path = step_through(stage_, 0, start_, true);
  ASSERT_TRUE(stage_.all_done()) << stage_.faults();
  ASSERT_EQ(stage_.faults(), "");
  const Recoveries r = recover(stage_, path, {kAlone, kOtherFirst});
  EXPECT_EQ(r.fault, "");
  EXPECT_EQ(r.states, path.states.size());
  const auto& n = path.in_step;
  std::printf("%" PRIu64 " instructions (in steps 1 to 6: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "), %" PRIu64 " states, %" PRIu64 " recoveries\n", path.instructions, n[1], n[2],
              n[3], n[4], n[5], n[6], r.states, r.recoveries);
  EXPECT_GT(n[1], 0u);
  EXPECT_GT(n[2], 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Crash, ::testing::ValuesIn(scenarios()), [](const auto& info) { return info.param.name; });

/** Where the search is squared, over some of the scenarios. */
class CrashTwice : public Crash {};

TEST_P(CrashTwice, FaultW2_ADeathWhileThePredecessorsRecordIsFinishedIsMadeGood) {
  const Path first = step_through(stage_, 0, start_, true);
  std::uint64_t instructions = 0, states = 0;
  for (const std::size_t point : turning_points(first, 24)) {
    const Image dead = image_at(first, point);
    stage_.memory().restore(dead);
    const std::uint64_t hint = stage_.line(0).hint.load();
    const std::uint64_t mine = chunk_word(epoch_of(hint), 1);
    if (epoch_of(hint) == 0 || stage_.board().words[state_of(hint)].load() != mine) continue;
    const Path second = step_through(stage_, 0, dead, false, [&] { return stage_.board().words[state_of(hint)].load() != mine; });
    const Recoveries r = recover(stage_, second, {kAlone});
    ASSERT_EQ(r.fault, "") << "the first death was in state " << point << " of step " << first.states[point].step;
    instructions += second.instructions;
    states += r.states;
  }
  std::printf("%" PRIu64 " instructions of successors, %" PRIu64 " states\n", instructions, states);
  EXPECT_GT(states, 0u);
}

TEST_P(CrashTwice, FaultW3_TwoSlotsThatDieInTheMiddleAreBothMadeGood) {
  const Path first = step_through(stage_, 0, start_, true, [&] { return epoch_of(stage_.line(0).hint.load()) > 1; });
  std::uint64_t instructions = 0, states = 0;
  for (const std::size_t point : turning_points(first, 10)) {
    const Path second = step_through(stage_, 1, image_at(first, point), false, [&] { return stage_.line(1).record.load() == 0 && epoch_of(stage_.line(1).hint.load()) != 0 && stage_.step_of(1) == 6; });
    const Recoveries r = recover(stage_, second, {kOtherFirst, kOtherLast}, [](const State& s) { return s.words_moved || s.step >= 3; });
    ASSERT_EQ(r.fault, "") << "slot 0 died in state " << point << " of step " << first.states[point].step;
    instructions += second.instructions;
    states += r.states;
  }
  std::printf("%" PRIu64 " instructions beside a dead slot, %" PRIu64 " states\n", instructions, states);
  EXPECT_GT(states, 0u);
}

INSTANTIATE_TEST_SUITE_P(Some, CrashTwice, ::testing::Values(scenario("MapInPlaceOfDoubles"), scenario("DenseDoublesInSegments"), scenario("SparseIntegersInSegments"), scenario("SparseDoublesInSentences")),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cadre::crash
