/* The CPU quota, from made-up /proc and cgroup trees; the affinity mask, from the real one. */
#include <sched.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <cadre/pool/cpus.hpp>

namespace cadre {
namespace {

namespace fs = std::filesystem;

constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

class CpuQuota : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / "cadre-cpus-XXXXXX").string();
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(root_); }
  void file(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(CpuQuota, IsNoneWhereThereIsNoCgroup) { EXPECT_EQ(cpu_quota(root_), 0); }

TEST_F(CpuQuota, IsNoneWhereTheGroupHasMax) {
  file("/proc/self/mountinfo", kV2);
  file("/proc/self/cgroup", "0::/a\n");
  file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(root_), 0);
}

TEST_F(CpuQuota, IsTheTightestOfTheGroupAndItsParents) {
  file("/proc/self/mountinfo", kV2);
  file("/proc/self/cgroup", "0::/a/b\n");
  file("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
  file("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cpu_quota(root_), 1.5);
}

TEST_F(CpuQuota, IsFoundAtTheTopOfAContainersMount) {
  file("/proc/self/mountinfo", kV2);
  file("/proc/self/cgroup", "0::/\n");
  file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(cpu_quota(root_), 0.5);
}

TEST_F(CpuQuota, IsFoundWhereThePathStillNamesTheHostsGroups) {
  file("/proc/self/mountinfo", "30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
  file("/proc/self/cgroup", "0::/docker/1f\n");
  file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_EQ(cpu_quota(root_), 3);
}

TEST_F(CpuQuota, IsReadFromVersion1) {
  file("/proc/self/mountinfo", "33 23 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  file("/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/x\n");
  file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n");
  file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
  file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root_), 2.5);
}

TEST(UsableCpus, AreThoseOfTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const std::vector<int> all = usable_cpus();
  EXPECT_EQ(all.size(), static_cast<std::size_t>(CPU_COUNT(&before)));
  CPU_ZERO(&one);
  CPU_SET(all.back(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(), std::vector<int>{all.back()});
  EXPECT_EQ(usable_cpu_count(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

}  // namespace
}  // namespace cadre
