/* Processes under every start method: what Python's documentation says of them, and what happens to the others when one is killed. */
#include <cadre/pool/process.hpp>

#include <poll.h>
#include <signal.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>

#include <cadre/shm/array.hpp>
#include <cadre/sync/event.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;
using testing::runs;
using testing::wait_until;

class ProcessTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ProcessTest, testing::kAllMethods, testing::name_of_method);

/** What a child tells of itself. */
struct Notes {
  int pid, parent, grandchild, other;
  char name[64], parent_name[64];
  bool daemon, main;
};

void nothing() {}
void sleep_for_ever() {
  for (;;) pause();
}
void leave(int code) { cadre::exit(code); }
void throw_something() { throw std::runtime_error("the kitchen is on fire"); }

TEST_P(ProcessTest, ExitcodeIsNothingBeforeItStartsAndWhileItRunsAndZeroWhenRunReturns) {
  Event go;
  Process p([](Event& e) { e.wait(); }, go);
  EXPECT_EQ(p.exitcode(), std::nullopt);
  EXPECT_FALSE(p.is_alive());
  EXPECT_EQ(p.pid(), 0);
  p.start();
  EXPECT_EQ(p.exitcode(), std::nullopt);
  EXPECT_TRUE(p.is_alive());
  EXPECT_GT(p.pid(), 0);
  go.set();
  p.join();
  EXPECT_FALSE(p.is_alive());
  EXPECT_EQ(p.exitcode(), 0);
  p.join();  // "A process can be joined many times."
}

TEST_P(ProcessTest, ExitcodeIsWhatTheChildExitsWith) {
  Process p(leave, 7);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 7);
}

TEST_P(ProcessTest, ExitUnwindsTheStackOfTheChild) {
  SharedValue<int> unwound(0);
  Process p(
      [](SharedValue<int>& v) {
        struct AtEnd {
          SharedValue<int>& v;
          ~AtEnd() { v.value() = 1; }
        } at_end{v};
        cadre::exit(3);
      },
      unwound);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 3);
  EXPECT_EQ(unwound.value(), 1);
}

TEST_P(ProcessTest, AnUncaughtExceptionIsExitcodeOneWithItsMessageOnStderr) {
  Process p(throw_something);
  ::testing::internal::CaptureStderr();
  p.start();
  p.join();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(p.exitcode(), 1);
  EXPECT_NE(said.find("Process " + p.name() + " (pid " + std::to_string(p.pid()) + "): uncaught exception: the kitchen is on fire\n"), std::string::npos) << said;
}

TEST_P(ProcessTest, ExitcodeIsMinusTheSignalThatEndedIt) {
  Process killed(sleep_for_ever), terminated(sleep_for_ever), aborted([] { raise(SIGUSR1); });
  killed.start();
  killed.kill();
  terminated.start();
  terminated.terminate();
  aborted.start();
  for (Process* p : {&killed, &terminated, &aborted}) p->join();
  EXPECT_EQ(killed.exitcode(), -SIGKILL);
  EXPECT_EQ(terminated.exitcode(), -SIGTERM);
  EXPECT_EQ(aborted.exitcode(), -SIGUSR1);
  killed.kill();  // nothing: it has ended
}

TEST_P(ProcessTest, JoinWithATimeoutReturnsWhileTheProcessRuns) {
  Process p(sleep_for_ever);
  p.start();
  EXPECT_FALSE(p.join(10ms));
  EXPECT_EQ(p.exitcode(), std::nullopt);
  p.kill();
  p.join();
  EXPECT_TRUE(p.join(0ms));
}

TEST_P(ProcessTest, NamesCountTheProcessesOfEachParent) {
  SharedValue<Notes> notes(Notes{});
  Process named(ProcessOptions{.name = "dishwasher"}, nothing), a(nothing);
  Process parent(
      [](SharedValue<Notes>& n) {
        Process child(
            [](SharedValue<Notes>& m) {
              std::snprintf(m->name, sizeof m->name, "%s", current_process().name().c_str());
              std::snprintf(m->parent_name, sizeof m->parent_name, "%s", parent_process()->name().c_str());
            },
            n);
        child.start();
        child.join();
      },
      notes);
  EXPECT_EQ(named.name(), "dishwasher");
  EXPECT_EQ(a.name().find("Process-"), 0u);
  EXPECT_EQ(std::stoi(parent.name().substr(8)), std::stoi(a.name().substr(8)) + 1);
  parent.start();
  parent.join();
  EXPECT_EQ(notes->name, parent.name() + ":1");
  EXPECT_EQ(notes->parent_name, parent.name());
}

