/* The paragraph, of figures that are made up: what it says must follow from them. */
#include <cadre/compare/comparison.hpp>

#include <gtest/gtest.h>

namespace cadre::compare {
namespace {

struct Figures {
  double seconds, kernel, queue = 0, wake = 0, idle = 0, combine = 0;
  std::uint64_t faults = 0;
};

/** `f` per worker: five blocks of nearly the same runs. */
ContestantResult contestant(const char* backend, int workers, const Figures& f) {
  ContestantResult c;
  c.spec = parse_backends(backend, {})[0];
  c.workers = workers;
  Run run{.seconds = f.seconds, .wall = f.seconds, .elements = 1000};
  for (int w = 0; w < workers; ++w) run.workers.push_back({w + 1, {.cpu = f.kernel, .wait = f.queue, .minor = f.faults}});
  for (int block = 0; block < 5; ++block) {
    c.blocks.emplace_back(3, run);
    for (Run& r : c.blocks.back()) r.seconds *= 1 + 1e-4 * block;
    c.traced.push_back({.wake = f.wake, .kernel = f.kernel, .combine = f.combine, .idle = f.idle, .participants = static_cast<double>(workers)});
    c.cold.push_back(run);
    c.start_ups.push_back({.seconds = 1e-3});
  }
  return c;
}

/** Threads and processes with so many workers, on a machine of two CPUs. */
Point point(int workers, const Figures& threads, const Figures& processes) {
  Point p{.workers = workers, .elements = 1000, .chunks = 10};
  p.contestants = {contestant("threads", workers, threads), contestant("processes", workers, processes)};
  p.narrow = true;
  return p;
}

std::string paragraph(std::vector<Point> points, double other_load = 0) {
  Comparison all;
  all.machine.cpus = 2;
  all.machine.fault_seconds = 1e-6;
  all.points = std::move(points);
  all.noise.other_load = other_load;
  summarise(all);
  return all.verdict;
}

void expect_in(const std::string& text, const std::string& part) { EXPECT_NE(text.find(part), std::string::npos) << part << "\n  is not in\n" << text; }
void expect_not_in(const std::string& text, const std::string& part) { EXPECT_EQ(text.find(part), std::string::npos) << part << "\n  is in\n" << text; }

TEST(Explanation, WhatLiesWithinTheKernelsTimeIsNotToldTwice) {
  const std::string text = paragraph({point(2, {.seconds = 30e-3, .kernel = 30e-3, .queue = 10e-3}, {.seconds = 20e-3, .kernel = 20e-3})});
  expect_in(text, "On processes the job is faster than on threads, by 50.0 %");
  expect_in(text, "10.0 ms of each worker's run in the queue for a CPU, against 0.00 us (100 % of the difference).");
  expect_not_in(text, "in the kernel for each worker");
  expect_not_in(text, "unexplained");
}

TEST(Explanation, WakingIsPartOfIdleTime) {
  const std::string text = paragraph({point(2, {.seconds = 20e-3, .kernel = 20e-3}, {.seconds = 25e-3, .kernel = 20e-3, .wake = 4e-3, .idle = 5e-3})});
  expect_in(text, "On threads the job is faster than on processes, by 25.0 %");
  expect_in(text, "4.00 ms until its last worker begins its first chunk, against 0.00 us (80.0 % of the difference)");
  expect_in(text, "5.00 ms of idle time for each worker, waking included, against 0.00 us (20.0 % of the difference)");
}

TEST(Explanation, TheRestOfTheKernelsTimeIsWhatItWaitsFor) {
  const std::string text = paragraph({point(2, {.seconds = 40e-3, .kernel = 40e-3, .faults = 5'000}, {.seconds = 20e-3, .kernel = 20e-3})});
  expect_in(text, "10,000 page faults a run (at 1.00 us each as measured here), against 0 (25.0 % of the difference)");
  expect_in(text, "40.0 ms in the kernel for each worker, these included, against 20.0 ms (75.0 % of the difference)");
  expect_in(text, "of which threads share more than processes do");
}

TEST(Explanation, AKernelThatAloneIsMoreThanTheDifferenceIsWhatItWaitsForToo) {
  const std::string text = paragraph({point(2, {.seconds = 24e-3, .kernel = 23e-3}, {.seconds = 20e-3, .kernel = 16e-3})});
  expect_in(text, "23.0 ms in the kernel for each worker, against 16.0 ms. That is more than the whole difference");
  expect_in(text, "of which threads share more than processes do");
}

TEST(Explanation, WhatBothHaveInCommonIsToldWhereTheRatioIsNotKnown) {
  Point p = point(2, {.seconds = 20e-3, .kernel = 19.9e-3}, {.seconds = 20e-3, .kernel = 19.9e-3});
  double by = 0.7;
  for (auto& block : p.contestants[1].blocks) {
    by += 0.1;
    for (auto& run : block) run.seconds *= by;
  }
  const std::string text = paragraph({p});
  expect_in(text, "can not be told: the ratio may be anything from");
  expect_in(text, "inside the same kernel on the same chunks; queues, faults, locks and idle time are too small to tell them apart.");
}

TEST(Explanation, CombiningIsPartOfWhatTwoEqualsSpend) {
  const std::string text = paragraph({point(2, {.seconds = 20e-3, .kernel = 8e-3, .combine = 11e-3}, {.seconds = 20e-3, .kernel = 8e-3, .combine = 12e-3})});
  expect_in(text, "Both spend 40.0 % and 40.0 % of a run inside the same kernel on the same chunks, and 60.0 % and 55.0 % combining what these gave; queues");
}

TEST(Explanation, MoreThanTheWholeDifferenceIsCalledThat) {
  const std::string vary = paragraph({point(2, {.seconds = 21e-3, .kernel = 20e-3, .idle = 10e-3}, {.seconds = 20e-3, .kernel = 20e-3})});
  expect_in(vary, "That is more than the whole difference: these times vary by more than it.");
  expect_not_in(vary, "of the difference)");
  const std::string exchange = paragraph({point(2, {.seconds = 21e-3, .kernel = 10e-3, .idle = 11e-3}, {.seconds = 20e-3, .kernel = 20e-3})});
  expect_in(exchange, "In exchange each worker spends 10.0 ms less in the kernel there.");
}

TEST(Explanation, WhatNoFigureExplainsIsSaidToo) {
  const std::string text = paragraph({point(2, {.seconds = 22e-3, .kernel = 20e-3}, {.seconds = 20e-3, .kernel = 20e-3})});
  expect_in(text, "None of the figures here explains it");
}

TEST(Explanation, OneThatIsTooShortLeavesNoRatio) {
  Point p = point(2, {.seconds = 50e-6, .kernel = 40e-6}, {.seconds = 300e-6, .kernel = 40e-6});
  EXPECT_FALSE(is_told(p, p.contestants[1], 0)) << "before its medians are known";
  expect_in(paragraph({p}), "Too short to tell: a run takes 50.0 us");
}

TEST(Explanation, TheParagraphIsOfWorkersThatHaveACpuEachAndTheOthersAreToldInBrief) {
  const Figures quick{.seconds = 10e-3, .kernel = 10e-3}, slow{.seconds = 20e-3, .kernel = 20e-3};
  const std::string text = paragraph({point(1, slow, quick), point(2, quick, slow), point(4, slow, quick)});
  EXPECT_EQ(text.find("With 2 workers, on threads the job is faster than on processes, by 100 %"), 0u) << text;
  expect_in(text, "Elsewhere, with 1 worker: processes faster by 100 %; with 4 workers, more than there are CPUs: processes faster by 100 %.");
}

TEST(Explanation, OtherBackendsAreHeldAgainstTheFirst) {
  Point p = point(2, {.seconds = 20e-3, .kernel = 20e-3}, {.seconds = 10e-3, .kernel = 10e-3});
  p.contestants.push_back(contestant("processes:start=spawn", 2, {.seconds = 10e-3, .kernel = 10e-3}));
  p.contestants.push_back(contestant("processes:pages=4k", 2, {.seconds = 15e-3, .kernel = 15e-3}));
  expect_in(paragraph({p}), "Against processes, processes:pages=4k is slower by 50.0 %; of processes:start=spawn no difference can be told.");
}

TEST(Explanation, OtherLoadIsNamedAsAPossibleCause) {
  const Figures quick{.seconds = 10e-3, .kernel = 10e-3}, slow{.seconds = 20e-3, .kernel = 20e-3};
  expect_in(paragraph({point(2, quick, slow)}, 0.8), "Other programs kept 0.80 CPUs busy meanwhile.");
  expect_not_in(paragraph({point(2, quick, slow)}), "Other programs");
}

}  // namespace
}  // namespace cadre::compare
