/* The progress line as drawn, for given states and widths. */
#include <gtest/gtest.h>

#include "../../cli/progress.hpp"

namespace cadre::cli {
namespace {

TEST(ProgressLine, HasBarPercentChunksAndTimes) {
  EXPECT_EQ(render_progress({.done = 25, .chunks = 100, .seconds = 12}, 80, false), "[#########>                             ]   25%  25/100 chunks  0:12, 0:36 left");
  EXPECT_EQ(render_progress({.step = 1, .steps = 4, .done = 100, .chunks = 100, .seconds = 3723}, 200, false),
            "step 2/4 [########################################]  100%  100/100 chunks  1:02:03");
}

TEST(ProgressLine, NeverFillsTheTerminalsLastColumn) {
  const ProgressState state{.step = 3, .steps = 12, .done = 123'456, .chunks = 1'000'000, .seconds = 100};
  for (int width = 1; width < 200; ++width) EXPECT_LT(render_progress(state, width, false).size(), static_cast<std::size_t>(width)) << width;
}

TEST(ProgressLine, ColourIsOneSequenceAroundTheBar) {
  const ProgressState state{.done = 1, .chunks = 2, .seconds = 1};
  std::string coloured = render_progress(state, 80, true);
  EXPECT_EQ(coloured.find("[\033[32m###"), 0u);
  for (const char* escape : {"\033[32m", "\033[0m"}) coloured.erase(coloured.find(escape), std::string(escape).size());
  EXPECT_EQ(coloured, render_progress(state, 80, false));
}

TEST(ProgressLine, EmptyAndOverfullStepsAreWhole) {
  EXPECT_NE(render_progress({.done = 0, .chunks = 0}, 80, false).find("100%"), std::string::npos);
  EXPECT_NE(render_progress({.done = 7, .chunks = 5, .seconds = 1}, 80, false).find("100%"), std::string::npos);
  EXPECT_NE(render_progress({.done = 0, .chunks = 5}, 80, false).find("  0%"), std::string::npos);
}

}  // namespace
}  // namespace cadre::cli
