#include <cadre/compare/evidence.hpp>

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace cadre::compare {
namespace {

std::string text_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  close(fd);
  return text;
}

/** The number behind "NAME:" at the beginning of a line. */
std::uint64_t field(const std::string& text, const char* name) {
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
    if (at == 0 || text[at - 1] == '\n') return std::strtoull(text.c_str() + at + std::strlen(name), nullptr, 10);
  return 0;
}

constexpr struct {
  std::uint32_t type;
  std::uint64_t config;
} kEvents[kCounters] = {
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    {PERF_TYPE_HW_CACHE, PERF_COUNT_HW_CACHE_DTLB | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16},
    {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
};

/** CPU seconds of a thread of this process, or of another process as a whole: to the nanosecond also while it runs, where /proc is a tick behind. */
double cpu_seconds(pid_t process, pid_t task) {
  // How clock_getcpuclockid(3) and pthread_getcpuclockid(3) make their clocks: the id inverted, then 2 for scheduled time, 4 for a thread.
  const clockid_t clock = process == getpid() ? static_cast<clockid_t>(~static_cast<unsigned>(task) << 3 | 6) : static_cast<clockid_t>(~static_cast<unsigned>(process) << 3 | 2);
  timespec t{};
  return clock_gettime(clock, &t) == 0 ? static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9 : 0;
}

std::string reason(int error) {
  if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP) return "this machine has no such counter (a virtual one often has none)";
  if (error == EACCES || error == EPERM) return "it may not be read here (kernel.perf_event_paranoid, or a container's filter)";
  return std::strerror(error);
}

}  // namespace

Usage& Usage::operator+=(const Usage& other) {
  cpu += other.cpu;
  wait += other.wait;
  minor += other.minor;
  major += other.major;
  voluntary += other.voluntary;
  involuntary += other.involuntary;
  for (std::size_t i = 0; i < kCounters; ++i) counters[i] += other.counters[i];
  return *this;
}

Usage Usage::operator-(const Usage& before) const {
  Usage d{cpu - before.cpu, wait - before.wait, minor - before.minor, major - before.major, voluntary - before.voluntary, involuntary - before.involuntary, {}};
  for (std::size_t i = 0; i < kCounters; ++i) d.counters[i] = counters[i] - before.counters[i];
  return d;
}

MemoryUse memory_of(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  const std::string rollup = text_of(folder + "/smaps_rollup"), status = text_of(folder + "/status");
  return {.pss = field(rollup, "Pss:") * 1024, .private_bytes = (field(rollup, "Private_Dirty:") + field(rollup, "Private_Clean:")) * 1024, .page_tables = field(status, "VmPTE:") * 1024};
}

Observer::Observer(std::vector<pid_t> workers) : workers_(std::move(workers)) {}

Observer::~Observer() {
  for (const auto& [task, fds] : counters_)
    for (const int fd : fds)
      if (fd >= 0) close(fd);
}

std::vector<Observer::Seen> Observer::tasks() const {
  std::vector<Seen> all;
  for (const pid_t pid : workers_)
    if (pid > 0) all.push_back({pid, pid});
  if (!workers_.empty()) return all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) all.push_back({getpid(), static_cast<pid_t>(std::atoi(entry.path().filename().c_str()))});
  return all;
}

void Observer::open_counters(pid_t task) {
  if (counters_.contains(task)) return;
  auto& fds = counters_[task];
  for (std::size_t i = 0; i < kCounters; ++i) {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = kEvents[i].type;
    attributes.config = kEvents[i].config;
    attributes.exclude_hv = 1;
    fds[i] = static_cast<int>(syscall(SYS_perf_event_open, &attributes, task, -1, -1, PERF_FLAG_FD_CLOEXEC));
    if (fds[i] < 0 && errno == EACCES) {  // kernel.perf_event_paranoid 2: what happens in user mode may still be counted
      attributes.exclude_kernel = 1;
      fds[i] = static_cast<int>(syscall(SYS_perf_event_open, &attributes, task, -1, -1, PERF_FLAG_FD_CLOEXEC));
    }
    if (fds[i] < 0) missing_[i] = reason(errno);
  }
}

Usage Observer::read(const Seen& seen) {
  const std::string folder = "/proc/" + std::to_string(seen.process) + "/task/" + std::to_string(seen.task);
  Usage usage;
  usage.cpu = cpu_seconds(seen.process, seen.task);
  unsigned long long wait = 0;
  if (std::sscanf(text_of(folder + "/schedstat").c_str(), "%*u %llu", &wait) == 1) usage.wait = static_cast<double>(wait) * 1e-9;
  // The name, in parentheses, may hold anything: fields are counted from behind it.
  const std::string stat = text_of(folder + "/stat");
  const std::size_t name_end = stat.rfind(')');
  unsigned long long minor = 0, major = 0;
  if (name_end != std::string::npos && std::sscanf(stat.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor, &major) == 2) {
    usage.minor = minor;
    usage.major = major;
  }
  const std::string status = text_of(folder + "/status");
  usage.voluntary = field(status, "voluntary_ctxt_switches:");
  usage.involuntary = field(status, "nonvoluntary_ctxt_switches:");
  open_counters(seen.task);
  const auto& fds = counters_[seen.task];
  for (std::size_t i = 0; i < kCounters; ++i)
    if (fds[i] < 0 || ::read(fds[i], &usage.counters[i], sizeof usage.counters[i]) != sizeof usage.counters[i]) usage.counters[i] = 0;
  return usage;
}

void Observer::begin() {
  before_.clear();
  for (const Seen& seen : tasks()) before_[seen.task] = read(seen);
}

std::vector<WorkerUsage> Observer::end(std::vector<pid_t> workers) {
  workers_ = std::move(workers);
  std::vector<WorkerUsage> all;
  for (const Seen& seen : tasks()) {
    const auto at = before_.find(seen.task);
    all.push_back({seen.task, read(seen) - (at != before_.end() ? at->second : Usage{})});
  }
  return all;
}

}  // namespace cadre::compare
