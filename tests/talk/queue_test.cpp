/* Queues between processes of every start method: what Python's documentation says of them, and what becomes of the others when somebody is killed. */
#include <cadre/talk/queue.hpp>

#include <signal.h>

#include <numeric>
#include <thread>

#include <cadre/sync/event.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;
using testing::wait_until;

class QueueTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, QueueTest, testing::kAllMethods, testing::name_of_method);

/** Items say who put them, and as which of theirs. */
struct Item {
  std::uint32_t producer, number;
};

void produce(Queue<Item>& q, std::uint32_t producer, std::uint32_t count, SharedArray<std::uint32_t>& put) {
  for (std::uint32_t i = 0; i < count; ++i) {
    q.put({producer, i});
    put[producer] = i + 1;
  }
}
/** Until the item that is nobody's. */
constexpr std::uint32_t kNobodys = 99;
void consume(Queue<Item>& q, SharedArray<std::uint8_t>& seen, std::uint32_t count) {
  for (Item item = q.get(); item.producer != kNobodys; item = q.get())
    std::atomic_ref(seen[item.producer * count + item.number]).fetch_add(1);
}

TEST_P(QueueTest, ItemsArriveInTheOrderInWhichTheyWerePut) {
  Queue<int> q(10);
  Process p(
      [](Queue<int>& to) {
        for (int i = 0; i < 5000; ++i) to.put(i);
      },
      q);
  p.start();
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(q.get(), i);
  p.join();
  EXPECT_TRUE(q.empty());
}

TEST_P(QueueTest, PutWaitsForAFreeSlotAndSaysWhenNoneCame) {
  Queue<int> q(2);
  EXPECT_EQ(q.maxsize(), 2u);
  EXPECT_TRUE(q.put_nowait(1));
  EXPECT_TRUE(q.put(2, 10ms));
  EXPECT_TRUE(q.full());
  EXPECT_FALSE(q.put_nowait(3));
  const std::uint64_t begin = monotonic_ns();
  EXPECT_FALSE(q.put(3, 30ms));
  EXPECT_GE(monotonic_ns() - begin, 30'000'000u);
  Process p([](Queue<int>& to) { to.put(3); }, q);
  p.start();
  EXPECT_FALSE(p.join(20ms));
  EXPECT_EQ(q.get(), 1);
  p.join();
  EXPECT_EQ(q.qsize(), 2u);
}

