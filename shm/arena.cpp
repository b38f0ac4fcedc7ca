#include <cadre/shm/arena.hpp>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include <cadre/shm/memory.hpp>
#include <cadre/shm/population.hpp>
#include <cadre/shm/ranges.hpp>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CADRE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CADRE_SANITIZED 1
#endif
#endif

namespace cadre {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20, kGiB = std::size_t{1} << 30, kTiB = std::size_t{1} << 40;
#ifdef CADRE_SANITIZED
constexpr std::uintptr_t kBase = 0x7ea000000000, kStep = 2 * 64 * kGiB;
constexpr std::size_t kSize = 64 * kGiB;
#else
constexpr std::uintptr_t kBase = 0x200000000000, kStep = 2 * kTiB;
constexpr std::size_t kSize = kTiB;
#endif
constexpr std::size_t kSmallest = 16 * kMiB;
constexpr std::size_t kPopulateFrom = 1 * kMiB;  // smaller extents get 4 KiB pages as they are touched
constexpr std::size_t kKept = 512 * kMiB;        // freed memory held back: huge pages that lie free for a while are slow to get again

std::size_t round_up(std::size_t bytes) { return (bytes + kGrain - 1) / kGrain * kGrain; }
std::size_t round_down(std::size_t bytes) { return bytes / kGrain * kGrain; }

/* What the arena knows of itself. Private memory of the caller; forked children have a stale copy and never use it. */
struct Books {
  std::mutex mutex;
  Ranges extents, files;                     // in grains from base
  struct Extent {
    std::size_t grains;
    std::size_t promised;  // bytes that its owner may touch; 0 of a reserved range
  };
  struct Kept {
    std::size_t first, held;
  };
  std::map<std::size_t, Extent> used;        // first grain -> extent
  std::map<std::size_t, std::size_t> mapped; // the same of the file region
  std::multimap<std::size_t, Kept> kept;     // by grains: freed, still holding up to `held` bytes
  std::size_t kept_bytes = 0;                // sum of their grains
  std::size_t owed = 0;                      // sum of what was promised and is held
  std::size_t unchecked = 0;                 // bytes of small extents since the last look at the machine's memory
  bool on_disk = false;                      // the fallback of an unlinked file
};
Books& books() {
  static Books* const it = new Books;  // never destroyed: arrays may outlive static destructors
  return *it;
}

std::size_t from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (!text || !*text) return 0;
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text, &end, 0);
  if (errno || *end || *text == '-') throw Error(std::string(name) + "=" + text + " is not a number of bytes: write it in decimal, or in hexadecimal with 0x");
  return value;
}

/* Five ranges of `size` are mapped in the end: arena, files, and in a worker the alias and the windows of both. Something must be left for the program. */
std::size_t fit_to_limits(std::size_t size) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    unsigned long long pages = 0;
    if (FILE* statm = std::fopen("/proc/self/statm", "re")) {
      if (std::fscanf(statm, "%llu", &pages) != 1) pages = 0;
      std::fclose(statm);
    }
    const std::size_t in_use = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t left = limit.rlim_cur > in_use ? limit.rlim_cur - in_use : 0;
    size = std::min(size, (left - std::min(left / 4, 512 * kMiB)) / 5);
    if (round_down(size) < kSmallest)
      throw Error("the address space limit (RLIMIT_AS) of " + human_bytes(limit.rlim_cur) + " leaves no room for shared memory: raise it with ulimit -v");
  }
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    size = std::min<std::size_t>(size, limit.rlim_cur);
    if (round_down(size) < kSmallest)
      throw Error("the file size limit (RLIMIT_FSIZE) of " + human_bytes(limit.rlim_cur) + " leaves no room for shared memory: raise it with ulimit -f");
  }
  return round_down(size);
}

int make_file(bool& on_disk) {
  on_disk = false;
  int fd = memfd_create("cadre-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0) return fd;
  const int refused = errno;
  if (refused == EMFILE || refused == ENFILE) throw_errno("make shared memory (memfd_create)", refused);
  on_disk = true;
  const char* directory = std::getenv("TMPDIR");
  if (!directory || !*directory) directory = "/tmp";
  fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return fd;
  std::string name = std::string(directory) + "/cadre-arena-XXXXXX";  // file systems without O_TMPFILE
  fd = mkostemp(name.data(), O_CLOEXEC);
  const int error = errno;
  if (fd >= 0) {
    unlink(name.c_str());
    return fd;
  }
  throw Error("make shared memory: memfd_create is refused (" + std::string(std::strerror(refused)) + ") and no file can be made in " + directory + " (" +
              std::strerror(error) + "): allow memfd_create, or set TMPDIR to a directory that can be written");
}

}  // namespace

Arena& Arena::instance() {
  static Arena* const arena = new Arena;  // never unmapped: workers and late arrays still use it when main has returned
  return *arena;
}

