#include <cadre/pool/cpus.hpp>

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

namespace cadre {
namespace {

/** Where a cgroup hierarchy is mounted and which cgroup is seen at its top, from /proc/self/mountinfo. */
struct Mount {
  std::string point, top;
};

Mount find_mount(const std::string& root, const std::string& type, const std::string& controller) {
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string id, parent, device, top, point, found, source, options;
    before >> id >> parent >> device >> top >> point;
    after >> found >> source >> options;
    if (found != type || (!controller.empty() && ("," + options + ",").find("," + controller + ",") == std::string::npos)) continue;
    return {point, top == "/" ? "" : top};
  }
  return {};
}

/** Quota of one cgroup folder in CPUs; 0: none, or the folder can not be read. */
double quota_of(const std::string& folder, bool v2) {
  if (v2) {  // "max 100000" or "150000 100000"
    std::ifstream in(folder + "/cpu.max");
    double quota = 0, period = 0;
    return in >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
  }
  double quota = 0, period = 0;
  std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;  // -1: none
  std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  // The kernel refuses a mask smaller than its own, whose size it does not tell.
  for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
    std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(bits), [](cpu_set_t* s) { CPU_FREE(s); });
    const std::size_t size = CPU_ALLOC_SIZE(bits);
    if (!set || sched_getaffinity(0, size, set.get()) != 0) continue;
    for (int cpu = 0; cpu < bits; ++cpu)
      if (CPU_ISSET_S(cpu, size, set.get())) cpus.push_back(cpu);
    break;
  }
  if (cpus.empty())
    for (unsigned cpu = 0; cpu < std::max(std::thread::hardware_concurrency(), 1u); ++cpu) cpus.push_back(static_cast<int>(cpu));
  return cpus;
}

int usable_cpu_count() {
  const int cpus = static_cast<int>(usable_cpus().size());
  const double quota = cpu_quota();
  return quota > 0 ? std::clamp(static_cast<int>(std::ceil(quota)), 1, cpus) : cpus;
}

double cpu_quota(const std::string& root) {
  double tightest = 0;
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // "0::/user.slice/x" (v2), "4:cpu,cpuacct:/x" (v1)
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const Mount mount = v2 ? find_mount(root, "cgroup2", "") : find_mount(root, "cgroup", "cpu");
    if (mount.point.empty()) continue;
    // A container may see its own cgroup at the top of the mount while the path still names it from the host's top.
    std::string path = line.substr(second + 1);
    if (!mount.top.empty() && path.rfind(mount.top, 0) == 0) path.erase(0, mount.top.size());
    while (!path.empty() && path.back() == '/') path.pop_back();
    while (true) {
      const double quota = quota_of(root + mount.point + path, v2);
      if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
      if (path.empty()) break;
      const std::size_t slash = path.rfind('/');
      path.erase(slash == std::string::npos ? 0 : slash);
    }
  }
  return tightest;
}

}  // namespace cadre
