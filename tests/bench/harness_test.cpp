#include <cadre/bench/harness.hpp>

#include <gtest/gtest.h>
#include <sstream>

namespace cadre::bench {
namespace {

/** A contestant whose samples cost what the list says, in turn. */
Contestant costing(const std::string& name, std::vector<double> costs) {
  return {name, [costs, i = std::size_t{0}]() mutable { return costs[i++ % costs.size()]; }, {}};
}

Race race_of(std::vector<Contestant> contestants) { return {.name = "race", .contestants = std::move(contestants), .settle = 0}; }

constexpr Limits kThreeRounds{.seconds = 1e9, .min_rounds = 3, .max_rounds = 3, .warm_up = 0};

TEST(Spread, InterpolatesBetweenTheNeighboursOfAQuartile) {
  const Spread s = spread_of({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(s.low, 1.75);
  EXPECT_DOUBLE_EQ(s.median, 2.5);
  EXPECT_DOUBLE_EQ(s.high, 3.25);
}

TEST(Race, LetsContestantsTakeTurnsAndTurnsTheOrder) {
  std::string order;
  const auto logging = [&](const char* name) { return Contestant{name, [&order, name] { return order += name, 1.0; }, {}}; };
  run(race_of({logging("a"), logging("b"), logging("c")}), kThreeRounds);
  EXPECT_EQ(order,
            "abc"
            "bca"
            "cab"
            "abc");  // three rounds, then one more before the last check
}

TEST(Race, CountsNoRoundOfTheWarmUp) {
  Limits limits = kThreeRounds;
  limits.warm_up = 2;
  const Measured measured = run(race_of({costing("a", {100, 100, 1, 2, 3, 4})}), limits);
  EXPECT_EQ(measured.costs[0], (std::vector<double>{1, 2, 3}));
}

TEST(Race, StopsWhenItsTimeIsUpButNotBeforeTheLeastRounds) {
  EXPECT_EQ(run(race_of({costing("a", {1})}), {.seconds = 0, .min_rounds = 4, .max_rounds = 9, .warm_up = 0}).costs[0].size(), 4u);
}

TEST(Race, EndsWithTheNameOfWhoIsWrong) {
  Race race = race_of({costing("right", {1}), costing("wrong", {1})});
  race.contestants[1].check = [] { throw WrongAnswer("the sum is 3, not 4"); };
  try {
    run(race, kThreeRounds);
    FAIL() << "a wrong answer passed";
  } catch (const WrongAnswer& wrong) {
    EXPECT_STREQ(wrong.what(), "race, wrong: the sum is 3, not 4");
  }
}

TEST(Race, ChecksEveryContestantRightAfterARunOfItsOwn) {
  std::string order;
  const auto logging = [&](const std::string& name) {
    return Contestant{name, [&order, name] { return order += name, 1.0; }, [&order, name] { order += name + "! "; }};
  };
  run(race_of({logging("a"), logging("b")}), {.seconds = 0, .min_rounds = 0, .max_rounds = 0, .warm_up = 2});
  EXPECT_EQ(order,
            "ab"
            "aa! bb! "
            "aa! bb! ");
}

TEST(Figure, IsTheMedianOfTheRatiosWithinARoundNotTheRatioOfTheMedians) {
  // The machine slows down for all in the second round and for ours alone in none.
  const Race race = race_of({costing("ours", {1, 10, 4}), costing("peer", {2, 20, 8})});
  const Verdict v = judge({.what = "x", .wanted = 2, .ours = "ours", .peers = {"peer"}}, race, run(race, kThreeRounds));
  EXPECT_DOUBLE_EQ(v.value.low, 2);
  EXPECT_DOUBLE_EQ(v.value.high, 2);
  EXPECT_TRUE(v.met);
}

TEST(Figure, ComparesWithTheBestOfThePeers) {
  const Race race = race_of({costing("ours", {4}), costing("slow", {8}), costing("fast", {3})});
  const Verdict v = judge({.what = "x", .wanted = 0.8, .ours = "ours", .peers = {"slow", "fast"}}, race, run(race, kThreeRounds));
  EXPECT_EQ(v.best_peer, "fast");
  EXPECT_DOUBLE_EQ(v.value.median, 0.75);
  EXPECT_FALSE(v.met);
}

TEST(Figure, OfCostIsOursOverThePeers) {
  const Race race = race_of({costing("ours", {4}), costing("peer", {2})});
  const Verdict v =
      judge({.what = "x", .kind = Figure::Kind::cost, .wanted = 2, .ours = "ours", .peers = {"peer"}}, race, run(race, kThreeRounds));
  EXPECT_DOUBLE_EQ(v.value.median, 2);
  EXPECT_TRUE(v.met);
}

TEST(Figure, OfAnAmountIsInItsOwnUnit) {
  const Race race = race_of({costing("ours", {17e-6})});
  const Verdict v = judge({.what = "x", .kind = Figure::Kind::amount, .wanted = 18, .ours = "ours"}, race, run(race, kThreeRounds));
  EXPECT_DOUBLE_EQ(v.value.median, 17);
  EXPECT_TRUE(v.met);
}

TEST(Table, HasOneLineForEachFigure) {
  Race race = race_of({costing("processes", {0.002}), costing("oneTBB", {0.003})});
  race.rate_unit = "GB/s";
  race.work = 1;
  race.figures.push_back({.what = "a sum", .wanted = 1, .ours = "processes", .peers = {"oneTBB"}});
  std::ostringstream out;
  print_figures(out, race, run(race, kThreeRounds));
  EXPECT_EQ(out.str(),
            "| a sum | at least 1.00 | 1.500 | 1.500 to 1.500 | processes: 2.00 ms, 500 GB/s | oneTBB: 3.00 ms, 333 GB/s | yes |\n");
}

}  // namespace
}  // namespace cadre::bench
