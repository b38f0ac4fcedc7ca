#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cadre/shm/ranges.hpp>

namespace {

using cadre::Ranges;

TEST(Ranges, TakeTheLowestPlaceThatFits) {
  Ranges ranges(10, 10);
  EXPECT_EQ(ranges.take(4), 10u);
  EXPECT_EQ(ranges.take(4), 14u);
  ranges.give(10, 4);
  EXPECT_EQ(ranges.take(5), std::nullopt);
  EXPECT_EQ(ranges.take(2), 10u);
  EXPECT_EQ(ranges.longest(), 2u);
}

RC_GTEST_PROP(Ranges, NeverOverlapAndJoinAgainWhenAllIsGivenBack, ()) {
  const auto sizes = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 20));
  Ranges ranges(5, 100);
  std::map<std::size_t, std::size_t> taken;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (const auto first = ranges.take(sizes[i])) {
      const auto next = taken.lower_bound(*first);
      RC_ASSERT((*first >= 5 && *first + sizes[i] <= 105));
      RC_ASSERT((next == taken.end() || *first + sizes[i] <= next->first));
      RC_ASSERT((next == taken.begin() || std::prev(next)->first + std::prev(next)->second <= *first));
      taken[*first] = sizes[i];
    }
    if (i % 3 == 2 && !taken.empty()) {
      const auto [first, count] = *taken.begin();
      ranges.give(first, count);
      taken.erase(first);
    }
  }
  for (const auto& [first, count] : taken) ranges.give(first, count);
  RC_ASSERT(ranges.longest() == 100u);
}

TEST(Ranges, APlaceIsTakenOnlyWhenAllOfItIsFree) {
  Ranges ranges(10, 20);
  EXPECT_FALSE(ranges.take_at(9, 2));
  EXPECT_FALSE(ranges.take_at(25, 6));
  EXPECT_FALSE(ranges.take_at(40, 1));
  EXPECT_FALSE(ranges.take_at(12, std::numeric_limits<std::size_t>::max()));
  EXPECT_TRUE(ranges.take_at(14, 4));
  EXPECT_FALSE(ranges.take_at(17, 1));
  EXPECT_EQ(ranges.take(4), 10u);
  EXPECT_EQ(ranges.take(4), 18u);
  ranges.give(14, 4);
  EXPECT_TRUE(ranges.take_at(14, 4));
  std::size_t free = 0;
  ranges.for_each_free([&](std::size_t, std::size_t count) { free += count; });
  EXPECT_EQ(free, 8u);
}

}  // namespace
