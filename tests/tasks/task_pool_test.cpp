/* Pools of every start method: what Python's documentation says of them, and what becomes of tasks and pool when workers crash or are killed. */
#include <cadre/tasks/task_pool.hpp>

#include <signal.h>

#include <numeric>
#include <random>

#include <cadre/sync/event.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;
using testing::wait_until;

class TaskPoolTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, TaskPoolTest, testing::kAllMethods, testing::name_of_method);

int square(int x) { return x * x; }
std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}
[[gnu::noinline]] int crash_here(int x) {
  volatile std::uintptr_t nowhere = 64;
  return *reinterpret_cast<volatile int*>(nowhere) + x;
}
int throw_something(int x) {
  if (x > 0) throw std::runtime_error("not here");
  return x;
}
int misbehave(int x) {
  if (x == 3) throw std::out_of_range("no such row: 3");
  if (x == 5) return crash_here(x);
  if (x == 7) _exit(9);
  if (x == 8) throw 42;
  return x;
}

TEST_P(TaskPoolTest, MapHasTheResultsInTheOrderOfTheItems) {
  TaskPool pool(3);
  EXPECT_EQ(pool.map(square, std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), (std::vector{0, 1, 4, 9, 16, 25, 36, 49, 64, 81}));
  for (const std::uint64_t chunk : {0, 1, 7, 1000, 5000}) {
    const std::vector<int> all = pool.map(square, numbers(1000), chunk);
    ASSERT_EQ(all.size(), 1000u);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], i * i);
  }
  EXPECT_TRUE(pool.map(square, std::vector<int>()).empty());
#if !defined(__clang__) || __clang_major__ >= 16  // before, it did not understand the views of GCC's library
  EXPECT_EQ(pool.map(square, std::views::iota(1, 4)), (std::vector{1, 4, 9}));
#endif
}

TEST_P(TaskPoolTest, ItemsAndResultsAreOfAnyTypeThatTravels) {
  TaskPool pool(2);
  EXPECT_EQ(pool.map([](const std::string& s) { return s + "!"; }, std::vector<std::string>{"a", "bb"}), (std::vector<std::string>{"a!", "bb!"}));
  EXPECT_EQ(pool.apply([](const std::string& s, int n) { return std::vector<std::string>(static_cast<std::size_t>(n), s); }, "x", 3), (std::vector<std::string>{"x", "x", "x"}));
  EXPECT_EQ(pool.map([a = 2.5](double v) { return a * v > 4; }, std::vector{1.0, 2.0}), (std::vector{false, true}));
  EXPECT_EQ(pool.apply([](std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }, std::vector<double>(1'000'000, 0.5)), 500'000.0);
  const auto large = pool.apply([](std::size_t n) { return std::string(n, 'z'); }, std::size_t{5'000'000});  // more than the ring of replies holds
  EXPECT_EQ(large, std::string(5'000'000, 'z'));
  SharedValue<int> value(0);
  (void)pool.map([](std::pair<int, SharedValue<int>>& p) { std::atomic_ref(p.second.value()).fetch_add(p.first); },
                 std::vector<std::pair<int, SharedValue<int>>>{{1, value}, {2, value}, {3, value}});
  EXPECT_EQ(value.value(), 6);
}

TEST_P(TaskPoolTest, StarmapSpreadsTheItemsAndApplyTakesArguments) {
  TaskPool pool(2);
  EXPECT_EQ(pool.starmap([](int a, int b) { return a * 10 + b; }, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}), (std::vector{12, 34}));
  EXPECT_EQ(pool.starmap([](int a, const std::string& s) { return s + std::to_string(a); }, std::vector<std::tuple<int, std::string>>{{1, "a"}, {2, "b"}}),
            (std::vector<std::string>{"a1", "b2"}));
  EXPECT_EQ(pool.apply(square, 12), 144);
  EXPECT_EQ(pool.apply([] { return 5; }), 5);
  EXPECT_EQ(pool.apply([] {}), std::monostate());
}

TEST_P(TaskPoolTest, AsyncReturnsAtOnceAndGetWaitsWithATimeoutWhereAsked) {
  TaskPool pool(2);
  Event go;
  Future<int> f = pool.apply_async([](Event& e, int x) { return e.wait(), x; }, go, 8);
  EXPECT_FALSE(f.ready());
  EXPECT_EQ(f.get(10ms), std::nullopt);
  EXPECT_NE(error_of([&] { (void)f.successful(); }).find("not over"), std::string::npos);
  go.set();
  EXPECT_EQ(f.get(), 8);
  EXPECT_EQ(f.get(), 8);
  EXPECT_TRUE(f.ready() && f.successful());
  MapFuture<int> m = pool.map_async(square, numbers(100));
  EXPECT_TRUE(m.wait(1h));
  EXPECT_EQ(m.get()[99], 99 * 99);
}