TEST_P(ProcessTest, AChildKnowsItselfAndItsParent) {
  EXPECT_EQ(current_process().name(), "MainProcess");
  EXPECT_EQ(current_process().pid(), getpid());
  EXPECT_FALSE(parent_process().has_value());
  SharedValue<Notes> notes(Notes{});
  Process p(
      [](SharedValue<Notes>& n) {
        n->pid = current_process().pid();
        n->other = getpid();
        n->parent = parent_process()->pid();
        n->daemon = current_process().daemon();
        n->main = parent_process()->is_alive() && current_process().is_alive();
        std::snprintf(n->parent_name, sizeof n->parent_name, "%s", parent_process()->name().c_str());
      },
      notes);
  p.set_daemon(true);
  p.start();
  p.join();
  EXPECT_EQ(notes->pid, p.pid());
  EXPECT_EQ(notes->other, p.pid());
  EXPECT_EQ(notes->parent, getpid());
  EXPECT_TRUE(notes->daemon);
  EXPECT_TRUE(notes->main);
  EXPECT_STREQ(notes->parent_name, "MainProcess");
}

struct Point {
  double x, y;
};
double half(double v) { return v / 2; }

void add_up(int n, Point p, const std::string& text, const std::vector<std::string>& words, const std::vector<int>& numbers, const Array<double>& array, double (*f)(double),
            SharedValue<double>& sum) {
  double total = n + p.x + p.y + static_cast<double>(text.size());
  for (const auto& word : words) total += static_cast<double>(word.size());
  for (const int number : numbers) total += number;
  for (const double v : array) total += v;
  sum.value() = f(total);
}

TEST_P(ProcessTest, ArgumentsTravel) {
  SharedValue<double> sum(0.0);
  auto storage = allocate_storage(3 * sizeof(double));
  Array<double> array(storage, reinterpret_cast<double*>(storage->data()), {3});
  array[0] = 1, array[1] = 2, array[2] = 4;
  Process p(add_up, 1, Point{10, 20}, "four", std::vector<std::string>{"a", "bb", std::string(5000, 'c')}, std::vector<int>{100, 200}, array, &half, sum);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(sum.value(), (1 + 30 + 4 + 5003 + 300 + 7) / 2.0);
}

TEST_P(ProcessTest, CapturesTravelAsBytes) {
  SharedValue<double> sum(0.0);
  Process p([a = 2.5, b = 3](SharedValue<double>& v) { v.value() = a * b; }, sum);
  p.start();
  p.join();
  EXPECT_EQ(sum.value(), 7.5);
}

#if __has_builtin(__builtin_clear_padding)  // clang before 20 cannot tell padding from members
TEST(Parcel, WhatLiesInPaddingIsNotTakenForAPointer) {
  struct Padded {
    char letter;
    double number;
  };
  alignas(Padded) std::byte room[sizeof(Padded)];
  const void* rest = &room;  // a pointer in the padding, but for its lowest byte
  std::memcpy(room, &rest, sizeof rest);
  auto* value = reinterpret_cast<Padded*>(room);
  value->letter = 'c', value->number = 2.5;
  Parcel parcel;
  Travel<Padded>::pack(parcel, *value);
  ParcelReader reader(parcel.bytes());
  const Padded there = Travel<Padded>::unpack(reader);
  EXPECT_EQ(there.letter, 'c');
  EXPECT_EQ(there.number, 2.5);
}
#endif

TEST_P(ProcessTest, APointerIntoThisProcessIsRefusedWhereTheChildWouldNotHaveIt) {
  int local = 5;
  Process p([](int* at) { cadre::exit(*at); }, &local);
  if (GetParam() == StartMethod::fork) {
    p.start();
    p.join();
    EXPECT_EQ(p.exitcode(), 5);
  } else {
    EXPECT_NE(error_of([&] { p.start(); }).find("a pointer into this process's own memory"), std::string::npos);
    EXPECT_FALSE(p.is_alive());
  }
}

