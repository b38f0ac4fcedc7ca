/* A manager and the processes that use it: everybody sees every change, and nobody is harmed by the death of another. */
#include <cadre/manager/manager.hpp>

#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;
using testing::wait_until;
using Dict = Data::Dict;
using List = Data::List;

class ManagerTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ManagerTest, testing::kAllMethods, testing::name_of_method);

TEST_P(ManagerTest, AChangeInsideNestedContainersIsVisibleToAll) {
  Manager manager;
  const Proxy m = manager.dict({{"a", Dict{{"b", List{}}}}});
  std::vector<Process> processes;
  for (int i = 0; i < 3; ++i)
    processes.emplace_back(
        [](Proxy& all, Proxy& list, int who) {
          for (int k = 0; k < 20; ++k) {
            all["a"]["b"].append(who);
            list.append(who);
            all["n"].add(1, 0);
          }
        },
        m, m["a"]["b"], i);
  for (Process& p : processes) p.start();
  for (Process& p : processes) p.join();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(m["a"]["b"].count(i), 40);
  EXPECT_EQ(m["n"].as<int>(), 60);
}

void use_everything(ManagerClient& m, Proxy& array, LockProxy& lock, RLockProxy& rlock, ConditionProxy& condition, SemaphoreProxy& semaphore, EventProxy& event, BarrierProxy& barrier, QueueProxy& queue) {
  barrier.wait();
  {
    const std::lock_guard guard(lock);
    array.map<double>()[0] += 1;
  }
  {
    const std::lock_guard twice(rlock);
    const std::lock_guard guard(rlock);
    m["n"] = m["n"].as<int>() + 1;
  }
  (void)semaphore.acquire();
  semaphore.release();
  event.wait();
  {
    const std::lock_guard guard(condition);
    m["arrived"].add(1, 0);
    condition.notify_all();
  }
  queue.put(List{getpid(), "done"});
}
TEST_P(ManagerTest, EveryKindOfObjectIsPassedToProcesses) {
  Manager manager;
  manager["n"] = 0;
  manager["arrived"] = 0;
  const Proxy array = manager.array<double>(10);
  const LockProxy lock = manager.lock();
  const ConditionProxy condition = manager.condition();
  const EventProxy event = manager.event();
  const QueueProxy queue = manager.queue();
  const ManagerClient& client = manager;
  std::vector<Process> processes;
  for (int i = 0; i < 3; ++i) processes.emplace_back(use_everything, client, array, lock, manager.rlock("again"), condition, manager.semaphore(1, "one"), event, manager.barrier(3, "three"), queue);
  for (Process& p : processes) p.start();
  event.set();
  {
    const std::lock_guard guard(condition);
    condition.wait_for([&] { return manager["arrived"].as<int>() == 3; });
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.get().list().at(1).text(), "done");
  for (Process& p : processes) p.join();
  for (Process& p : processes) EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(array.map<double>()[0], 3);
  EXPECT_EQ(array.get(0).real(), 3);
  EXPECT_EQ(manager["n"].as<int>(), 3);
}

/* The rest is the server's business, whoever started it. */
class OneManager : public testing::LeakCheck {
 protected:
  void SetUp() override {
    set_start_method(StartMethod::fork, true);
    static bool warm = false;
    if (!warm) {
      Process first([] {});
      first.start();
      first.join();
      warm = true;
    }
    LeakCheck::SetUp();
    manager_ = std::make_unique<Manager>();
  }
  void TearDown() override {
    manager_.reset();
    LeakCheck::TearDown();
  }
  /** Runs `act` in a process, which says when it is done and is then killed. */
  template <class Act, class... Args>
  void kill_after(Act act, Args... args) {
    auto [here, there] = Pipe();
    Process p(
        [](Connection& told, Act act, Args... each) {
          act(each...);
          told.send(1);
          for (;;) pause();
        },
        there, act, args...);
    p.start();
    there.close();
    (void)here.recv<int>();
    p.kill();
    p.join();
  }
  std::unique_ptr<Manager> manager_;
};

