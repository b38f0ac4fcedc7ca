#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include <cadre/shm/memory.hpp>

#include "../support/child.hpp"
#include "../support/temp_dir.hpp"

namespace {

using namespace cadre;

/* A tree that looks like /proc and /sys of a machine with 8 GiB available. */
class FakeMachine {
 public:
  FakeMachine(const std::string& mountinfo, const std::string& cgroup) {
    put("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n");
    put("/proc/self/mountinfo", mountinfo);
    put("/proc/self/cgroup", cgroup);
  }
  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(directory_.path() + path).parent_path());
    directory_.file(path.substr(1), text);
  }
  MemoryLimit limit() const { return available_memory(directory_.path()); }

 private:
  cadre::testing::TempDir directory_;
};

constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(AvailableMemory, IsMemAvailableWhereNoCgroupSaysLess) {
  FakeMachine machine(kV2, "0::/user.slice/a\n");
  machine.put("/sys/fs/cgroup/user.slice/a/memory.max", "max\n");
  machine.put("/sys/fs/cgroup/user.slice/a/memory.current", "5\n");
  EXPECT_EQ(machine.limit().bytes, 8ull << 30);
  EXPECT_EQ(machine.limit().what, "MemAvailable");
}

TEST(AvailableMemory, IsWhatTheTightestParentLeavesLessThePageCache) {
  FakeMachine machine(kV2, "0::/user.slice/a\n");
  machine.put("/sys/fs/cgroup/user.slice/a/memory.max", "6000000000\n");
  machine.put("/sys/fs/cgroup/user.slice/a/memory.current", "1000000000\n");
  machine.put("/sys/fs/cgroup/user.slice/memory.max", "5000000000\n");
  machine.put("/sys/fs/cgroup/user.slice/memory.current", "4000000000\n");
  machine.put("/sys/fs/cgroup/user.slice/memory.stat", "anon 3000000000\ninactive_file 300000000\nactive_file 200000000\n");
  EXPECT_EQ(machine.limit().bytes, 1'500'000'000u);
  EXPECT_EQ(machine.limit().what, "cgroup memory.max");
}

TEST(AvailableMemory, IsNothingWhereACgroupIsOverItsLimit) {
  FakeMachine machine(kV2, "0::/\n");
  machine.put("/sys/fs/cgroup/memory.max", "1000\n");
  machine.put("/sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(machine.limit().bytes, 0u);
}

TEST(AvailableMemory, ReadsVersionOneOfCgroupsAndContainersMountRoots) {
  FakeMachine machine("35 31 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n");
  machine.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000000\n");
  machine.put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000000\n");
  machine.put("/sys/fs/cgroup/memory/memory.stat", "cache 1\ntotal_inactive_file 100\ntotal_active_file 10\n");
  EXPECT_EQ(machine.limit().bytes, 2'000'000'110u);
  EXPECT_EQ(machine.limit().what, "cgroup memory.limit_in_bytes");
}

TEST(AvailableMemory, OfThisMachineIsSomething) {
  EXPECT_GT(available_memory().bytes, 1u << 20);
  EXPECT_LT(available_memory().bytes, 1ull << 50);
}

TEST(RequireMemory, NamesTheDeedBothFiguresAndTheLimit) {
  const std::string error = cadre::testing::error_of([] { require_memory(1ull << 60, "the table"); });
  EXPECT_EQ(error.find("the table needs 1.0 EiB, but "), 0u) << error;
  EXPECT_NE(error.find(available_memory().what), std::string::npos) << error;
  require_memory(1, "the table");
}

TEST(HumanBytes, RoundsToOneDecimal) {
  EXPECT_EQ(human_bytes(0), "0 bytes");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(12ull << 30), "12.0 GiB");
  EXPECT_EQ(human_bytes(~0ull), "16.0 EiB");
}

}  // namespace
