#pragma once
/* What a run of chaos has seen, in memory that outlives the processes that count. */
#include <atomic>
#include <cstdint>

namespace cadre::chaos {

constexpr std::size_t kMostJobs = 16, kSteps = 7;

struct Tally {
  std::atomic<std::uint64_t> jobs, wrong, engines;
  std::atomic<std::uint64_t> kills, at_once, stops, left_stopped, zygotes, standbys;
  std::atomic<std::uint64_t> crashes, reruns;                     // as the pools counted them
  std::atomic<std::uint64_t> hit[kMostJobs][kSteps];              // kills by job, and step of the victim's protocol: 0 it held no chunk
  std::atomic<std::uint32_t> busy, job;                           // a job is running: which
  char first_wrong[256];
  char names[kMostJobs][24];                                      // of the jobs
};

}  // namespace cadre::chaos