TEST_F(OneManager, WhatAKilledClientHeldGoesBack) {
  const LockProxy lock = manager_->lock();
  kill_after([](const LockProxy& l) { l.lock(); }, lock);
  EXPECT_EQ(lock.acquire(), LockResult::owner_died);
  lock.release();
  EXPECT_EQ(lock.acquire(), LockResult::acquired);

  const RLockProxy rlock = manager_->rlock();
  kill_after(
      [](const RLockProxy& l) {
        l.lock();
        l.lock();
      },
      rlock);
  EXPECT_EQ(rlock.acquire(), LockResult::owner_died);

  const SemaphoreProxy semaphore = manager_->semaphore(3);
  kill_after(
      [](const SemaphoreProxy& s) {
        s.acquire();
        s.acquire();
      },
      semaphore);
  wait_until([&] { return semaphore.get_value() == 3; });

  const QueueProxy queue = manager_->queue();
  queue.put(1);
  kill_after([](const QueueProxy& q) { (void)q.get(); }, queue);
  queue.join();
}

TEST_F(OneManager, AClientKilledWhileItWaitsWaitsNoMore) {
  const QueueProxy queue = manager_->queue();
  const BarrierProxy barrier = manager_->barrier(2);
  const LockProxy lock = manager_->lock();
  lock.lock();
  Process getter([](const QueueProxy& q) { (void)q.get(); }, queue), party([](const BarrierProxy& b) { b.wait(); }, barrier), locker([](const LockProxy& l) { l.lock(); }, lock);
  for (Process* p : {&getter, &party, &locker}) p->start();
  wait_until([&] { return barrier.n_waiting() == 1; });
  std::this_thread::sleep_for(50ms);  // the others have been asked, too, by now; if not, they are killed before that, which must be as harmless
  for (Process* p : {&getter, &party, &locker}) p->kill();
  for (Process* p : {&getter, &party, &locker}) p->join();
  wait_until([&] { return barrier.broken(); });
  EXPECT_NE(error_of([&] { barrier.wait(); }).find("BrokenBarrierError"), std::string::npos);
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  wait_until([&] { return manager_->stats().dict().at("sessions").integer() == 1; });
  queue.put("item");
  EXPECT_EQ(queue.get().text(), "item");  // the dead did not get it
  lock.release();
  EXPECT_EQ(lock.acquire(100ms), LockResult::acquired);
}

TEST_F(OneManager, ANotifiedClientThatDiesPassesItOn) {
  const ConditionProxy condition = manager_->condition();
  const auto sleep = [](const ConditionProxy& c, const QueueProxy& q) {
    const std::lock_guard guard(c);
    q.put("asleep");
    c.wait();
    q.put("awake");
  };
  const QueueProxy queue = manager_->queue();
  Process first(sleep, condition, queue), second(sleep, condition, queue);
  first.start();
  EXPECT_EQ(queue.get().text(), "asleep");
  condition.lock();  // has it once the first sleeps
  condition.unlock();
  second.start();
  EXPECT_EQ(queue.get().text(), "asleep");
  condition.lock();
  condition.notify();
  first.kill();  // it was notified, and waits for the lock
  first.join();
  wait_until([&] { return manager_->stats().dict().at("sessions").integer() == 2; });
  condition.unlock();
  EXPECT_EQ(queue.get().text(), "awake");
  second.join();
}

TEST_F(OneManager, AClientKilledAtAnyPointHarmsNobodyElse) {
  const Proxy m = manager_->dict({{"list", List{}}, {"n", 0}});
  const LockProxy lock = manager_->lock();
  const QueueProxy queue = manager_->queue(3);
  for (int round = 0; round < 40; ++round) {
    Process p(
        [](const Proxy& d, const LockProxy& l, const QueueProxy& q) {
          for (;;) {
            const std::lock_guard guard(l);
            d["n"].add(1);
            d["list"] = List(100, "0123456789");
            d["list"].sort();
            (void)q.put(1, 1ms);
            (void)q.get(1ms);
          }
        },
        m, lock, queue);
    p.start();
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(500 + round * 137);
    while (std::chrono::steady_clock::now() < end) m["n"].add(0);  // somebody else goes on meanwhile
    p.kill();
    p.join();
    EXPECT_NE(lock.acquire(), LockResult::timed_out);
    lock.release();
    const std::size_t size = m["list"].size();
    EXPECT_TRUE(size == 0 || size == 100) << size;
  }
  wait_until([&] { return manager_->stats().dict().at("sessions").integer() == 1; });
}

