#include <cadre/shm/arena.hpp>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
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
#include <cadre/shm/sanitizers.hpp>
#include <cadre/shm/temporary_folder.hpp>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace cadre {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20, kGiB = std::size_t{1} << 30, kTiB = std::size_t{1} << 40;
#if CADRE_UNDER_ASAN || CADRE_UNDER_TSAN
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
  enum class Backing { memory, tmpfs, disk } backing = Backing::memory;
  bool made = false;
  bool outlives = false;             // in a file that the next program may want
  std::vector<std::byte*> released;  // then: not given back yet
};
using Backing = Books::Backing;
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

int make_file(Backing& backing) {
  backing = Backing::memory;
  int fd = memfd_create("cadre-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0) return fd;
  const int refused = errno;
  if (refused == EMFILE || refused == ENFILE) throw_errno("make shared memory (memfd_create)", refused);
  backing = Backing::disk;
  const std::string directory = temporary_parent();
  fd = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return fd;
  std::string name = directory + "/cadre-arena-XXXXXX";  // file systems without O_TMPFILE
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

namespace {
const ArenaFile* chosen_file = nullptr;  // while make_in runs
Arena* attached = nullptr;               // set before the first instance() of a process that was not forked
}

Arena& Arena::instance() {
  static Arena* const arena = attached ? attached : new Arena(chosen_file);  // never unmapped: workers and late arrays still use it when main has returned
  return *arena;
}

Arena& Arena::make_in(ArenaFile file) {
  if (books().made) {
    close(file.fd);
    throw Error(file.path +
                ": the program's shared memory is there already and can not be put into a file: make the engine with the journal before "
                "any other engine or array");
  }
  chosen_file = &file;
  struct Forget {
    ~Forget() { chosen_file = nullptr; }
  } forget;
  return instance();
}

void Arena::attach(const ArenaSeat& seat, int fd) {
  if (attached || books().made) throw Error("shared memory was made before main had begun, by a global object: make engines, shared values and locks in main");
  attached = new Arena(seat, fd);
}

Arena::Arena(const ArenaSeat& seat, int fd)
    : owner_(seat.owner), base_(reinterpret_cast<std::byte*>(seat.base)), size_(seat.size), heap_bytes_(seat.heap_bytes), fd_(fd) {
  void* const place = mmap(base_, 2 * size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (place != base_) {
    const int error = place == MAP_FAILED ? errno : EEXIST;
    if (place != MAP_FAILED) munmap(place, 2 * size_);
    char address[32];
    std::snprintf(address, sizeof address, "0x%llx", static_cast<unsigned long long>(seat.base));
    throw_errno(std::string("map the shared memory at ") + address + ", where the other processes have it (CADRE_ARENA_BASE and CADRE_ARENA_SIZE choose where and how much)", error);
  }
  if (mmap(base_, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd_, 0) == MAP_FAILED) throw_errno("map the shared memory", errno);
  madvise(base_, 2 * size_, MADV_DONTDUMP);
}

bool Arena::is_owner() const noexcept { return getpid() == owner_; }

Arena::Arena(const ArenaFile* file) {
  Books& b = books();
  struct sigaction action{};
  if (sigaction(SIGXFSZ, nullptr, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL) {
    action.sa_handler = SIG_IGN;  // past a file size limit: an errno with a message, not a death
    sigaction(SIGXFSZ, &action, nullptr);
  }

  const bool again = file && file->size;
  const std::size_t fixed_base = again ? file->base : from_environment("CADRE_ARENA_BASE"),
                    fixed_size = again ? file->size : from_environment("CADRE_ARENA_SIZE");
  if (fixed_base % kGrain) throw Error("CADRE_ARENA_BASE must be a multiple of 2 MiB (0x200000)");
  if (fixed_size && fixed_size < kSmallest) throw Error("CADRE_ARENA_SIZE must be at least 16 MiB (0x1000000)");
  if (fixed_size > 16 * kTiB) throw Error("CADRE_ARENA_SIZE must be at most 16 TiB (0x100000000000)");
  size_ = again ? fixed_size : fit_to_limits(fixed_size ? fixed_size : kSize);

  owner_ = getpid();
  if (file) {
    fd_ = file->fd;
    struct statfs fs {};
    b.backing = fstatfs(fd_, &fs) == 0 && fs.f_type == TMPFS_MAGIC ? Backing::tmpfs : Backing::disk;
  } else {
    fd_ = make_file(b.backing);
  }
  if (fd_ <= STDERR_FILENO) {  // a closed stdout would make shared memory of what is printed
    const int above = fcntl(fd_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (above < 0) throw_errno("move the shared memory's descriptor", errno);
    close(fd_);
    fd_ = above;
  }
  int error = 0;
  if (again) {
    struct stat status {};
    if (fstat(fd_, &status) != 0) throw_errno("look at " + file->path, errno);
    if (static_cast<std::size_t>(status.st_size) != size_)
      throw Error(file->path + ": is truncated: " + std::to_string(status.st_size) + " bytes of " + std::to_string(size_), Error::Kind::damaged);
  }
  while (!again && ftruncate(fd_, static_cast<off_t>(size_)) != 0) {  // a file system may know a limit of its own
    error = errno;
    if (error != EFBIG || size_ / 2 < kSmallest) {
      close(fd_);
      throw_errno("size shared memory to " + human_bytes(size_), error);
    }
    size_ = round_down(size_ / 2);
  }
  if (file && !again && fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kGrain) != 0) {
    error = errno;
    close(fd_);
    throw_errno("make a hole in " + file->path + " (the file system must be able to)", error);
  }
  if (b.backing == Backing::memory) fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);

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
    if (place != MAP_FAILED || error != ENOMEM || size_ / 2 < 64 * kMiB || again) break;
    size_ = round_down(size_ / 2);
  }
  if (place == MAP_FAILED || mmap(place, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd_, 0) == MAP_FAILED) {
    if (place != MAP_FAILED) error = errno;
    if (place != MAP_FAILED) munmap(place, 2 * size_);
    close(fd_);
    if (again) throw_errno("map " + file->path + " where it was before", error);
    throw_errno("map " + human_bytes(size_) + " of shared memory (CADRE_ARENA_BASE and CADRE_ARENA_SIZE choose where and how much)", error);
  }
  base_ = static_cast<std::byte*>(place);
  madvise(base_, 2 * size_, MADV_DONTDUMP);

  heap_bytes_ = std::min(64 * kMiB, std::max(kGrain, round_down(size_ / 8)));
  const std::size_t grains = size_ / kGrain, front = heap_bytes_ / kGrain + 1;  // a guard after the heap too
  b.extents = Ranges(front, grains - front);
  b.files = Ranges(0, grains);
  b.made = true;
  b.outlives = file != nullptr;
  if (again && fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(kRegistryBytes)) != 0)
    std::memset(base_, 0, kRegistryBytes);  // the processes of the run before are nobody now
  if (again)
    for (const ArenaExtent& extent : file->extents)
      if (!adopt(extent, false)) throw Error(file->path + ": is damaged: memory that it tells of can not be", Error::Kind::damaged);
}

namespace {

std::string file_of_arena(const Arena& arena) {
  char link[64], target[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", arena.fd());
  const ssize_t n = readlink(link, target, sizeof target);
  return n > 0 ? std::string(target, static_cast<std::size_t>(n)) : std::string("the file of the shared memory");
}

/* Blocks for [at, at + bytes) of the arena's file: a full disk is an error here, not a SIGBUS later. */
void give_blocks(const Arena& arena, std::size_t at, std::size_t bytes) {
  if (bytes == 0) return;
  const std::size_t from = at / 4096 * 4096, length = (at + bytes + 4095) / 4096 * 4096 - from;
  int error;
  do error = posix_fallocate(arena.fd(), static_cast<off_t>(from), static_cast<off_t>(length));
  while (error == EINTR);
  if (error) throw_errno("reserve " + human_bytes(bytes) + " in " + file_of_arena(arena), error);
}

/* The same for a fresh extent; on tmpfs it is put onto huge pages where that can be, of which each needs one page to begin with. */
void give_blocks_to_extent(const Arena& arena, Backing backing, std::size_t at, std::size_t bytes) {
  require_file_space(arena.fd(), bytes, file_of_arena(arena));
  if (backing == Backing::tmpfs && bytes >= kPopulateFrom) {
    for (std::size_t page = 0; page < bytes; page += kGrain) give_blocks(arena, at + page, 4096);
    if (populate(arena.base() + at, bytes)) return;
  }
  give_blocks(arena, at, bytes);
}

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
      if (b.backing != Backing::memory) try {
          give_blocks_to_extent(*this, b.backing, first * kGrain, need ? need : 1);
        } catch (...) {
          punch(*this, first, grains);
          b.extents.give(first, grains + 1);
          throw;
        }
      b.used[first] = {grains, need};
      b.owed += need;
    }
  }
  std::byte* const p = base_ + first * kGrain;
  if (!held && bytes >= kPopulateFrom && b.backing == Backing::memory) populate(p, grains * kGrain);
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

void Arena::secure(const void* p, std::size_t bytes) {
  if (books().backing == Backing::memory) return;
  const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(p) - base_);
  const off_t data = lseek(fd_, static_cast<off_t>(at), SEEK_DATA);
  const bool has_none = data < 0 || static_cast<std::size_t>(data) >= at + bytes;
  if (has_none) require_file_space(fd_, bytes, file_of_arena(*this));  // before what is left is filled with a part of it
  give_blocks(*this, at, bytes);
}

