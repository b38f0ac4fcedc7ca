#include <cadre/sync/semaphore.hpp>

#include <signal.h>

#include <thread>

#include <cadre/sync/event.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;

class SemaphoreTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, SemaphoreTest, testing::kAllMethods, testing::name_of_method);

TEST_P(SemaphoreTest, NoMoreThanItsPermitsAreOut) {
  Semaphore three(3);
  SharedValue<int> inside(0), most(0);
  std::vector<Process> all;
  for (int i = 0; i < 6; ++i)
    all.emplace_back(
        [](Semaphore& s, SharedValue<int>& in, SharedValue<int>& top) {
          for (int k = 0; k < 200; ++k) {
            const std::lock_guard permit(s);
            {
              const std::lock_guard guard(in.get_lock());
              top.value() = std::max(top.value(), ++in.value());
            }
            const std::lock_guard guard(in.get_lock());
            --in.value();
          }
        },
        three, inside, most);
  for (Process& p : all) p.start();
  for (Process& p : all) p.join();
  for (Process& p : all) EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(inside.value(), 0);
  EXPECT_LE(most.value(), 3);
  EXPECT_EQ(three.value(), 3u);
}

TEST_P(SemaphoreTest, ABoundedOneRefusesToBeReleasedTooOften) {
  BoundedSemaphore two(2);
  EXPECT_EQ(two.acquire(), LockResult::acquired);
  two.release();
  EXPECT_NE(error_of([&] { two.release(); }).find("that nobody has acquired"), std::string::npos);
  Semaphore unbounded(2);
  unbounded.release();
  EXPECT_EQ(unbounded.value(), 3u);
}

TEST_P(SemaphoreTest, AcquireWithATimeoutGivesUp) {
  Semaphore none(0);
  EXPECT_EQ(none.try_acquire(), LockResult::timed_out);
  EXPECT_EQ(none.acquire(10ms), LockResult::timed_out);
}

TEST_P(SemaphoreTest, OneProcessMayReleaseWhatAnotherAcquired) {
  BoundedSemaphore one(1);
  ASSERT_EQ(one.acquire(), LockResult::acquired);
  Process p([](BoundedSemaphore& s) { s.release(); }, one);
  p.start();
  EXPECT_EQ(one.acquire(), LockResult::acquired);
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(SemaphoreTest, PermitsOfAKilledHolderReturn) {
  BoundedSemaphore four(4);
  Event taken;
  Process p(
      [](BoundedSemaphore& s, Event& e) {
        for (int i = 0; i < 3; ++i) (void)s.acquire();
        e.set();
        for (;;) pause();
      },
      four, taken);
  p.start();
  taken.wait();
  ASSERT_EQ(four.acquire(), LockResult::acquired);
  EXPECT_EQ(four.try_acquire(), LockResult::timed_out);
  p.kill();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(four.acquire(), LockResult::acquired);
  EXPECT_EQ(four.value(), 0u);
  p.join();
  for (int i = 0; i < 4; ++i) four.release();
  EXPECT_NE(error_of([&] { four.release(); }), "nothing was thrown");
}

// Permits that others added are messages: a consumer that is killed has had its own.
TEST_P(SemaphoreTest, WhatAKilledConsumerTookDoesNotReturn) {
  Semaphore messages(0);
  Event done;
  Process p(
      [](Semaphore& s, Event& e) {
        for (int i = 0; i < 5; ++i) (void)s.acquire();
        e.set();
        for (;;) pause();
      },
      messages, done);
  p.start();
  for (int i = 0; i < 7; ++i) messages.release();
  done.wait();
  p.kill();
  p.join();
  EXPECT_EQ(messages.value(), 2u);
}

TEST_P(SemaphoreTest, KillsAtAnyMomentLoseNoPermit) {
  BoundedSemaphore two(2);
  SharedValue<long> turns(0);
  const auto churn = [](BoundedSemaphore& s, SharedValue<long>& t) {
    for (;;) {
      const std::lock_guard permit(s);
      ++t.value();
    }
  };
  const int rounds = GetParam() == StartMethod::spawn ? 8 : 25;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Process> all;
    for (int i = 0; i < 3; ++i) all.emplace_back(churn, two, turns);
    const long before = turns.value();
    for (Process& p : all) p.start();
    testing::wait_until([&] { return static_cast<volatile long&>(turns.value()) > before + 50; });
    for (Process& p : all) p.kill();
    for (Process& p : all) p.join();
    ASSERT_EQ(two.value(), 2u);
  }
}

TEST(SemaphoreOnThreads, CountsThreadsToo) {
  BoundedSemaphore two(2);
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 2'000; ++k) {
        const std::lock_guard permit(two);
        const int now = ++inside;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) continue;
        --inside;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_LE(most.load(), 2);
  EXPECT_EQ(two.value(), 2u);
}

}  // namespace
}  // namespace cadre