TEST_F(OneManager, AKilledManagerIsAnErrorThatSaysSo) {
  const QueueProxy queue = manager_->queue();
  std::string waiting;
  std::thread waiter([&] { waiting = error_of([&] { (void)queue.get(); }); });
  wait_until([&] { return manager_->stats().dict().at("connections").integer() == 2; });
  manager_->process().kill();
  manager_->process().join();
  waiter.join();
  EXPECT_NE(waiting.find("has ended"), std::string::npos) << waiting;
  EXPECT_THROW(queue.put(1), ManagerGone);
  EXPECT_NE(error_of([&] { queue.put(1); }).find("connect to the manager at @cadre-manager-"), std::string::npos);
}

TEST_F(OneManager, TheServerEndsWithItsOwner) {
  auto [here, there] = Pipe();
  Process owner(
      [](Connection& told) {
        Manager manager;
        told.send(manager.server_pid());
        for (;;) pause();
      },
      there);
  owner.start();
  const auto server = here.recv<pid_t>();
  EXPECT_TRUE(testing::runs(server));
  owner.kill();
  owner.join();
  wait_until([&] { return !testing::runs(server); });
}

TEST_F(OneManager, TransactionsAreDoneWhollyOrNotAtAllAndNothingComesBetween) {
  const Proxy accounts = manager_->list(List(4, 1000));
  std::vector<Process> processes;
  for (int who = 0; who < 3; ++who)
    processes.emplace_back(
        [](ManagerClient& m, const Proxy& a, int seed) {
          unsigned state = static_cast<unsigned>(seed) + 1;
          for (int i = 0; i < 150; ++i) {
            state = state * 1664525 + 1013904223;
            const int from = static_cast<int>(state >> 8 & 3), to = static_cast<int>(state >> 16 & 3), amount = static_cast<int>(state >> 24);
            try {
              m.transaction([&](Transaction& t) {
                t(a)[from].add(-amount);
                t(a)[to].add(amount);
                if (i % 3 == 0) t(a)[from].require(-1);  // fails after both
              });
            } catch (const ManagerError&) {
            }
            std::int64_t sum = 0;
            for (const Data& each : a) sum += each.integer();
            if (sum != 4000) cadre::exit(3);
          }
        },
        static_cast<const ManagerClient&>(*manager_), accounts, who);
  for (Process& p : processes) p.start();
  for (Process& p : processes) p.join();
  for (Process& p : processes) EXPECT_EQ(p.exitcode(), 0);
  const std::string refused = error_of([&] {
    manager_->transaction([&](Transaction& t) {
      t(accounts).append(1);
      t(accounts)[99].add(1);
    });
  });
  EXPECT_EQ(refused, "IndexError: a list of 5 has no element 99 (call 1 of the transaction: nothing was changed)");
  EXPECT_EQ(accounts.size(), 4u);
}