bool Arena::adopt(const ArenaExtent& extent, bool sparse) {
  require_owner();
  Books& b = books();
  std::lock_guard lock(b.mutex);
  const std::uint64_t offset = extent.address - reinterpret_cast<std::uintptr_t>(base_);
  if (extent.bytes == 0 || extent.bytes > size_ || offset >= size_ || offset % kGrain != 0) return false;
  const std::size_t first = offset / kGrain, grains = std::max<std::size_t>(1, round_up(extent.bytes) / kGrain);
  if (!b.extents.take_at(first, grains + 1)) return false;
  const std::size_t promised = sparse ? 0 : extent.bytes < kPopulateFrom ? extent.bytes : grains * kGrain;
  b.used[first] = {grains, promised};
  b.owed += promised;
  return true;
}

void Arena::discard_unused() {
  require_owner();
  Books& b = books();
  std::lock_guard lock(b.mutex);
  b.extents.for_each_free([&](std::size_t first, std::size_t count) {
    // As a whole it may be a terabyte of nothing, so that only a hole will do.
    if (fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first * kGrain),
                  static_cast<off_t>(count * kGrain)) != 0)
      throw_errno("empty the free part of " + file_of_arena(*this), errno);
  });
}

void Arena::release(std::byte* p) noexcept {
  if (!p || getpid() != owner_) return;
  Books& b = books();
  std::lock_guard lock(b.mutex);
  if (b.outlives)
    b.released.push_back(p);
  else
    give_back(p);
}

void Arena::settle() noexcept {
  Books& b = books();
  std::lock_guard lock(b.mutex);
  for (std::byte* p : b.released) give_back(p);
  b.released.clear();
}

void Arena::forget_file() noexcept {
  settle();
  books().outlives = false;
}

// With the mutex held.
void Arena::give_back(std::byte* p) noexcept {
  Books& b = books();
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