TEST_P(TaskPoolTest, ImapHasThemInOrderAndUnorderedAsTheyCome) {
  TaskPool pool(3);
  int expected = 0;
  for (const int r : pool.imap(square, numbers(100))) {
    ASSERT_EQ(r, expected * expected);
    ++expected;
  }
  EXPECT_EQ(expected, 100);
  std::vector<int> all;
  auto results = pool.imap_unordered(square, numbers(100), 7);
  while (const std::optional<int> r = results.next()) all.push_back(*r);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, pool.map(square, numbers(100)));

  Event go;
  auto held = pool.imap_unordered([](std::pair<int, Event>& p) { return p.first == 0 ? p.second.wait(), 0 : p.first; }, std::vector<std::pair<int, Event>>{{0, go}, {1, go}, {2, go}});
  EXPECT_EQ(*held.next() + *held.next(), 3);  // the first is not over yet
  EXPECT_FALSE(held.wait(5ms));
  go.set();
  EXPECT_EQ(held.next(), 0);
  EXPECT_EQ(held.next(), std::nullopt);
}

TEST_P(TaskPoolTest, AnExceptionArrivesAtGetWithTypeAndMessage) {
  TaskPool pool(2);
  try {
    (void)pool.map(misbehave, numbers(5));
    FAIL() << "nothing was thrown";
  } catch (const TaskError& e) {
    EXPECT_EQ(e.type(), "std::out_of_range");
    EXPECT_EQ(e.message(), "no such row: 3");
    EXPECT_STREQ(e.what(), "std::out_of_range: no such row: 3");
  }
  try {
    (void)pool.apply(misbehave, 8);
    FAIL() << "nothing was thrown";
  } catch (const TaskError& e) {
    EXPECT_EQ(e.type(), "int");
  }
  EXPECT_FALSE([&] { auto f = pool.apply_async(misbehave, 3); f.wait(); return f.successful(); }());
}

TEST_P(TaskPoolTest, ACrashIsWorkerDiedWithSignalAndStackAndThePoolLivesOn) {
  TaskPool pool(2);
  auto results = pool.imap(misbehave, numbers(10));
  std::vector<int> good;
  int threw = 0;
  for (bool more = true; more;) {
    try {
      const std::optional<int> r = results.next();
      more = r.has_value();
      if (r) good.push_back(*r);
    } catch (const TaskError&) {
      ++threw;
    } catch (const WorkerDied& e) {
      if (e.signal() == 0) {
        EXPECT_EQ(e.exit_code(), 9);
        EXPECT_TRUE(e.stack().empty());
        continue;
      }
      EXPECT_EQ(e.signal(), SIGSEGV);
      ASSERT_FALSE(e.stack().empty());
      EXPECT_NE(e.stack()[0].find("crash_here"), std::string::npos) << e.stack()[0];
      EXPECT_NE(std::string(e.what()).find("the worker of a task died of SIGSEGV in "), std::string::npos) << e.what();
    }
  }
  EXPECT_EQ(good, (std::vector{0, 1, 2, 4, 6, 9}));
  EXPECT_EQ(threw, 2);
  EXPECT_EQ(pool.map(square, numbers(50)).size(), 50u);
}

TEST_P(TaskPoolTest, AnUncaughtTerminateIsToldWithItsMessage) {
  TaskPool pool(1);
  try {
    (void)pool.apply([](int x) noexcept { return throw_something(x); }, 1);
    FAIL() << "nothing was thrown";
  } catch (const WorkerDied& e) {
    EXPECT_EQ(e.signal(), SIGABRT);
    EXPECT_NE(std::string(e.what()).find("not here"), std::string::npos) << e.what();
  }
  EXPECT_EQ(pool.apply(square, 3), 9);
}