TEST_F(OneManager, ProxiesHaveTheVerbsOfContainers) {
  const Proxy m = manager_->dict({{"l", List{3, 1}}, {"d", Dict{{"x", 1}}}});
  const Proxy l = m["l"], d = m["d"];
  l.extend({2, List{4}});
  l.insert(0, "first");
  EXPECT_EQ(l.value().repr(), "['first', 3, 1, 2, [4]]");
  EXPECT_EQ(l.pop().repr(), "[4]");
  EXPECT_EQ(l.pop(0).text(), "first");
  l.sort();
  l.append(1);
  EXPECT_EQ(l.count(1), 2);
  EXPECT_EQ(l.index(3), 2);
  l.reverse();
  l.remove(1);
  EXPECT_EQ(l.value().repr(), "[3, 2, 1]");
  EXPECT_EQ(l.slice(nullptr, nullptr, -1).repr(), "[1, 2, 3]");
  l.set_slice(1, 2, {7, 8});
  l.del_slice(0, 1);
  EXPECT_EQ(l.value().repr(), "[7, 8, 1]");
  EXPECT_EQ(l.get(-1).integer(), 1);
  l[0] = 70;
  l.del(1);
  EXPECT_TRUE(l.contains(70));
  std::string seen;
  for (const Data& each : l) seen += each.repr() + " ";
  EXPECT_EQ(seen, "70 1 ");

  d.set("y", 2);
  d.update({{"z", 3}, {"x", 10}});
  EXPECT_EQ(d.setdefault("z", 0).integer(), 3);
  EXPECT_EQ(d.get("none", 5).integer(), 5);
  EXPECT_TRUE(d.get("none").is_null());
  EXPECT_EQ(d.pop("y").integer(), 2);
  EXPECT_EQ(d.pop("y", "gone").text(), "gone");
  EXPECT_EQ(d.items().at(0).second.integer(), 10);
  EXPECT_EQ(d.popitem().first.text(), "z");
  EXPECT_EQ(d.keys().size() + d.values().size(), 2u);
  d["deep"] = m["l"];  // a copy of its value
  d["deep"].append("more");
  EXPECT_EQ(d.repr(), "{'x': 10, 'deep': [70, 1, 'more']}");
  EXPECT_EQ(l.size(), 2u);
  Proxy where = d["deep"];
  where = d["x"];  // another place; nothing is changed
  EXPECT_EQ(where.as<int>(), 10);
  where = 11;
  EXPECT_EQ(d["x"].as<int>(), 11);
  d["deep"].erase();
  EXPECT_FALSE(d["deep"].exists());
  EXPECT_EQ(d["x"].type(), "int");
  d.clear();
  EXPECT_EQ(d.size(), 0u);
  EXPECT_EQ(manager_->name_space({{"a", 1}})["a"].as<int>(), 1);
  try {
    (void)d["nothing"].value();
    ADD_FAILURE();
  } catch (const ManagerError& e) {
    EXPECT_EQ(e.type(), "KeyError");
    EXPECT_STREQ(e.what(), "KeyError: 'nothing' (at ['d'])");
  }
}

TEST_F(OneManager, CompareAndSetLosesNothing) {
  const Proxy n = manager_->value(0);
  std::vector<Process> processes;
  for (int i = 0; i < 3; ++i)
    processes.emplace_back(
        [](const Proxy& v) {
          for (int k = 0; k < 100; ++k)
            for (int seen = v.as<int>(); !v.compare_and_set(seen, seen + 1); seen = v.as<int>()) continue;
        },
        n);
  for (Process& p : processes) p.start();
  for (Process& p : processes) p.join();
  EXPECT_EQ(n.as<int>(), 300);
}

TEST_F(OneManager, ManyKeysInOneCall) {
  const Proxy d = manager_->dict();
  Dict items;
  List keys;
  for (int i = 0; i < 1000; ++i) {
    items.set(i, i * i);
    keys.push_back(i);
  }
  d.update(items);
  const std::vector<Data> all = d.get_many(keys);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].integer(), i * i);
  const auto told = manager_->batch([&](Transaction& t) {
    t(d)[1].add(1);
    t(d).pop(2);
  });
  EXPECT_EQ(told.at(0).integer(), 2);
  EXPECT_EQ(told.at(1).integer(), 4);
}