class Greeter : public Process {
 public:
  Greeter(const std::string& whom, SharedValue<Notes> notes) : Process(this, whom, notes), whom_(whom), notes_(notes) {}
  void run() override { std::snprintf(notes_->name, sizeof notes_->name, "%s from %s", whom_.c_str(), name().c_str()); }

 private:
  std::string whom_;
  SharedValue<Notes> notes_;
};

TEST_P(ProcessTest, AClassOverridesRun) {
  SharedValue<Notes> notes(Notes{});
  Greeter p("Ada", notes);
  p.set_name("Charles");
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_STREQ(notes->name, "Ada from Charles");
}

class Unsaid : public Process {
 public:
  void run() override { cadre::exit(4); }
};

TEST_P(ProcessTest, AClassThatDoesNotSayHowItIsMadeAgainRunsUnderForkAlone) {
  Unsaid p;
  if (GetParam() == StartMethod::fork) {
    p.start();
    p.join();
    EXPECT_EQ(p.exitcode(), 4);
  } else {
    EXPECT_NE(error_of([&] { p.start(); }).find("does not say how it is made again"), std::string::npos);
  }
}

TEST_P(ProcessTest, TheSentinelIsReadableWhenTheProcessHasEnded) {
  Event go;
  std::vector<Process> two;
  two.emplace_back([](Event& e) { e.wait(); }, go);
  two.emplace_back(sleep_for_ever);
  for (Process& p : two) p.start();
  pollfd fd{two[0].sentinel(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 0), 0);
  EXPECT_TRUE(wait(std::span<Process>(two), 5ms).empty());
  go.set();
  const std::vector<Process*> ended = wait(std::span<Process>(two));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0], &two[0]);
  const int sentinels[] = {two[0].sentinel(), two[1].sentinel()};
  EXPECT_EQ(wait(sentinels), std::vector<int>{two[0].sentinel()});
  two[0].join();
  EXPECT_EQ(poll(&fd, 1, 0), 1);
  two[1].kill();
  two[1].join();
}

TEST_P(ProcessTest, WhatIsNotAllowedSaysSo) {
  Process p(sleep_for_ever);
  EXPECT_NE(error_of([&] { p.join(); }).find("can only join a started process"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)p.sentinel(); }).find("process not started"), std::string::npos);
  p.start();
  EXPECT_NE(error_of([&] { p.start(); }).find("cannot start a process twice"), std::string::npos);
  EXPECT_NE(error_of([&] { p.close(); }).find("while it is still running"), std::string::npos);
  EXPECT_NE(error_of([&] { p.set_daemon(true); }).find("process has already started"), std::string::npos);
  p.kill();
  p.join();
  p.close();
  p.close();
  EXPECT_NE(error_of([&] { p.join(); }).find("is closed"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)p.exitcode(); }).find("is closed"), std::string::npos);
  EXPECT_NE(error_of([] { (void)get_context("forks"); }).find("it is fork, forkserver or spawn"), std::string::npos);
  EXPECT_NE(error_of([] { set_start_method("fork"); }).find("it is set once"), std::string::npos);
}

