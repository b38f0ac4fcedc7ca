#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/memory.hpp>
#include <cadre/shm/population.hpp>
#include <cadre/shm/storage.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"

namespace {

using namespace cadre;
using cadre::testing::error_of;
using cadre::testing::in_child;
constexpr std::size_t kMiB = std::size_t{1} << 20;

class ArenaTest : public cadre::testing::LeakCheck {};

bool all_are(const std::byte* p, std::size_t bytes, std::byte value) {
  return std::all_of(p, p + bytes, [value](std::byte b) { return b == value; });
}

/* Memory that the arena's file holds. */
std::size_t held() {
  struct stat status{};
  fstat(Arena::instance().fd(), &status);
  return static_cast<std::size_t>(status.st_blocks) * 512;
}

/* Sum of a field of /proc/self/smaps over the mappings in the arena, in KiB. */
std::size_t smaps_kib(const char* field) {
  const auto base = reinterpret_cast<std::uintptr_t>(Arena::instance().base());
  std::size_t sum = 0;
  bool inside = false;
  char line[4096];
  FILE* smaps = std::fopen("/proc/self/smaps", "re");
  while (std::fgets(line, sizeof line, smaps)) {
    std::uintptr_t from, to;
    std::size_t kib;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2 && std::strchr(line, '-') < std::strchr(line, ' '))
      inside = from >= base && from < base + Arena::instance().size();
    else if (inside && std::strncmp(line, field, std::strlen(field)) == 0 && std::sscanf(line + std::strlen(field), ": %zu kB", &kib) == 1)
      sum += kib;
  }
  std::fclose(smaps);
  return sum;
}

struct SmallPages {
  SmallPages() { setenv("CADRE_PAGES", "4k", 1); }
  ~SmallPages() { unsetenv("CADRE_PAGES"); }
};

TEST_F(ArenaTest, WhatIsAllocatedLaterIsAtTheSameAddressInAnEarlierChild) {
  int to_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::byte* p = nullptr;
    if (read(to_child[0], &p, sizeof p) != sizeof p) _exit(1);
    const bool seen = std::memcmp(p, "cadre", 5) == 0 && Arena::instance().contains(p);
    std::memcpy(p + 5 * kMiB - 2, "ok", 2);
    _exit(seen ? 0 : 2);
  }
  {
    const auto storage = allocate_storage(5 * kMiB);
    std::memcpy(storage->data(), "cadre", 5);
    std::byte* const p = storage->data();
    ASSERT_EQ(write(to_child[1], &p, sizeof p), static_cast<ssize_t>(sizeof p));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(std::memcmp(p + 5 * kMiB - 2, "ok", 2), 0);
  }
  close(to_child[0]);
  close(to_child[1]);
}

TEST_F(ArenaTest, LargeExtentsLieOnHugePagesWhereTheMachineAllows) {
  std::byte* const own = Arena::instance().reserve(2 * kMiB);
  const bool allowed = populate(own, 2 * kMiB);
  Arena::instance().release(own);
  if (!allowed) GTEST_SKIP() << "MADV_COLLAPSE is refused here";
  const std::size_t before = smaps_kib("ShmemPmdMapped");
  const auto storage = allocate_storage(192 * kMiB);
  EXPECT_EQ(smaps_kib("ShmemPmdMapped") - before, 192 * 1024u);
  EXPECT_TRUE(all_are(storage->data(), storage->bytes(), std::byte{0}));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage->data()) % kGrain, 0u);
}

TEST_F(ArenaTest, SmallPagesAreUsedWhenAskedFor) {
  const SmallPages small;
  const std::size_t before = smaps_kib("ShmemPmdMapped"), held_before = held();
  const auto storage = allocate_storage(700 * kMiB);  // larger than what is ever recycled
  EXPECT_EQ(smaps_kib("ShmemPmdMapped"), before);
  EXPECT_EQ(held(), held_before);
  storage->data()[699 * kMiB] = std::byte{1};
  EXPECT_EQ(held(), held_before + 4096);
}

TEST_F(ArenaTest, RecycledMemoryIsZeroedWhenAskedAndOnlyThen) {
  std::byte* first;
  {
    const auto storage = allocate_storage(6 * kMiB);
    first = storage->data();
    std::memset(first, 7, 6 * kMiB);
  }
  {
    const auto storage = allocate_storage(6 * kMiB, false);
    ASSERT_EQ(storage->data(), first);
    EXPECT_TRUE(all_are(first, 6 * kMiB, std::byte{7}));
  }
  const auto storage = allocate_storage(6 * kMiB);
  ASSERT_EQ(storage->data(), first);
  EXPECT_TRUE(all_are(first, 6 * kMiB, std::byte{0}));
}

