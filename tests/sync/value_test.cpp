#include <cadre/sync/value.hpp>

#include <signal.h>

#include <mutex>

#include <cadre/sync/event.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using testing::error_of;

class ValueTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ValueTest, testing::kAllMethods, testing::name_of_method);

struct Point {
  double x = 0, y = 0;
};

TEST_P(ValueTest, WhatAChildWritesIsSeenByAll) {
  SharedValue<double> number(1.5);
  SharedArray<Point> points({{1, -6}, {-5, 2}, {2, 9}}, no_lock);
  SharedArray<std::int64_t> many(100'000);
  SharedString text("hello world");
  Process p(
      [](SharedValue<double>& n, SharedArray<Point>& ps, SharedArray<std::int64_t>& m, SharedString& t) {
        n.value() *= n.value();
        for (Point& point : ps) point = {point.x * point.x, point.y * point.y};
        for (std::size_t i = 0; i < m.size(); ++i) m[i] = static_cast<std::int64_t>(i);
        for (char& c : t.raw()) c = static_cast<char>(std::toupper(c));
      },
      number, points, many, text);
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(*number, 2.25);
  EXPECT_EQ(points[1].x, 25);
  EXPECT_EQ(points[2].y, 81);
  EXPECT_EQ(many[99'999], 99'999);
  EXPECT_EQ(text.value(), "HELLO WORLD");
}

TEST_P(ValueTest, OneLockMayGuardSeveral) {
  RLock lock;
  SharedValue<int> a(0, lock), b(0, lock);
  Event taken;
  Process p(
      [](SharedValue<int>& v, Event& e) {
        (void)v.get_lock().acquire();
        v.value() = 1;
        e.set();
        for (;;) pause();
      },
      a, taken);
  p.start();
  taken.wait();
  EXPECT_EQ(b.get_lock().try_acquire(), LockResult::timed_out);
  p.kill();
  // The other value of the same lock: its next locker is told that a change may be half made.
  EXPECT_EQ(b.get_lock().acquire(), LockResult::owner_died);
  EXPECT_EQ(lock.is_mine(), true);
  b.get_lock().release();
  p.join();
}

TEST_P(ValueTest, WithoutALockThereIsNoneToGet) {
  SharedValue<int> v(3, no_lock);
  EXPECT_FALSE(v.has_lock());
  EXPECT_NE(error_of([&] { (void)v.get_lock(); }).find("made without a lock"), std::string::npos);
  EXPECT_EQ(v.value(), 3);
}

TEST_P(ValueTest, AStringHasAFixedCapacity) {
  SharedString text("abc", 8);
  EXPECT_EQ(text.capacity(), 8u);
  text.set("12345678");
  EXPECT_EQ(text.value(), "12345678");
  EXPECT_EQ(error_of([&] { text.set("123456789"); }), "a text of 9 bytes does not fit in a shared string of 8");
  text.set("x");
  EXPECT_EQ(text.value(), "x");
  EXPECT_EQ(text.raw()[7], '\0');
}

TEST_P(ValueTest, AnArrayBeginsAsZerosAndChecksWhereAsked) {
  SharedArray<int> zeros(5);
  for (const int v : zeros) EXPECT_EQ(v, 0);
  EXPECT_EQ(error_of([&] { (void)zeros.at(5); }), "element 5 of a shared array of 5");
}

TEST_P(ValueTest, OnlyTheFirstProcessMakesThem) {
  Process p([] {
    const std::string said = error_of([] { SharedValue<int> v(1); });
    cadre::exit(said.find("shared objects are made by the program's first process") == 0 ? 0 : 1);
  });
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(ValueTest, AProcessKeepsWhatItWasGivenUntilItEnds) {
  const std::size_t before = Heap::instance().free_bytes();
  Event go;
  SharedString result("....");
  {
    std::optional<Process> p;
    {
      SharedValue<int> dropped(42);
      p.emplace(
          [](Event& e, SharedValue<int>& v, SharedString& r) {
            e.wait();
            r.set(std::to_string(v.value()));
          },
          go, dropped, result);
      p->start();
    }
    SharedValue<int> another(7);  // would take the place of the dropped one
    go.set();
    p->join();
    EXPECT_EQ(result.value(), "42");
  }
  EXPECT_LT(before - Heap::instance().free_bytes(), 1024u);
}

}  // namespace
}  // namespace cadre
