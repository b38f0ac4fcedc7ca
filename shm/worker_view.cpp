#include <cadre/shm/worker_view.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include <cadre/shm/arena.hpp>

namespace cadre {

namespace detail {
std::ptrdiff_t alias_distance = 0;
std::ptrdiff_t window_distance = 0;
}  // namespace detail

namespace {

// What this worker has mapped, most recently used last. Windows stay mapped from job to job (their page tables are what makes the
// second job fast); the oldest goes when there are too many.
struct Mapped {
  std::byte* at;
  std::uint64_t bytes;
  std::uint64_t serial;
  std::uint64_t used;
};
constexpr std::size_t kMaxMapped = 128;
std::array<Mapped, kMaxMapped> mapped;
std::size_t mapped_count = 0;
std::uint64_t clock_of_use = 0;
pid_t caller_pid = 0;

std::uint64_t round_up(std::uint64_t bytes, std::uint64_t grain) { return (bytes + grain - 1) / grain * grain; }

void forget(std::size_t i) {
  mmap(mapped[i].at, mapped[i].bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  mapped[i] = mapped[--mapped_count];
}

int map_one(const Mapping& m) {
  auto* at = reinterpret_cast<std::byte*>(m.address);
  if (m.writable) at = window(at);
  const std::uint64_t bytes = m.fd < 0 ? round_up(m.bytes, kGrain) : round_up(m.bytes, 4096);
  for (std::size_t i = 0; i < mapped_count;) {
    Mapped& have = mapped[i];
    if (have.at == at && have.bytes == bytes && have.serial == m.serial) {
      have.used = ++clock_of_use;
      return 0;
    }
    if (at < have.at + have.bytes && have.at < at + bytes)
      forget(i);
    else
      ++i;
  }
  if (mapped_count == kMaxMapped)
    forget(static_cast<std::size_t>(std::min_element(mapped.begin(), mapped.end(), [](auto& a, auto& b) { return a.used < b.used; }) - mapped.begin()));
  int fd = Arena::instance().fd();
  off_t offset = static_cast<off_t>(m.address - reinterpret_cast<std::uintptr_t>(Arena::instance().base()));
  if (m.fd >= 0) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", static_cast<int>(caller_pid), m.fd);
    fd = open(path, (m.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) return errno;
    offset = 0;
  }
  void* got = mmap(at, bytes, m.writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd, offset);
  const int error = got == MAP_FAILED ? errno : 0;
  if (m.fd >= 0) close(fd);
  if (error) return error;
  madvise(at, bytes, MADV_DONTFORK);
  madvise(at, bytes, MADV_DONTDUMP);
  mapped[mapped_count++] = {at, bytes, m.serial, ++clock_of_use};
  return 0;
}

}  // namespace

int enter_worker_view(pid_t caller) noexcept {
  Arena& arena = Arena::instance();
  std::byte* const base = arena.base();
  const std::size_t size = arena.size();
  caller_pid = caller;

  // Files are mapped anew as jobs name them: what the caller had mapped when it forked may be writable there.
  if (mmap(base + size, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) return errno;
  void* alias = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena.fd(), 0);
  if (alias == MAP_FAILED) return errno;
  // 2 MiB aligned in address as in the file, or huge pages could not be mapped as such.
  const std::uintptr_t off = reinterpret_cast<std::uintptr_t>(alias) % kGrain;
  if (off != 0) {
    munmap(alias, size);
    alias = mmap(nullptr, size + kGrain, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (alias == MAP_FAILED) return errno;
    auto* aligned = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::uintptr_t>(alias), kGrain));
    alias = mmap(aligned, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, arena.fd(), 0);
    if (alias == MAP_FAILED) return errno;
  }
  void* reserved = mmap(nullptr, 2 * size + kGrain, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return errno;
  auto* windows = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::uintptr_t>(reserved), kGrain));
  if (mprotect(base + arena.heap_bytes(), size - arena.heap_bytes(), PROT_READ) != 0) return errno;

  // A kernel that forks gets a child without the arena; a core dump would take seconds per gigabyte.
  madvise(base, size, MADV_DONTFORK);
  madvise(alias, size, MADV_DONTFORK);
  madvise(base, size, MADV_DONTDUMP);
  madvise(alias, size, MADV_DONTDUMP);
  detail::alias_distance = static_cast<std::byte*>(alias) - base;
  detail::window_distance = windows - base;
  return 0;
}

int map_for_job(std::span<const Mapping> mappings, std::size_t& failed) noexcept {
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const int error = map_one(mappings[i]);
    if (error) {
      failed = i;
      return error;
    }
  }
  return 0;
}

}  // namespace cadre