TEST_F(ArenaTest, ASmallExtentIsNotRecycledForALargeOneOfTheSameGrain) {
  // What a small one was promised is 100 bytes; a large one must be checked against the machine's memory afresh.
  std::vector<std::shared_ptr<Storage>> small;
  for (int i = 0; i < 4; ++i) small.push_back(allocate_storage(100));
  small.clear();
  const auto large = allocate_storage(2 * kMiB);
  std::memset(large->data(), 1, large->bytes());
  const auto again = allocate_storage(100);
  EXPECT_NE(again->data(), large->data());
  EXPECT_TRUE(all_are(again->data(), 100, std::byte{0}));
}

TEST_F(ArenaTest, WhatIsNotKeptIsGivenBackToTheMachineAndComesBackZero) {
  const std::size_t before = held();
  std::byte* first;
  {
    const auto storage = allocate_storage(520 * kMiB);
    first = storage->data();
    for (std::size_t at = 0; at < storage->bytes(); at += 4096) first[at] = std::byte{9};
    EXPECT_GE(held(), before + 520 * kMiB);
  }
  EXPECT_EQ(held(), before);
  const auto storage = allocate_storage(520 * kMiB);
  ASSERT_EQ(storage->data(), first);
  EXPECT_TRUE(all_are(first, 520 * kMiB, std::byte{0}));
}

TEST_F(ArenaTest, BetweenExtentsLiesAGrainThatNobodyOwns) {
  Arena& arena = Arena::instance();
  std::vector<std::byte*> extents;
  for (const std::size_t bytes : {std::size_t{1}, kGrain, kGrain + 1, std::size_t{100}, 3 * kGrain}) extents.push_back(arena.allocate(bytes, true));
  for (std::byte* p : extents) EXPECT_GE(p, arena.base() + arena.heap_bytes() + kGrain);
  std::vector<std::pair<std::byte*, std::size_t>> sorted;
  const std::size_t grains[] = {1, 1, 2, 1, 3};
  for (int i = 0; i < 5; ++i) sorted.emplace_back(extents[i], grains[i] * kGrain);
  std::sort(sorted.begin(), sorted.end());
  for (int i = 1; i < 5; ++i) EXPECT_GE(sorted[i].first, sorted[i - 1].first + sorted[i - 1].second + kGrain);
  for (std::byte* p : extents) arena.release(p);
}

TEST_F(ArenaTest, ReservedRangesHoldNoMemoryUntilTouchedAndAreNotRecycled) {
  Arena& arena = Arena::instance();
  const std::size_t before = held(), in_use = arena.in_use();
  std::byte* const p = arena.reserve(std::size_t{8} << 30);
  EXPECT_EQ(held(), before);
  EXPECT_EQ(arena.in_use(), in_use);
  p[std::size_t{5} << 30] = std::byte{1};
  EXPECT_EQ(held(), before + 4096);
  arena.release(p);
  EXPECT_EQ(held(), before);
}

TEST_F(ArenaTest, ThreadsMayAllocateAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) {
        const auto storage = allocate_storage(static_cast<std::size_t>(1 + (i * 7 + t) % 5) * 700'000);
        EXPECT_TRUE(all_are(storage->data(), 4096, std::byte{0}));
        std::memset(storage->data(), t + 1, 4096);
        EXPECT_TRUE(all_are(storage->data(), 4096, static_cast<std::byte>(t + 1)));
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST_F(ArenaTest, AReleasedFileRangeFaultsWhenTouched) {
  Arena& arena = Arena::instance();
  std::byte* const p = arena.allocate_file_range(100);
  EXPECT_TRUE(arena.contains_file(p));
  EXPECT_FALSE(arena.contains(p));
  ASSERT_NE(mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
  *reinterpret_cast<volatile char*>(p) = 1;
  arena.release_file_range(p);
  EXPECT_EQ(in_child([p] {
              signal(SIGSEGV, SIG_DFL);
              *reinterpret_cast<volatile char*>(p) = 1;
              return 0;
            }),
            "signal 11");
}

TEST(FaultR2, AnArrayThatDoesNotFitInMemoryIsRefusedWithBothFigures) {
  const MemoryLimit limit = available_memory();
  const std::size_t bytes = (limit.bytes + limit.bytes / 2) / kGrain * kGrain;
  const std::string error = error_of([&] { allocate_storage(bytes); });
  EXPECT_EQ(error.find("shared memory for an array of " + human_bytes(bytes) + " needs " + human_bytes(bytes) + ", but "), 0u) << error;
  EXPECT_NE(error.find(" are available (" + limit.what), std::string::npos) << error;
}

TEST(FaultR2, WhatUntouchedArraysWerePromisedCountsAsUsed) {
  const SmallPages small;
  const std::size_t bytes = available_memory().bytes / 10 * 4;
  if (3 * bytes >= Arena::instance().size()) GTEST_SKIP() << "this machine has more memory than the arena has addresses";
  const auto first = allocate_storage(bytes), second = allocate_storage(bytes);
  const std::string error = error_of([&] { allocate_storage(bytes); });
  EXPECT_NE(error.find("less what other arrays were promised"), std::string::npos) << error;
}

}  // namespace