Arena::Arena() {
  Books& b = books();
  struct sigaction action{};
  if (sigaction(SIGXFSZ, nullptr, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL) {
    action.sa_handler = SIG_IGN;  // past a file size limit: an errno with a message, not a death
    sigaction(SIGXFSZ, &action, nullptr);
  }

  const std::size_t fixed_base = from_environment("CADRE_ARENA_BASE"), fixed_size = from_environment("CADRE_ARENA_SIZE");
  if (fixed_base % kGrain) throw Error("CADRE_ARENA_BASE must be a multiple of 2 MiB (0x200000)");
  if (fixed_size && fixed_size < kSmallest) throw Error("CADRE_ARENA_SIZE must be at least 16 MiB (0x1000000)");
  if (fixed_size > 16 * kTiB) throw Error("CADRE_ARENA_SIZE must be at most 16 TiB (0x100000000000)");
  size_ = fit_to_limits(fixed_size ? fixed_size : kSize);

  owner_ = getpid();
  fd_ = make_file(b.on_disk);
  if (fd_ <= STDERR_FILENO) {  // a closed stdout would make shared memory of what is printed
    const int above = fcntl(fd_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (above < 0) throw_errno("move the shared memory's descriptor", errno);
    close(fd_);
    fd_ = above;
  }
  int error = 0;
  while (ftruncate(fd_, static_cast<off_t>(size_)) != 0) {  // a file system may know a limit of its own
    error = errno;
    if (error != EFBIG || size_ / 2 < kSmallest) {
      close(fd_);
      throw_errno("size shared memory to " + human_bytes(size_), error);
    }
    size_ = round_down(size_ / 2);
  }
  if (!b.on_disk) fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);

  // The address may be taken (a library, an unlucky stack); other places then serve as well, unless the environment insists.
  void* place = MAP_FAILED;
  while (true) {
    for (int k = 0; k < (fixed_base ? 1 : 8) && place == MAP_FAILED; ++k) {
      void* const want = reinterpret_cast<void*>(fixed_base ? fixed_base : kBase + k * kStep);
      place = mmap(want, 2 * size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
      error = errno;
      if (place != MAP_FAILED && place != want) {  // a kernel before 4.17 takes the address as a wish
        munmap(place, 2 * size_);
        place = MAP_FAILED;
        error = EEXIST;
      }
      if (place == MAP_FAILED && error != EEXIST) break;
    }
    if (place != MAP_FAILED || error != ENOMEM || size_ / 2 < 64 * kMiB) break;
    size_ = round_down(size_ / 2);
  }
  if (place == MAP_FAILED || mmap(place, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd_, 0) == MAP_FAILED) {
    if (place != MAP_FAILED) error = errno;
    if (place != MAP_FAILED) munmap(place, 2 * size_);
    close(fd_);
    throw_errno("map " + human_bytes(size_) + " of shared memory (CADRE_ARENA_BASE and CADRE_ARENA_SIZE choose where and how much)", error);
  }
  base_ = static_cast<std::byte*>(place);
  madvise(base_, 2 * size_, MADV_DONTDUMP);

  heap_bytes_ = std::min(64 * kMiB, std::max(kGrain, round_down(size_ / 8)));
  const std::size_t grains = size_ / kGrain, front = heap_bytes_ / kGrain + 1;  // a guard after the heap too
  b.extents = Ranges(front, grains - front);
  b.files = Ranges(0, grains);
}

namespace {

/* Both with the mutex held. */
void punch(const Arena& arena, std::size_t first, std::size_t grains) noexcept {
  if (fallocate(arena.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first * kGrain), static_cast<off_t>(grains * kGrain)) != 0)
    std::memset(arena.base() + first * kGrain, 0, grains * kGrain);  // fresh extents are promised to be zero
}
void drop_kept(const Arena& arena, Books& b) noexcept {
  for (const auto& [grains, kept] : b.kept) {
    punch(arena, kept.first, grains);
    b.extents.give(kept.first, grains + 1);
    b.owed -= kept.held;
  }
  b.kept.clear();
  b.kept_bytes = 0;
}

/* What is promised to extents but not yet in memory counts as used: a thousand untouched arrays must not each be told that they fit. */
void require_room(const Arena& arena, Books& b, std::size_t bytes) {
  const std::string what = "shared memory for an array of " + human_bytes(bytes);
  const auto untouched = [&]() -> std::size_t {
    struct stat status{};
    if (fstat(arena.fd(), &status) != 0) return 0;
    const std::size_t there = static_cast<std::size_t>(status.st_blocks) * 512;
    return b.owed > there ? b.owed - there : 0;
  };
  // Small arrays are many, and looking up the limits takes longer than making one: they are counted together.
  b.unchecked += bytes;
  if (bytes < kPopulateFrom && b.unchecked < 16 * kMiB) return;
  b.unchecked = 0;
  if (bytes >= kPopulateFrom && !b.kept.empty() && available_memory().bytes < bytes + untouched()) drop_kept(arena, b);
  require_memory(bytes, what, untouched());
}

}  // namespace

void Arena::require_owner() const {
  if (getpid() != owner_)
    throw Error("shared memory was made by process " + std::to_string(owner_) + ", before it forked this one: only that process may allocate from it");
}

std::byte* Arena::allocate(std::size_t bytes, bool zero) {
  require_owner();
  Books& b = books();
  const std::size_t grains = bytes > size_ ? size_ / kGrain + 1 : std::max<std::size_t>(1, round_up(bytes) / kGrain);
  const std::size_t need = bytes > size_ || bytes < kPopulateFrom ? bytes : grains * kGrain;
  std::size_t first = 0, held = 0;  // of recycled memory, the front that may be dirty
  {
    std::lock_guard lock(b.mutex);
    if (const auto it = b.kept.find(grains); it != b.kept.end() && it->second.held >= need) {
      first = it->second.first;
      held = it->second.held;
      b.used[first] = {grains, held};
      b.kept_bytes -= grains * kGrain;
      b.kept.erase(it);
    } else {
      require_room(*this, b, need);
      auto found = b.extents.take(grains + 1);
      if (!found && !b.kept.empty()) {
        drop_kept(*this, b);
        found = b.extents.take(grains + 1);
      }
      if (!found)
        throw Error("an array of " + human_bytes(bytes) + " does not fit in the shared address range: " +
                    human_bytes(std::max<std::size_t>(1, b.extents.longest()) * kGrain - kGrain) + " of " + human_bytes(size_) +
                    " are free in one piece; free arrays, or set CADRE_ARENA_SIZE and raise RLIMIT_AS and RLIMIT_FSIZE");
      first = *found;
      if (b.on_disk)
        if (const int error = posix_fallocate(fd_, static_cast<off_t>(first * kGrain), static_cast<off_t>(need ? need : 1))) {
          b.extents.give(first, grains + 1);
          throw_errno("reserve " + human_bytes(bytes) + " for shared memory in $TMPDIR", error);
        }
      b.used[first] = {grains, need};
      b.owed += need;
    }
  }
  std::byte* const p = base_ + first * kGrain;
  if (!held && bytes >= kPopulateFrom && !b.on_disk) populate(p, grains * kGrain);
  if (held && zero) std::memset(p, 0, bytes);
  return p;
}

std::byte* Arena::reserve(std::size_t bytes) {
  require_owner();
  Books& b = books();
  std::lock_guard lock(b.mutex);
  const std::size_t grains = bytes > size_ ? size_ / kGrain + 1 : std::max<std::size_t>(1, round_up(bytes) / kGrain);
  const auto first = b.extents.take(grains + 1);
  if (!first) throw Error("no room for " + human_bytes(bytes) + " in the shared address range of " + human_bytes(size_) + ": the address space limit (ulimit -v), the file size limit (ulimit -f) or CADRE_ARENA_SIZE is too small");
  b.used[*first] = {grains, 0};
  return base_ + *first * kGrain;
}

void Arena::release(std::byte* p) noexcept {
  if (!p || getpid() != owner_) return;
  Books& b = books();
  std::lock_guard lock(b.mutex);
  const std::size_t first = static_cast<std::size_t>(p - base_) / kGrain;
  const auto it = b.used.find(first);
  CADRE_CHECK(it != b.used.end() && p == base_ + first * kGrain);
  const auto [grains, promised] = it->second;
  b.used.erase(it);
  if (promised && b.kept_bytes + grains * kGrain <= kKept) {
    b.kept.emplace(grains, Books::Kept{first, promised});
    b.kept_bytes += grains * kGrain;
  } else {
    b.owed -= promised;
    punch(*this, first, grains);
    b.extents.give(first, grains + 1);
  }
}

std::size_t Arena::in_use() const noexcept {
  Books& b = books();
  std::lock_guard lock(b.mutex);
  std::size_t bytes = 0;
  for (const auto& [first, extent] : b.used) bytes += extent.promised;
  return bytes;
}

std::byte* Arena::allocate_file_range(std::size_t bytes) {
  require_owner();
  Books& b = books();
  std::lock_guard lock(b.mutex);
  const std::size_t grains = bytes > size_ ? size_ / kGrain + 1 : std::max<std::size_t>(1, round_up(bytes) / kGrain);
  const auto first = b.files.take(grains + 1);
  if (!first)
    throw Error("a file of " + human_bytes(bytes) + " does not fit in the address range for files: " +
                human_bytes(std::max<std::size_t>(1, b.files.longest()) * kGrain - kGrain) + " of " + human_bytes(size_) + " are free in one piece; the address space limit (ulimit -v), the file size limit (ulimit -f) or CADRE_ARENA_SIZE is too small");
  b.mapped[*first] = grains;
  return base_ + size_ + *first * kGrain;
}

void Arena::release_file_range(std::byte* p) noexcept {
  if (!p) return;
  Books& b = books();
  std::lock_guard lock(b.mutex);
  const std::size_t first = static_cast<std::size_t>(p - base_ - size_) / kGrain;
  const auto it = b.mapped.find(first);
  CADRE_CHECK(contains_file(p) && it != b.mapped.end());
  // Back to addresses that nothing else may take and that fault when touched.
  mmap(p, it->second * kGrain, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  madvise(p, it->second * kGrain, MADV_DONTDUMP);
  b.files.give(first, it->second + 1);
  b.mapped.erase(it);
}

}  // namespace cadre
