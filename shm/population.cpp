#include <cadre/shm/population.hpp>

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

namespace cadre {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;
constexpr std::size_t kRun = std::size_t{32} << 20;       // collapsed by one call
constexpr std::size_t kParallel = std::size_t{64} << 20;  // from here on a second thread pays for its start
constexpr int kCollapse = 25;                             // MADV_COLLAPSE, newer than the C library's headers

bool collapse(std::byte* p, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += kHuge) *reinterpret_cast<volatile char*>(p + at) = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (madvise(p, bytes, kCollapse) == 0) return true;
    if (errno != EAGAIN) return false;  // EINVAL: not known; ENOMEM: no huge page to be had; EBUSY: cgroup limit
  }
  return false;
}

unsigned usable_cpus() noexcept {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

}  // namespace

bool populate(std::byte* p, std::size_t bytes) noexcept {
  const char* pages = std::getenv("CADRE_PAGES");
  if (pages && std::strcmp(pages, "4k") == 0) return false;

  // Runs are claimed one by one, so that a thread that starts late or never costs nothing but its share.
  std::atomic<std::size_t> next{0};
  std::atomic<bool> all{true};
  const auto work = [&] {
    for (std::size_t at; all.load(std::memory_order_relaxed) && (at = next.fetch_add(kRun, std::memory_order_relaxed)) < bytes;)
      if (!collapse(p + at, std::min(kRun, bytes - at))) all.store(false, std::memory_order_relaxed);
  };
  std::vector<std::thread> others;
  if (bytes >= kParallel) {
    const unsigned threads = std::min(usable_cpus(), 4u);
    try {
      others.reserve(threads);
      for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
    } catch (const std::exception&) {
      // No further threads to be had: this one does it all.
    }
  }
  work();
  for (std::thread& other : others) other.join();
  return all.load(std::memory_order_relaxed);
}

}  // namespace cadre