TEST_P(QueueTest, GetWaitsForAnItemAndSaysWhenNoneCame) {
  Queue<double> q;
  EXPECT_EQ(q.get_nowait(), std::nullopt);
  const std::uint64_t begin = monotonic_ns();
  EXPECT_EQ(q.get(30ms), std::nullopt);
  EXPECT_GE(monotonic_ns() - begin, 30'000'000u);
  Process p(
      [](Queue<double>& to) {
        usleep(20'000);
        to.put(0.5);
      },
      q);
  p.start();
  EXPECT_EQ(q.get(), 0.5);
  p.join();
}

TEST_P(QueueTest, WhatCanBePassedToAProcessCanBePut) {
  using Thing = std::tuple<std::string, std::vector<double>, SharedValue<int>>;
  SharedValue<int> value(7);
  Queue<Thing> there, back;
  Process p(
      [](Queue<Thing>& from, Queue<Thing>& to) {
        auto [text, numbers, shared] = from.get();
        shared.value() += 1;
        for (double& v : numbers) v *= 2;
        to.put({text + "!", numbers, shared});
      },
      there, back);
  p.start();
  there.put({std::string(100'000, 'x'), {1, 2, 3}, value});
  auto [text, numbers, shared] = back.get();
  p.join();
  EXPECT_EQ(text, std::string(100'000, 'x') + "!");
  EXPECT_EQ(numbers, (std::vector<double>{2, 4, 6}));
  EXPECT_EQ(&shared.value(), &value.value());
  EXPECT_EQ(value.value(), 8);
}

TEST_P(QueueTest, ItemsOfAnySizeGoAroundTheEndOfTheRing) {
  Queue<std::string> texts(0, 4096);
  struct Odd {
    char bytes[24];
  };
  Queue<Odd> odd(5);
  Process p(
      [](Queue<std::string>& to, Queue<Odd>& other) {
        for (std::size_t i = 0; i < 3000; ++i) {
          to.put(std::string(i * 7 % 4000, static_cast<char>('a' + i % 26)));
          Odd o;
          std::fill(std::begin(o.bytes), std::end(o.bytes), static_cast<char>(i));
          other.put(o);
        }
      },
      texts, odd);
  p.start();
  for (std::size_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(texts.get(), std::string(i * 7 % 4000, static_cast<char>('a' + i % 26)));
    const Odd o = odd.get();
    ASSERT_TRUE(std::all_of(std::begin(o.bytes), std::end(o.bytes), [&](char c) { return c == static_cast<char>(i); })) << i;
  }
  p.join();
  EXPECT_NE(error_of([&] { texts.put(std::string(5000, 'x')); }).find("does not fit in a queue of 4.0 KiB"), std::string::npos);
}

TEST_P(QueueTest, ManyPutAndManyTakeAndEveryItemArrivesOnce) {
  constexpr std::uint32_t kCount = 5000;
  Queue<Item> q(64);
  SharedArray<std::uint32_t> put(4);
  SharedArray<std::uint8_t> seen(4 * kCount);
  std::vector<Process> producers, consumers;
  for (std::uint32_t i = 0; i < 4; ++i) {
    producers.emplace_back(produce, q, i, kCount, put);
    consumers.emplace_back(consume, q, seen, kCount);
  }
  for (Process& p : consumers) p.start();
  for (Process& p : producers) p.start();
  for (Process& p : producers) p.join();
  for (int i = 0; i < 4; ++i) q.put({kNobodys, 0});
  for (Process& p : consumers) p.join();
  EXPECT_TRUE(q.empty());
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](std::uint8_t n) { return n == 1; }));
}

TEST_P(QueueTest, AnItemThatWasPutOutlivesTheProcessThatPutIt) {
  SimpleQueue<int> q;
  Process p(
      [](SimpleQueue<int>& to) {
        to.put(5);
        raise(SIGKILL);  // Python's feeder thread may not have sent it yet
      },
      q);
  p.start();
  p.join();
  EXPECT_FALSE(q.empty());
  EXPECT_EQ(q.get(), 5);
}

/* Killed while it puts, at any moment: what it had put is there, in order, and the others go on. */
TEST_P(QueueTest, ProducersKilledAtAnyMomentLoseAtMostTheItemThatTheyHeld) {
  constexpr std::uint32_t kMany = 1u << 30;
  for (int round = 0; round < 5; ++round) {
    Queue<Item> q(16);
    SharedArray<std::uint32_t> put(2);
    Process victim(produce, q, 0u, kMany, put), other(produce, q, 1u, 4000u, put);
    victim.start();
    other.start();
    std::uint32_t next[2] = {0, 0};
    const auto take = [&](const Item& item) { ASSERT_EQ(item.number, next[item.producer]++); };
    for (int i = 0; i < 500 + round * 123; ++i) take(q.get());
    victim.kill();
    while (next[1] < 4000) take(q.get());
    victim.join();
    other.join();
    while (const std::optional<Item> item = q.get_nowait()) take(*item);
    // What put() has returned of has come; the one after it may have.
    EXPECT_GE(next[0], put[0]);
    EXPECT_LE(next[0], put[0] + 1);
  }
}

TEST_P(QueueTest, ConsumersKilledAtAnyMomentLoseAtMostTheItemThatTheyHeld) {
  for (int round = 0; round < 5; ++round) {
    constexpr std::uint32_t kCount = 5000;
    Queue<Item> q(16);
    SharedArray<std::uint32_t> put(1);
    SharedArray<std::uint8_t> seen(kCount);
    Process victim(consume, q, seen, kCount), other(consume, q, seen, kCount), producer(produce, q, 0u, kCount, put);
    for (Process* p : {&victim, &other, &producer}) p->start();
    wait_until([&] { return put[0] > static_cast<std::uint32_t>(300 + 500 * round); });
    victim.kill();
    producer.join();
    q.put({kNobodys, 0});
    other.join();
    victim.join();
    EXPECT_EQ(other.exitcode(), 0);
    EXPECT_LE(std::count(seen.begin(), seen.end(), 0), 1);
    EXPECT_EQ(std::count_if(seen.begin(), seen.end(), [](std::uint8_t n) { return n > 1; }), 0);
  }
}

TEST_P(QueueTest, AProcessKilledWhileItWaitsHoldsNobodyUp) {
  Queue<int> empty(1), full(1);
  full.put(0);
  std::vector<Process> asleep;
  for (int i = 0; i < 3; ++i) {
    asleep.emplace_back([](Queue<int>& q) { (void)q.get(); }, empty);
    asleep.emplace_back([](Queue<int>& q) { q.put(1); }, full);
  }
  for (Process& p : asleep) p.start();
  wait_until([&] { return empty.get_nowait() == std::nullopt && full.full(); });
  usleep(20'000);  // most of them are asleep by now; it is as well if not
  for (Process& p : asleep) {
    p.kill();
    p.join();
  }
  Process taker([](Queue<int>& q, Queue<int>& to) { to.put(q.get() + q.get()); }, full, empty);
  EXPECT_EQ(full.get(), 0);
  full.put(20);
  taker.start();
  full.put(22);
  EXPECT_EQ(empty.get(), 42);
  taker.join();
}

TEST_P(QueueTest, JoinWaitsUntilEveryItemIsDone) {
  JoinableQueue<int> q(100);
  SharedValue<long> sum(0);
  std::vector<Process> all;
  for (int i = 0; i < 3; ++i)
    all.emplace_back(ProcessOptions{.daemon = true},
                     [](JoinableQueue<int>& from, SharedValue<long>& to) {
                       for (int item = from.get(); item >= 0; item = from.get()) {
                         std::atomic_ref(to.value()).fetch_add(item);
                         from.task_done();
                       }
                     },
                     q, sum);
  for (int i = 0; i < 50; ++i) q.put(i);
  EXPECT_FALSE(q.join(10ms));
  for (Process& p : all) p.start();
  q.join();
  EXPECT_EQ(sum.value(), 50 * 49 / 2);
  EXPECT_NE(error_of([&] { q.task_done(); }).find("more often than there were items"), std::string::npos);
  for (int i = 0; i < 3; ++i) q.put(-1);
  for (Process& p : all) p.join();
  EXPECT_TRUE(q.join(0ms));  // who took the last three has ended
}

TEST_P(QueueTest, JoinDoesNotWaitForWhatAKilledConsumerHad) {
  JoinableQueue<int> q(100);
  Event taken;
  Process p(
      [](JoinableQueue<int>& from, Event& e) {
        (void)from.get();
        (void)from.get();
        from.task_done();
        e.set();
        for (;;) pause();
      },
      q, taken);
  for (int i = 0; i < 3; ++i) q.put(i);
  p.start();
  taken.wait();
  EXPECT_EQ(q.get(), 2);
  q.task_done();
  EXPECT_FALSE(q.join(10ms));
  p.kill();
  q.join();
  p.join();
}

TEST(QueueThreads, PutAndTakeInOneProcess) {
  Queue<long> q(32);
  Queue<std::string> texts(8);
  std::vector<std::thread> threads;
  std::atomic<long> sum{0}, bytes{0};
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (long i = 1; i <= 2000; ++i) {
        q.put(i);
        texts.put(std::string(static_cast<std::size_t>(i % 10), 'x'));
      }
    });
    threads.emplace_back([&] {
      for (long i = 1; i <= 2000; ++i) {
        sum += q.get();
        bytes += static_cast<long>(texts.get().size());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(sum.load(), 2 * 2000 * 2001 / 2);
  EXPECT_EQ(bytes.load(), 2 * 9000);
}

TEST(QueueLimits, AreSaid) {
  EXPECT_NE(error_of([] { Queue<int> q(std::size_t{1} << 23); }).find("it can have up to 4194304"), std::string::npos);
  Queue<int> q;
  EXPECT_GE(q.maxsize(), 100'000u);
  EXPECT_FALSE(q.full());
}

}  // namespace
}  // namespace cadre
