/* Lock and RLock, between processes of every start method and between threads; a holder is killed. */
#include <cadre/sync/lock.hpp>

#include <signal.h>

#include <mutex>
#include <thread>

#include <cadre/sync/event.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;

class LockTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, LockTest, testing::kAllMethods, testing::name_of_method);

template <class L>
void add_thousands(L& lock, SharedValue<long>& sum) {
  for (int i = 0; i < 20'000; ++i) {
    const std::lock_guard guard(lock);
    sum.value() = sum.value() + 1;
  }
}
template <class L>
void take_and_sleep(L& lock, Event& taken) {
  (void)lock.acquire();
  taken.set();
  for (;;) pause();
}

TEST_P(LockTest, OneProcessAtATimeHasIt) {
  Lock lock;
  RLock recursive;
  SharedValue<long> sum(0, no_lock), other(0, no_lock);
  std::vector<Process> all;
  for (int i = 0; i < 3; ++i) {
    all.emplace_back(add_thousands<Lock>, lock, sum);
    all.emplace_back(add_thousands<RLock>, recursive, other);
  }
  for (Process& p : all) p.start();
  for (Process& p : all) p.join();
  EXPECT_EQ(sum.value(), 60'000);
  EXPECT_EQ(other.value(), 60'000);
}

TEST_P(LockTest, AcquireWithATimeoutGivesUp) {
  Lock lock;
  Event taken;
  Process p(take_and_sleep<Lock>, lock, taken);
  p.start();
  taken.wait();
  EXPECT_EQ(lock.try_acquire(), LockResult::timed_out);
  const std::uint64_t begin = monotonic_ns();
  EXPECT_EQ(lock.acquire(30ms), LockResult::timed_out);
  EXPECT_GE(monotonic_ns() - begin, 30'000'000u);
  EXPECT_EQ(lock.acquire(-5ms), LockResult::timed_out);  // "a negative number ... is equivalent to a timeout of zero"
  p.kill();
  p.join();
}

TEST_P(LockTest, ALockMayBeReleasedByAnotherProcess) {
  Lock lock;
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  Process p([](Lock& l) { l.release(); }, lock);
  p.start();
  EXPECT_EQ(lock.acquire(), LockResult::acquired);
  lock.release();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(LockTest, ReleaseOfWhatNobodyHoldsIsAnError) {
  Lock lock;
  RLock recursive;
  EXPECT_NE(error_of([&] { lock.release(); }).find("that nobody holds"), std::string::npos);
  EXPECT_NE(error_of([&] { recursive.release(); }).find("does not hold"), std::string::npos);
}

TEST_P(LockTest, ARecursiveLockIsReleasedByItsOwnerAlone) {
  RLock lock;
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  Process p([](RLock& l) { l.release(); }, lock);
  ::testing::internal::CaptureStderr();
  p.start();
  p.join();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("does not hold"), std::string::npos);
  EXPECT_EQ(p.exitcode(), 1);
  EXPECT_TRUE(lock.is_mine());
  lock.release();
}

TEST_P(LockTest, ARecursiveLockIsReleasedAsOftenAsItWasAcquired) {
  RLock lock;
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  ASSERT_EQ(lock.try_acquire(), LockResult::acquired);
  lock.release();
  lock.release();
  const auto try_it = [](RLock& l) { cadre::exit(l.try_acquire() == LockResult::timed_out ? 5 : 6); };
  Process p(try_it, lock);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 5);
  lock.release();
  EXPECT_FALSE(lock.is_held());
}

TEST_P(LockTest, TheNextLockerOfAKilledHolderIsToldOnce) {
  for (int round = 0; round < 3; ++round) {
    Lock lock;
    RLock recursive;
    Event taken, taken_too;
    Process p(take_and_sleep<Lock>, lock, taken), q(take_and_sleep<RLock>, recursive, taken_too);
    p.start();
    q.start();
    taken.wait();
    taken_too.wait();
    p.kill();  // not yet reaped: a zombie holds nothing
    q.kill();
    EXPECT_EQ(lock.acquire(), LockResult::owner_died);
    EXPECT_EQ(recursive.acquire(), LockResult::owner_died);
    EXPECT_EQ(recursive.acquire(), LockResult::acquired);
    recursive.release();
    lock.release();
    recursive.release();
    EXPECT_EQ(lock.acquire(), LockResult::acquired);
    EXPECT_EQ(recursive.acquire(), LockResult::acquired);
    lock.release();
    recursive.release();
    p.join();
    q.join();
  }
}

TEST_P(LockTest, WhoSleepsWhenTheHolderIsKilledIsTold) {
  Lock lock;
  Event taken;
  Process p(take_and_sleep<Lock>, lock, taken);
  Process waiter([](Lock& l) { cadre::exit(l.acquire() == LockResult::owner_died ? 4 : 3); }, lock);
  p.start();
  taken.wait();
  waiter.start();
  EXPECT_FALSE(waiter.join(20ms));
  p.kill();
  waiter.join();
  EXPECT_EQ(waiter.exitcode(), 4);
  p.join();
  // It has ended with the lock in turn.
  EXPECT_EQ(lock.try_acquire(), LockResult::owner_died);
  lock.release();
}

TEST_P(LockTest, OneOfManyWaitersIsToldWhenTheHolderIsKilled) {
  Lock lock;
  SharedValue<int> told(0), got(0);
  Event taken;
  Process p(take_and_sleep<Lock>, lock, taken);
  p.start();
  taken.wait();
  std::vector<Process> waiters;
  for (int i = 0; i < 6; ++i)
    waiters.emplace_back(
        [](Lock& l, SharedValue<int>& t, SharedValue<int>& g) {
          const Held held(l);
          t.value() += held.owner_died();
          ++g.value();
        },
        lock, told, got);
  for (Process& w : waiters) w.start();
  p.kill();
  for (Process& w : waiters) w.join();
  p.join();
  EXPECT_EQ(told.value(), 1);
  EXPECT_EQ(got.value(), 6);
}

TEST_P(LockTest, AKilledWaiterTakesNothingWithIt) {
  Lock lock;
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  std::vector<Process> waiters;
  for (int i = 0; i < 4; ++i) waiters.emplace_back([](Lock& l) { const Held held(l); }, lock);
  for (Process& w : waiters) w.start();
  (void)waiters[0].join(10ms);
  waiters[0].kill();
  waiters[1].kill();
  lock.release();
  for (Process& w : waiters) w.join();
  EXPECT_EQ(waiters[2].exitcode(), 0);
  EXPECT_EQ(waiters[3].exitcode(), 0);
  EXPECT_NE(lock.acquire(), LockResult::timed_out);
  lock.release();
}

// Killed at any moment, while several come and go: whoever is told finds the lock his, and the sum is never torn.
TEST_P(LockTest, KillsAtAnyMomentLeaveAWorkingLock) {
  Lock lock;
  SharedValue<std::array<long, 2>> pair({0, 0}, no_lock);
  const auto churn = [](Lock& l, SharedValue<std::array<long, 2>>& v) {
    for (;;) {
      const Held held(l);
      if (held.owner_died()) v.value()[1] = v.value()[0];  // as one repairs a half made change
      if (v.value()[0] != v.value()[1]) cadre::exit(9);
      ++v.value()[0];
      ++v.value()[1];
    }
  };
  const int rounds = GetParam() == StartMethod::spawn ? 8 : 25;
  for (int round = 0; round < rounds; ++round) {
    Process a(churn, lock, pair), b(churn, lock, pair);
    a.start();
    b.start();
    const long before = pair.value()[1];
    testing::wait_until([&] { return static_cast<volatile long&>(pair.value()[1]) > before + 50; });
    a.kill();
    b.kill();
    a.join();
    b.join();
    ASSERT_EQ(a.exitcode(), -SIGKILL);
    ASSERT_EQ(b.exitcode(), -SIGKILL);
  }
  EXPECT_NE(lock.acquire(1s), LockResult::timed_out);
  lock.release();
}

TEST(LockOnThreads, OneThreadAtATimeHasIt) {
  Lock lock;
  RLock recursive;
  long sum = 0, other = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 5'000; ++k) {
        {
          const std::lock_guard guard(lock);
          ++sum;
        }
        const std::lock_guard once(recursive);
        const std::lock_guard twice(recursive);
        ++other;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(sum, 20'000);
  EXPECT_EQ(other, 20'000);
}

TEST(LockOnThreads, ARecursiveLockBelongsToAThread) {
  RLock lock;
  ASSERT_EQ(lock.acquire(), LockResult::acquired);
  std::thread([&] {
    EXPECT_FALSE(lock.is_mine());
    EXPECT_EQ(lock.try_acquire(), LockResult::timed_out);
    EXPECT_NE(error_of([&] { lock.release(); }).find("does not hold"), std::string::npos);
  }).join();
  lock.release();
}

}  // namespace
}  // namespace cadre
