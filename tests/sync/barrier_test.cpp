#include <cadre/sync/barrier.hpp>

#include <signal.h>

#include <cadre/sync/event.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;

class BarrierTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, BarrierTest, testing::kAllMethods, testing::name_of_method);

TEST_P(BarrierTest, NobodyGoesOnBeforeAllHaveCome) {
  Barrier barrier(3);
  SharedArray<int> places(3), come(20);
  std::vector<Process> all;
  for (int i = 0; i < 3; ++i)
    all.emplace_back(
        [](Barrier& b, SharedArray<int>& at, SharedArray<int>& n) {
          for (std::size_t round = 0; round < n.size(); ++round) {
            {
              const std::lock_guard guard(n.get_lock());
              ++n[round];
            }
            const std::uint32_t place = b.wait();
            if (n[round] != 3) cadre::exit(2);
            const std::lock_guard guard(n.get_lock());
            ++at[place];
          }
        },
        barrier, places, come);
  for (Process& p : all) p.start();
  for (Process& p : all) p.join();
  for (Process& p : all) EXPECT_EQ(p.exitcode(), 0);
  for (const int n : places) EXPECT_EQ(n, 20);  // each place is given once in a meeting
  EXPECT_EQ(barrier.n_waiting(), 0u);
  EXPECT_EQ(barrier.parties(), 3u);
}

SharedValue<int>* actions = nullptr;
void count_action() { ++actions->value(); }

TEST_P(BarrierTest, TheActionIsRunOnceBeforeAnybodyGoesOn) {
  SharedValue<int> times(0);
  actions = &times;
  Barrier barrier(2, count_action);
  Process p(
      [](Barrier& b, SharedValue<int>& t) {
        actions = &t;
        (void)b.wait();
        cadre::exit(t.value());
      },
      barrier, times);
  p.start();
  (void)barrier.wait();
  EXPECT_EQ(times.value(), 1);
  p.join();
  EXPECT_EQ(p.exitcode(), 1);
  actions = nullptr;
}

TEST_P(BarrierTest, AnActionThatThrowsBreaksIt) {
  Barrier barrier(1, [] { throw std::runtime_error("no"); });
  EXPECT_THROW((void)barrier.wait(), std::runtime_error);
  EXPECT_TRUE(barrier.broken());
}

TEST_P(BarrierTest, ATimeoutBreaksItForEverybodyUntilReset) {
  Barrier barrier(3);
  Process p(
      [](Barrier& b) {
        try {
          (void)b.wait();
        } catch (const BrokenBarrierError&) {
          cadre::exit(4);
        }
      },
      barrier);
  p.start();
  testing::wait_until([&] { return barrier.n_waiting() == 1; });
  EXPECT_NE(error_of([&] { (void)barrier.wait(10ms); }).find("the others have not all come in time"), std::string::npos);
  p.join();
  EXPECT_EQ(p.exitcode(), 4);
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW((void)barrier.wait(), BrokenBarrierError);
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  barrier.abort();
  EXPECT_THROW((void)barrier.wait(), BrokenBarrierError);
}

TEST_P(BarrierTest, ResetSendsThoseWhoWaitAway) {
  Barrier barrier(2);
  Process p(
      [](Barrier& b) {
        try {
          (void)b.wait();
        } catch (const BrokenBarrierError&) {
          cadre::exit(4);
        }
      },
      barrier);
  p.start();
  testing::wait_until([&] { return barrier.n_waiting() == 1; });
  barrier.reset();
  p.join();
  EXPECT_EQ(p.exitcode(), 4);
  EXPECT_FALSE(barrier.broken());
}

TEST_P(BarrierTest, APartyKilledWhileItWaitsBreaksIt) {
  Barrier barrier(3);
  Process p([](Barrier& b) { (void)b.wait(); }, barrier);
  p.start();
  testing::wait_until([&] { return barrier.n_waiting() == 1; });
  p.kill();
  EXPECT_NE(error_of([&] { (void)barrier.wait(); }).find("a process that waited at it died"), std::string::npos);
  EXPECT_TRUE(barrier.broken());
  p.join();
}

TEST_P(BarrierTest, APartyKilledInTheActionBreaksIt) {
  Barrier barrier(2, [] { raise(SIGKILL); });
  Process p([](Barrier& b) { (void)b.wait(); }, barrier);
  std::string said;
  std::thread first([&] { said = error_of([&] { (void)barrier.wait(); }); });
  testing::wait_until([&] { return barrier.n_waiting() == 1; });
  p.start();
  p.join();
  first.join();
  EXPECT_EQ(p.exitcode(), -SIGKILL);
  EXPECT_NE(said.find("the barrier is broken"), std::string::npos) << said;
}

TEST_P(BarrierTest, NoPartiesOrTooManyAreRefused) {
  EXPECT_NE(error_of([] { Barrier b(0); }).find("it can have 1 to 1024"), std::string::npos);
  EXPECT_NE(error_of([] { Barrier b(1025); }).find("it can have 1 to 1024"), std::string::npos);
}

}  // namespace
}  // namespace cadre
