#include <cadre/sync/condition.hpp>

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

class ConditionTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ConditionTest, testing::kAllMethods, testing::name_of_method);

struct Counts {
  int ready, woken;
};

/** Says that it is about to wait (with the lock, so nobody can notify before it does), waits, says that it was woken. */
void wait_once(Condition& c, SharedValue<Counts>& counts) {
  const std::lock_guard guard(c);
  ++counts->ready;
  (void)c.wait();
  ++counts->woken;
}

void until_ready(Condition& c, SharedValue<Counts>& counts, int n) {
  testing::wait_until([&] {
    const std::lock_guard guard(c);
    return counts->ready == n;
  });
}

TEST_P(ConditionTest, NotifyWakesAsManyAsItIsTold) {
  Condition c;
  SharedValue<Counts> counts({}, no_lock);
  std::vector<Process> all;
  for (int i = 0; i < 5; ++i) all.emplace_back(wait_once, c, counts);
  for (Process& p : all) p.start();
  until_ready(c, counts, 5);
  for (const int n : {1, 2}) {
    const std::lock_guard guard(c);
    c.notify(static_cast<std::uint32_t>(n));
  }
  testing::wait_until([&] {
    const std::lock_guard guard(c);
    return counts->woken >= 3;
  });
  {
    const std::lock_guard guard(c);
    EXPECT_EQ(counts->woken, 3);
    c.notify_all();
  }
  for (Process& p : all) p.join();
  EXPECT_EQ(counts->woken, 5);
}

TEST_P(ConditionTest, WaitForIsWhatThePredicateSaysInTheEnd) {
  Condition c{AnyLock(Lock())};
  SharedValue<Counts> counts({}, no_lock);
  Process p(
      [](Condition& cond, SharedValue<Counts>& n) {
        for (int i = 0; i < 3; ++i) {
          const std::lock_guard guard(cond);
          ++n->ready;
          cond.notify();
        }
      },
      c, counts);
  const std::lock_guard guard(c);
  EXPECT_FALSE(c.wait_for([&] { return counts->ready == 3; }, 10ms));
  p.start();
  EXPECT_TRUE(c.wait_for([&] { return counts->ready == 3; }));
  EXPECT_EQ(c.wait(5ms), LockResult::timed_out);
  p.join();
}

TEST_P(ConditionTest, WaitGivesUpARecursiveLockWholeAndHasItAgainAsDeep) {
  RLock lock;
  Condition c{AnyLock(lock)};
  (void)lock.acquire();
  (void)lock.acquire();
  Process p(
      [](Condition& cond) {
        const std::lock_guard guard(cond);
        cond.notify_all();
      },
      c);
  p.start();
  EXPECT_EQ(c.wait(), LockResult::acquired);
  p.join();
  lock.release();
  EXPECT_TRUE(lock.is_mine());
  lock.release();
  EXPECT_FALSE(lock.is_held());
}

TEST_P(ConditionTest, WithoutTheLockItIsAnError) {
  Condition c;
  EXPECT_NE(error_of([&] { (void)c.wait(1ms); }).find("wait on a condition whose lock is not held"), std::string::npos);
  EXPECT_NE(error_of([&] { c.notify(); }).find("notify on a condition whose lock is not held"), std::string::npos);
}

TEST_P(ConditionTest, AKilledWaiterSwallowsNoNotify) {
  for (int round = 0; round < 3; ++round) {
    Condition c;
    SharedValue<Counts> counts({}, no_lock);
    Process first(wait_once, c, counts), second(wait_once, c, counts);
    first.start();
    until_ready(c, counts, 1);
    second.start();
    until_ready(c, counts, 2);
    if (round == 0) {  // dead before the notify, which was its turn
      first.kill();
      first.join();
    }
    {
      const std::lock_guard guard(c);
      // Stopped, it is notified but can not take the notify; then it dies.
      if (round > 0) ::kill(first.pid(), SIGSTOP);
      c.notify();
    }
    if (round == 2) (void)second.join(60ms);  // with time enough for the other to look
    first.kill();
    first.join();
    second.join();
    EXPECT_EQ(counts->woken, 1);
    EXPECT_EQ(second.exitcode(), 0);
  }
}

TEST_P(ConditionTest, WaitTellsThatTheHolderDied) {
  Condition c;
  Event taken;
  Process p(
      [](Condition& cond, Event& e) {
        (void)cond.acquire();
        cond.notify();
        e.set();
        for (;;) pause();
      },
      c, taken);
  ASSERT_EQ(c.acquire(), LockResult::acquired);
  p.start();
  std::thread killer([&] {
    taken.wait();
    p.kill();
  });
  EXPECT_EQ(c.wait(), LockResult::owner_died);
  killer.join();
  c.release();
  p.join();
}

// Two that hand a number to each other, one of them killed again and again: the other never hangs for want of a notify.
TEST_P(ConditionTest, KillsAtAnyMomentLeaveAWorkingCondition) {
  Condition c;
  SharedValue<long> number(0, no_lock);
  const auto churn = [](Condition& cond, SharedValue<long>& n) {
    for (;;) {
      const std::lock_guard guard(cond);
      ++n.value();
      cond.notify_all();
      (void)cond.wait(1ms);
    }
  };
  const int rounds = GetParam() == StartMethod::spawn ? 6 : 20;
  for (int round = 0; round < rounds; ++round) {
    Process a(churn, c, number), b(churn, c, number);
    a.start();
    b.start();
    (void)c.acquire();
    const long before = number.value();
    EXPECT_TRUE(c.wait_for([&] { return number.value() > before + 10; }, 60s));
    c.release();
    a.kill();
    b.kill();
    a.join();
    b.join();
  }
}

TEST(ConditionOnThreads, HandsOverBetweenThreads) {
  Condition c;
  int number = 0;
  std::thread even([&] {
    for (int i = 0; i < 500; ++i) {
      const std::lock_guard guard(c);
      c.wait_for([&] { return number % 2 == 0; });
      ++number;
      c.notify();
    }
  });
  for (int i = 0; i < 500; ++i) {
    const std::lock_guard guard(c);
    c.wait_for([&] { return number % 2 == 1; });
    ++number;
    c.notify();
  }
  even.join();
  EXPECT_EQ(number, 1000);
}

}  // namespace
}  // namespace cadre
