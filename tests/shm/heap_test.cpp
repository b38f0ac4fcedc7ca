#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <cadre/shm/heap.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"

namespace {

using namespace cadre;
using cadre::testing::error_of;
using cadre::testing::in_child;

class HeapTest : public cadre::testing::LeakCheck {};

TEST_F(HeapTest, AChildWritesWhereTheCallerReads) {
  auto* counter = Heap::instance().construct<std::atomic<std::uint64_t>>(40u);
  EXPECT_TRUE(Arena::instance().contains(counter));
  EXPECT_LT(reinterpret_cast<std::byte*>(counter), Arena::instance().base() + Arena::instance().heap_bytes());
  EXPECT_EQ(in_child([&] { return counter->fetch_add(2), 0; }), "exit 0");
  EXPECT_EQ(counter->load(), 42u);
  Heap::instance().destroy(counter);
}

TEST_F(HeapTest, GivesBackWhatIsDestroyedAndHonoursAlignment) {
  struct alignas(64) Line {
    std::uint64_t words[8];
  };
  Heap& heap = Heap::instance();
  const std::size_t before = heap.free_bytes();
  std::vector<Line*> lines;
  for (int i = 0; i < 100; ++i) lines.push_back(heap.construct<Line>());
  for (Line* line : lines) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(line) % 64, 0u);
  EXPECT_LE(heap.free_bytes(), before - 6400);
  for (Line* line : lines) heap.destroy(line);
  EXPECT_EQ(heap.free_bytes(), before);
}

TEST_F(HeapTest, AConstructorThatThrowsLeavesNothing) {
  struct Thrower {
    Thrower() { throw std::runtime_error("no"); }
  };
  const std::size_t before = Heap::instance().free_bytes();
  EXPECT_THROW(Heap::instance().construct<Thrower>(), std::runtime_error);
  EXPECT_EQ(Heap::instance().free_bytes(), before);
}

TEST_F(HeapTest, RefusesWhatDoesNotFitWithBothFigures) {
  const std::string error = error_of([] { Heap::instance().allocate(std::size_t{1} << 30, 8); });
  EXPECT_EQ(error.find("the shared heap has no room for 1.0 GiB: "), 0u) << error;
  EXPECT_NE(error.find(" of 63.5 MiB are free"), std::string::npos) << error;
}

}  // namespace
