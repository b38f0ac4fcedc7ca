/* The search for crashes must find what it is there for: with a mistake in the protocol some death ends in a wrong result, a lost chunk or a lock that is
   never released. */
#include <cstdio>

#include <gtest/gtest.h>

#include <cadre/pool/planted.hpp>

#include "recovery.hpp"
#include "scenarios.hpp"
#include "stepping.hpp"

namespace cadre {
Mistake planted_mistake = Mistake::none;
}

namespace cadre::crash {
namespace {

struct Planted {
  std::string name;
  Mistake mistake;
  std::vector<std::string> scenarios;   // in each of which it must be found
};

/** What the first death that is not made good leads to; "" none. */
std::string first_fault(const std::string& name, Mistake mistake) {
  Stage stage;
  scenario(name).set(stage);
  stage.post_next();
  planted_mistake = mistake;
  const Path path = step_through(stage, 0, stage.memory().image(), true);
  std::string fault = stage.all_done() ? stage.faults() : "the undisturbed run does not come to its end";
  if (fault.empty()) fault = recover(stage, path, {{0}, {1, 0}}).fault;
  planted_mistake = Mistake::none;
  return fault;
}

class PlantedMistake : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedMistake, IsFound) {
  for (const std::string& name : GetParam().scenarios) {
    const std::string fault = first_fault(name, GetParam().mistake);
    EXPECT_NE(fault, "") << "not found in " << name;
    std::printf("%s: %s\n", name.c_str(), fault.c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Crash, PlantedMistake,
                         ::testing::Values(Planted{"UnlockBeforeTheAdvance", Mistake::unlock_first, {"DenseIntegersInSegments", "SparseDoublesInSegments"}},
                                           Planted{"RecordClearedBeforeDone", Mistake::ready_first, {"DenseIntegersInSegments", "MapInPlaceOfDoubles"}},
                                           Planted{"NoImage", Mistake::no_image, {"DenseIntegersInSegments", "SparseIntegersInSegments"}},
                                           Planted{"SavedBeforeTheImage", Mistake::save_torn, {"DenseIntegersInSegments", "SparseIntegersInSegments"}},
                                           Planted{"MarkBeforeTheOldValue", Mistake::mark_early, {"SparseIntegersInSegments", "SparseDoublesInSegments"}},
                                           Planted{"RecordNotCleared", Mistake::keep_ready, {"DenseIntegersInSegments", "MapInPlaceOfDoubles"}},
                                           Planted{"ClaimByACursor", Mistake::cursor_claim, {"DenseIntegersInSegments", "FoldOfIntegers"}},
                                           Planted{"LocksNotReleasedAtStart", Mistake::forget_lock, {"DenseIntegersInSegments", "SparseDoublesInSegments"}},
                                           Planted{"DoneBeforeTheCombine", Mistake::done_early, {"DenseIntegersInSegments", "MapOfIntegers"}},
                                           Planted{"TheWordInTwoStores", Mistake::split_word, {"SparseIntegersInSentences", "SparseDoublesInSentences"}},
                                           Planted{"TurnOfASkippedSegmentKept", Mistake::keep_turn, {"SparseDoublesInSegments"}},
                                           Planted{"HintThatLeads", Mistake::leading_hint, {"DenseDoublesInSegments", "SparseDoublesInSegments"}},
                                           Planted{"HintAfterTheClaim", Mistake::late_hint, {"DenseDoublesInSegments", "FoldOfIntegers"}}),
                         [](const auto& info) { return info.param.name; });

// The protocol is compiled once more for these tests: as it is, it must hold here too.
TEST(PlantedMistakes, WithoutOneNothingIsFound) { EXPECT_EQ(first_fault("DenseDoublesInSegments", Mistake::none), ""); }

}  // namespace
}  // namespace cadre::crash