TEST_P(ProcessTest, ADaemonicProcessMayNotHaveChildren) {
  Process p(ProcessOptions{.daemon = true}, [] {
    Process child(nothing);
    cadre::exit(error_of([&] { child.start(); }).find("daemonic processes are not allowed to have children") == 0 ? 0 : 1);
  });
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(ProcessTest, ActiveChildrenAreThoseThatRun) {
  EXPECT_TRUE(active_children().empty());
  Process a(sleep_for_ever), b(nothing);
  a.start();
  b.start();
  wait_until([] { return active_children().size() == 1; });
  EXPECT_EQ(active_children()[0].pid(), a.pid());
  EXPECT_EQ(b.exitcode(), 0);
  active_children()[0].kill();
  a.join();
  EXPECT_EQ(a.exitcode(), -SIGKILL);
}

TEST_P(ProcessTest, AChildUsesTheContextItIsAskedFor) {
  for (const char* name : {"fork", "forkserver", "spawn"}) {
    Process p = get_context(name).process(leave, 9);
    EXPECT_STREQ(name_of(p.start_method()), name);
    p.start();
    p.join();
    EXPECT_EQ(p.exitcode(), 9) << name;
  }
}

void end_with_a_child(bool daemon, Event& started, SharedValue<Notes>& notes, bool stay) {
  Process child(
      ProcessOptions{.daemon = daemon},
      [](Event& e, SharedValue<Notes>& n, bool daemonic) {
        n->grandchild = getpid();
        e.set();
        if (daemonic) sleep_for_ever();
        usleep(50'000);
        n->other = 1;
      },
      started, notes, daemon);
  child.start();
  started.wait();
  if (stay) sleep_for_ever();
}

TEST_P(ProcessTest, DaemonicChildrenAreTerminatedWhenTheirParentEnds) {
  Event started;
  SharedValue<Notes> notes(Notes{});
  Process p(end_with_a_child, true, started, notes, false);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_GT(notes->grandchild, 0);
  EXPECT_FALSE(runs(notes->grandchild));
}

TEST_P(ProcessTest, OtherChildrenAreJoinedWhenTheirParentEnds) {
  Event started;
  SharedValue<Notes> notes(Notes{});
  Process p(end_with_a_child, false, started, notes, false);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(notes->other, 1);
}

TEST_P(ProcessTest, FaultC1_NothingIsLeftWhenTheParentIsKilled) {
  for (const bool daemon : {true, false}) {
    Event started;
    SharedValue<Notes> notes(Notes{});
    Process p(end_with_a_child, daemon, started, notes, true);
    p.start();
    started.wait();
    p.kill();
    p.join();
    wait_until([&] { return !runs(notes->grandchild); });
  }
}

TEST_P(ProcessTest, FaultC5_AChildOutlivesTheThreadThatStartedIt) {
  Event go;
  Process p([](Event& e) { e.wait(); }, go);
  std::thread([&] { p.start(); }).join();
  EXPECT_FALSE(p.join(20ms));
  go.set();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(ProcessTest, ManyAtOnceAreAllAccountedFor) {
  std::vector<Process> all;
  for (int i = 0; i < 40; ++i) all.emplace_back(leave, i);
  for (Process& p : all) p.start();
  for (int i = 0; i < 40; ++i) {
    all[static_cast<std::size_t>(i)].join();
    EXPECT_EQ(all[static_cast<std::size_t>(i)].exitcode(), i);
  }
}

TEST_P(ProcessTest, StartingFromSeveralThreadsIsSafe) {
  std::vector<std::thread> threads;
  std::atomic<int> fine{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        Process p(leave, i + 1);
        p.start();
        p.join();
        fine += p.exitcode() == i + 1;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(fine.load(), 20);
}

TEST_P(ProcessTest, CpuCountIsWhatMayBeUsed) { EXPECT_GE(cpu_count(), 1); }

class ForkServer : public ProcessTest {};
INSTANTIATE_TEST_SUITE_P(Methods, ForkServer, ::testing::Values(StartMethod::forkserver), testing::name_of_method);

TEST_P(ForkServer, IsMadeAgainWhenItWasKilled) {
  Process p(sleep_for_ever);
  p.start();
  const pid_t server = forkserver_pid();
  ASSERT_GT(server, 0);
  ::kill(server, SIGKILL);
  Process q(leave, 6);
  q.start();
  q.join();
  EXPECT_EQ(q.exitcode(), 6);
  EXPECT_NE(forkserver_pid(), server);
  // The old one's children go on, but how they end nobody can know.
  EXPECT_TRUE(p.is_alive());
  p.kill();
  p.join();
  EXPECT_EQ(p.exitcode(), 255);
}

TEST(Init, ForgottenIsAnErrorMessageNotAForkBomb) {
  for (const std::string method : {"forkserver", "spawn"}) {
    FILE* out = popen((std::string(CADRE_NO_INIT) + " " + method + " 2>&1").c_str(), "r");
    std::string text;
    char part[512];
    while (std::fgets(part, sizeof part, out)) text += part;
    EXPECT_EQ(WEXITSTATUS(pclose(out)), 1);
    EXPECT_EQ(text, "the start method " + method + " starts copies of the program, which must know what they were started for: write cadre::init(argc, argv); as the first line of main\n");
  }
}

}  // namespace
}  // namespace cadre
