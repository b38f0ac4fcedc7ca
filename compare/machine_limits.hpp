#pragma once
/* What this machine's cores can do at most, measured here and now: the roof that a throughput is held against. */
#include <cstdint>
#include <string>
#include <vector>

namespace cadre::compare {

struct Roof {
  int cores = 1;
  double read = 0;    // bytes/s: sums over memory that no cache holds
  double triad = 0;   // bytes/s: a[i] = b[i] + s * c[i], two arrays read and one written past the caches (J. McCalpin's STREAM, counted as he does)
  double fma = 0;     // operations/s: float64 fused multiply-adds, two operations each, on registers alone
};

struct MachineLimits {
  std::string cpu, kernel, level;
  int cpus = 1;                  // usable
  std::uint64_t memory = 0;      // bytes
  std::uint64_t last_cache = 0;  // bytes; 0: not known
  std::string huge_pages, shared_huge_pages;
  std::vector<Roof> roofs;       // by cores, ascending
  double fault_seconds = 0;      // of a minor fault on shared memory in 4 KiB pages that another process has touched

  /** For that many workers: those of so many cores, or of all. */
  const Roof& roof(int workers) const;
  /** To what another measurement of the same cores has reached, where that is more. */
  void raise(const MachineLimits& other);
};

/** Measures for each of `cores`, on CPUs of the affinity mask, about 0.3 s each. */
MachineLimits measure_limits(const std::vector<int>& cores);

/** Times of CPUs of the whole machine, in CPU seconds since it was started. */
struct CpuTimes {
  double busy = 0, stolen = 0;
};
CpuTimes cpu_times();

}  // namespace cadre::compare
