/* The report for people, to the letter. */
#include <gtest/gtest.h>

#include "../../cli/output.hpp"
#include "../../cli/summary.hpp"

namespace cadre::cli {
namespace {

Report moments() {
  Report r;
  r.job = "moments";
  r.backend = Backend::processes;
  r.workers = 2;
  r.isa = Isa::v3;
  r.elements = 100'000'000;
  r.chunks = 763;
  r.seconds = 0.0412;
  r.bytes_per_second = 1.9e10;
  r.steps = {{"moments", 100'000'000, 763, 0.0412, {{"count", {}, std::vector<std::int64_t>{100'000'000}}, {"mean", {}, std::vector<double>{0.1}}}}};
  r.digest = "0123456789abcdef0123456789abcdef";
  return r;
}

TEST(Summary, IsAlignedAndExact) {
  EXPECT_EQ(summary(moments()),
            "result   count  100000000\n"
            "         mean   0.1\n"
            "digest   0123456789abcdef0123456789abcdef\n"
            "time     41.2 ms, 100,000,000 elements in 763 chunks, 19.0 GB/s\n"
            "ran on   2 workers (processes, fork), isa v3\n");
}

TEST(Summary, VectorsAndMatricesKeepTheirShape) {
  Report r = moments();
  r.steps[0].result = {{"mean", {3}, std::vector<double>{1, 2.5, 3}}, {"covariance", {2, 2}, std::vector<double>{1, 0.5, 0.5, 2}}};
  EXPECT_EQ(bare_results(r), "mean       [1, 2.5, 3]\n"
                             "covariance [1, 0.5]\n"
                             "           [0.5, 2]\n");
  EXPECT_NE(summary(r).find("result   mean        [1, 2.5, 3]\n"
                            "         covariance  [1, 0.5]\n"
                            "                     [0.5, 2]\n"),
            std::string::npos);
}

TEST(Summary, SeveralStepsAreTimedOneByOne) {
  Report r = moments();
  r.backend = Backend::serial;
  r.workers = 1;
  r.steps.insert(r.steps.begin(), {"divide", 1, 1, 1.5, {}});
  r.outputs = {{"out", "a.npy"}, {"label", "b.npy"}};
  r.seconds = 123.4;
  r.bytes_per_second = 0;
  EXPECT_EQ(summary(r),
            "step 1   divide: 1.50 s, 1 element in 1 chunk\n"
            "step 2   moments: 41.2 ms, 100,000,000 elements in 763 chunks\n"
            "         count  100000000\n"
            "         mean   0.1\n"
            "written  out    a.npy\n"
            "         label  b.npy\n"
            "digest   0123456789abcdef0123456789abcdef\n"
            "time     123 s in all\n"
            "ran on   1 worker (serial), isa v3\n");
}

TEST(Summary, FaultsAndPoisonAreSaid) {
  Report r = moments();
  r.steps.clear();
  r.digest.clear();
  r.seconds = 0;
  r.faults.crashes = 3;
  r.faults.retries = 1;
  r.faults.poison = {{.index = 4'100, .value = "-1.0", .signal = "SIGSEGV", .attempts = 3, .peak_rss = 10 << 20, .stack = {"invert_cdf (invert.cpp:41)"}}};
  EXPECT_EQ(summary(r),
            "ran on   2 workers (processes, fork), isa v3\n"
            "faults   3 crashes, 1 retry\n"
            "poison   element 4,100 (-1.0): SIGSEGV, 3 attempts, at most 10.0 MiB of memory\n"
            "           invert_cdf (invert.cpp:41)\n");
}

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(18'446'744'073'709'551'615u), "18,446,744,073,709,551,615");
}

TEST(Numbers, AreTheShortestThatReadBack) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(shortest(4950), "4950");
  EXPECT_EQ(shortest(-0.0 / 0.0), "nan");
  EXPECT_EQ(shortest(1e300 * 1e10), "inf");
}

}  // namespace
}  // namespace cadre::cli