/* Workers are killed at any moment, also while they take tasks and reply: every task is run at most once, and has a result exactly where it was. */
TEST_P(TaskPoolTest, WorkersKilledAtAnyMomentLoseAtMostTheTaskThatTheyHeld) {
  constexpr int kMost = 100'000, kKills = 30;
  SharedArray<std::uint8_t> runs(kMost, no_lock);
  TaskPool pool(TaskPoolOptions{.processes = 3});
  std::vector<Future<std::size_t>> all;
  std::mt19937 random(7);
  int kills = 0;
  while (kills < kKills && all.size() < kMost) {
    for (int i = 0; i < 100; ++i)
      all.push_back(pool.apply_async([](SharedArray<std::uint8_t>& r, std::size_t k) { return std::atomic_ref(r[k]).fetch_add(1), k; }, runs, all.size()));
    usleep(random() % 1000);
    for (const pid_t pid : pool.pids())
      if (pid > 0 && testing::runs(pid) && random() % 3 == 0) kills += ::kill(pid, SIGKILL) == 0;
  }
  int lost = 0;
  for (std::size_t at = 0; at < all.size(); ++at) {
    try {
      ASSERT_EQ(all[at].get(), at);
      ASSERT_EQ(runs[at], 1);
    } catch (const WorkerDied& e) {
      ++lost;
      EXPECT_EQ(e.signal(), SIGKILL);
      ASSERT_LE(runs[at], 1);
    }
  }
  EXPECT_LE(lost, kills);
  RecordProperty("lost", lost);
  EXPECT_EQ(pool.map(square, numbers(10)).size(), 10u);
}

TEST_P(TaskPoolTest, EachWorkerCallsTheInitializerOnceBeforeItsTasks) {
  static int prepared = 0;
  SharedValue<int> calls(0);
  TaskPool pool(
      TaskPoolOptions{.processes = 2},
      [](SharedValue<int>& c, const std::string& text) {
        prepared = static_cast<int>(text.size());
        std::atomic_ref(c.value()).fetch_add(1);
      },
      calls, "seven..");
  for (const int p : pool.map([](int) { return prepared; }, numbers(20), 1)) ASSERT_EQ(p, 7);
  EXPECT_EQ(prepared, 0);
  pool.close();
  pool.join();
  EXPECT_EQ(calls.value(), 2);
}

TEST_P(TaskPoolTest, AnInitializerThatAlwaysFailsEndsThePoolWithItsMessage) {
  TaskPool pool(TaskPoolOptions{.processes = 2}, [] { throw std::runtime_error("no licence"); });
  const auto f = pool.apply_async(square, 2);
  EXPECT_NE(error_of([&] { (void)f.get(); }).find("the initializer of the pool fails in every worker: std::runtime_error: no licence"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)pool.apply(square, 2); }).find("no licence"), std::string::npos);
}

TEST_P(TaskPoolTest, AFreshProcessTakesThePlaceOfOneThatHasRunItsTasks) {
  TaskPool pool(TaskPoolOptions{.processes = 1, .max_tasks_per_child = 5});
  std::set<int> pids;
  for (const int pid : pool.map([](int) { return static_cast<int>(getpid()); }, numbers(20), 1)) pids.insert(pid);
  EXPECT_EQ(pids.size(), 4u);
}

TEST_P(TaskPoolTest, CloseLetsTheTasksEndAndJoinWaitsForIt) {
  TaskPool pool(2);
  EXPECT_NE(error_of([&] { pool.join(); }).find("still running"), std::string::npos);
  const auto f = pool.map_async([](int x) { return usleep(500), x; }, numbers(60), 1);
  pool.close();
  EXPECT_NE(error_of([&] { (void)pool.apply(square, 1); }).find("takes no more tasks"), std::string::npos);
  pool.join();
  EXPECT_EQ(f.get(), numbers(60));
}

TEST_P(TaskPoolTest, TerminateEndsTheTasksAtOnceAndGetSaysSo) {
  Event started;
  std::optional<Future<int>> left;
  {
    TaskPool pool(2);
    left = pool.apply_async([](Event& e) -> int { for (e.set();;) pause(); }, started);
    started.wait();
  }  // the end of the scope
  EXPECT_NE(error_of([&] { (void)left->get(); }).find("terminated before the task was over"), std::string::npos);
  TaskPool pool(2);
  const auto f = pool.apply_async([] { for (;;) pause(); });
  pool.terminate();
  pool.join();
  EXPECT_NE(error_of([&] { (void)f.get(); }).find("terminated"), std::string::npos);
}

TEST_P(TaskPoolTest, MoreTasksThanTheRingHoldsAndMoreThanOneThreadSubmits) {
  TaskPool pool(2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      std::vector<Future<int>> all;
      for (int i = 0; i < 3000; ++i) all.push_back(pool.apply_async(square, i + t));
      for (int i = 0; i < 3000; ++i) wrong += all[static_cast<std::size_t>(i)].get() != (i + t) * (i + t);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace cadre
