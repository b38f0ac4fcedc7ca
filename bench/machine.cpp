#include <cadre/bench/machine.hpp>

#include <sched.h>
#include <sys/utsname.h>
#include <tbb/version.h>
#include <fstream>
#include <sstream>

namespace cadre::bench {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/** The value behind "key : value" of a file such as /proc/cpuinfo. */
std::string field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const auto value = line.find_first_not_of(" \t:", key.size());
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

}  // namespace

int cpu_level() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
    return 4;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") ? 3 : 2;
}

std::string machine_fingerprint() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  sched_getaffinity(0, sizeof cpus, &cpus);
  utsname kernel{};
  uname(&kernel);
  const std::string governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  const bool virtual_machine = field("/proc/cpuinfo", "flags").find(" hypervisor") != std::string::npos;
  std::ostringstream text;
  text << "- CPU: " << field("/proc/cpuinfo", "model name") << ", family " << field("/proc/cpuinfo", "cpu family") << " model "
       << field("/proc/cpuinfo", "model\t") << ", " << CPU_COUNT(&cpus) << " usable, x86-64-v" << cpu_level()
       << (virtual_machine ? ", virtual" : "") << ", governor " << (governor.empty() ? "unknown" : governor) << "\n"
       << "- memory: " << field("/proc/meminfo", "MemTotal") << ", " << field("/proc/meminfo", "MemAvailable") << " available; huge pages "
       << first_line("/sys/kernel/mm/transparent_hugepage/enabled") << ", shared "
       << first_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled") << "\n"
       << "- " << kernel.sysname << " " << kernel.release << ", GCC " << __VERSION__ << ", oneTBB " << TBB_VERSION_STRING << "\n"
       << "- load averages at the start: " << first_line("/proc/loadavg") << "\n";
  return text.str();
}

}  // namespace cadre::bench