TEST_F(OneManager, AnArrayIsMemoryThatIsShared) {
  const Proxy array = manager_->array(std::vector<double>(100'000, 1.0));
  const std::int64_t calls = manager_->stats().dict().at("calls").integer();
  auto mapped = array.map<double>();
  Process p([](const Proxy& a) { a.map<double>()[99'999] = 7; }, array);
  p.start();
  p.join();
  EXPECT_EQ(mapped[99'999], 7);
  for (double& x : mapped) x *= 2;
  EXPECT_EQ(array.get(99'999).real(), 14);
  EXPECT_LT(manager_->stats().dict().at("calls").integer(), calls + 6);  // two to map, and these
  EXPECT_EQ(array.slice(0, 3).as<std::vector<double>>(), (std::vector<double>{2, 2, 2}));
  array.write(1, std::vector<double>{5, 6});
  EXPECT_EQ(mapped[2], 6);
  EXPECT_NE(error_of([&] { (void)array.map<float>(); }).find("map an array of float64 as one of float32"), std::string::npos);
  manager_->root()["inside"] = std::vector<int>{1, 2, 3};
  EXPECT_EQ(manager_->root()["inside"].map<int>()[1], 2);
}

TEST_F(OneManager, ThreadsHaveConnectionsOfTheirOwnAndOneSession) {
  const QueueProxy queue = manager_->queue();
  const RLockProxy rlock = manager_->rlock();
  rlock.lock();
  std::thread other([&] {
    EXPECT_EQ(rlock.acquire(10ms), LockResult::timed_out);  // another thread
    EXPECT_NE(error_of([&] { rlock.release(); }).find("RuntimeError"), std::string::npos);
    EXPECT_EQ(queue.get().integer(), 5);
  });
  wait_until([&] { return manager_->stats().dict().at("connections").integer() == 2; });
  queue.put(5);
  other.join();
  EXPECT_EQ(manager_->stats().dict().at("sessions").integer(), 1);
  rlock.unlock();
}

TEST_F(OneManager, AForkedChildHasASessionOfItsOwn) {
  const LockProxy lock = manager_->lock();
  lock.lock();
  EXPECT_EQ(testing::in_child([&] { return lock.acquire(10ms) == LockResult::timed_out ? 0 : 1; }), "exit 0");
  EXPECT_EQ(lock.try_acquire(), LockResult::timed_out);  // still held: what the child closed was not the parent's
  lock.release();
}

TEST_F(OneManager, ManyClientsAtOnceLeaveNothingBehind) {
  const Proxy shared = manager_->dict();
  const LockProxy lock = manager_->lock();
  const QueueProxy queue = manager_->queue();
  const auto count = [&](const char* what) { return manager_->stats().dict().at(what).integer(); };
  const std::int64_t objects = count("objects");
  for (int round = 0; round < 2; ++round) {
    std::vector<Process> clients;
    for (int i = 0; i < 40; ++i)
      clients.emplace_back(
          [](const ManagerClient& m, const Proxy& s, const LockProxy& l, const QueueProxy& q, int who) {
            const Proxy own = m.dict();
            for (int k = 0; k < 20; ++k) {
              own[k] = List{k, "text", 2.5};
              q.put(k);
              if (!q.get(20s)) cadre::exit(3);
              const std::lock_guard guard(l);
              s["held"] = who;
              m.transaction([&](Transaction& t) {
                t(s)["held"].require(who);
                t(s)["n"].add(1, 0);
              });
            }
          },
          static_cast<const ManagerClient&>(*manager_), shared, lock, queue, i);
    for (Process& p : clients) p.start();
    for (Process& p : clients) p.join();
    for (Process& p : clients) EXPECT_EQ(p.exitcode(), 0);
  }
  EXPECT_EQ(shared["n"].as<int>(), 1600);
  wait_until([&] { return count("sessions") == 1 && count("connections") == 1 && count("objects") == objects; });
}

TEST_F(OneManager, WaitsHaveAnEnd) {
  EXPECT_EQ(manager_->queue().get(1ms), std::nullopt);
  const QueueProxy full = manager_->queue(1);
  EXPECT_TRUE(full.put(1, 1ms));
  EXPECT_FALSE(full.put(2, 1ms));
  EXPECT_TRUE(full.full());
  EXPECT_FALSE(full.join(1ms));
  EXPECT_FALSE(manager_->event().wait(1ms));
  EXPECT_FALSE(manager_->semaphore(0).acquire(1ms));
  const ConditionProxy condition = manager_->condition();
  EXPECT_NE(error_of([&] { condition.wait(1ms); }).find("RuntimeError: the lock is not held by this thread"), std::string::npos);
  condition.lock();
  EXPECT_FALSE(condition.wait(1ms));
  condition.unlock();
  EXPECT_NE(error_of([&] { manager_->barrier(2).wait(1ms); }).find("BrokenBarrierError"), std::string::npos);
  EXPECT_NE(error_of([&] {
              const SemaphoreProxy s = manager_->bounded_semaphore(1);
              s.release();
            }).find("ValueError"),
            std::string::npos);
}

TEST_F(OneManager, ObjectsHaveNamesOrEndWithTheirUsers) {
  const Proxy first = manager_->list({1}, "shared");
  EXPECT_EQ(manager_->list({2}, "shared").object(), first.object());
  EXPECT_EQ(manager_->list({}, "shared").value().repr(), "[1]");
  EXPECT_EQ(error_of([&] { (void)manager_->dict({}, "shared"); }), "TypeError: 'shared' is a list, not a dict");
  const std::int64_t before = manager_->stats().dict().at("objects").integer();
  kill_after(
      [](const ManagerClient& m) {
        (void)m.dict();
        (void)m.queue();
        (void)m.list({}, "kept");
      },
      static_cast<const ManagerClient&>(*manager_));
  wait_until([&] { return manager_->stats().dict().at("objects").integer() == before + 1; });
  const LockProxy gone = manager_->lock();
  std::string told;
  gone.lock();
  std::thread waiter([&] { told = error_of([&] { gone.lock(); }); });
  wait_until([&] { return manager_->stats().dict().at("connections").integer() == 2; });
  std::this_thread::sleep_for(20ms);
  manager_->remove(gone);
  waiter.join();
  EXPECT_NE(told.find("ReferenceError"), std::string::npos);
  EXPECT_NE(error_of([&] { gone.release(); }).find("ReferenceError"), std::string::npos);
}

TEST_F(OneManager, AnotherUserIsNotLetIn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::string address = manager_->address();
  const std::string told = testing::in_child([&] {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 9;
    ManagerClient m(address);
    return 0;
  });
  EXPECT_NE(told.find("threw"), std::string::npos) << told;
}

class Counter {
 public:
  explicit Counter(int start) : n_(start) {}
  int add(int k) { return n_ += k; }
  void fail(const std::string& why) { throw Error("CounterError: " + why); }
  std::vector<double> halves() const { return {n_ / 2.0, n_ / 4.0}; }

 private:
  int n_;
};
TEST_P(ManagerTest, TypesOfAProgramsOwnLiveInItsManager) {
  Manager manager([](TypeRegistry& r) { r.type<Counter, int>("Counter").method("add", &Counter::add).method("fail", &Counter::fail).method("halves", &Counter::halves); });
  const ObjectProxy counter = manager.object("Counter", {10});
  Process p([](const ObjectProxy& c) { c.call("add", {5}); }, counter);
  p.start();
  p.join();
  EXPECT_EQ(counter.call("add", {0}).integer(), 15);
  EXPECT_EQ(counter.call("halves").as<std::vector<double>>(), (std::vector<double>{7.5, 3.75}));
  try {
    counter.call("fail", {"of course"});
    ADD_FAILURE();
  } catch (const ManagerError& e) {
    EXPECT_EQ(e.type(), "CounterError");
    EXPECT_STREQ(e.what(), "CounterError: of course");
  }
  EXPECT_EQ(error_of([&] { counter.call("add"); }), "TypeError: add takes 1 arguments, not 0");
  EXPECT_EQ(error_of([&] { counter.call("sub", {1}); }), "AttributeError: a Counter has no sub");
  EXPECT_NE(error_of([&] { (void)manager.object("Nothing"); }).find("NameError: the manager has no type Nothing"), std::string::npos);
}

}  // namespace
}  // namespace cadre
