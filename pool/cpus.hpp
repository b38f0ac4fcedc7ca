#pragma once
/* The CPUs that this process may really use: fewer than the machine has where an affinity mask or a cgroup's CPU quota says so. */
#include <string>
#include <vector>

namespace cadre {

/** The CPUs of the affinity mask, ascending: where workers may be pinned. */
std::vector<int> usable_cpus();

/** How many of them can be busy at once: their number, or the cgroup quota rounded up where that is less. At least 1. */
int usable_cpu_count();

/** The tightest CPU quota of this process's cgroup and its parents (v2 cpu.max; v1 cpu.cfs_quota_us), in CPUs; 0: none.
    `root` stands before /proc and the cgroup mount, for tests. */
double cpu_quota(const std::string& root = "");

}  // namespace cadre
