#pragma once
/* The one address range that all processes of the program share.

     base ........................ base + size ........................ base + 2 * size
     |  arena: one sparse memfd    |  files: input and output files     |
     |  (heap | extents ...)       |  mapped while they are used        |

   Made before the first fork, at a fixed address, MAP_SHARED: what is allocated later is at once visible to every worker,
   at the same address, with no message. Nothing is in /dev/shm; when the last process is gone the kernel frees everything.

   The caller sees it writable. A worker sees it read-only (the heap apart, which holds what users share to write), and has two
   more mappings of its own (worker_view.hpp): the windows, where the outputs of the current job and the slot's partial
   are writable, and the alias of the whole arena through which the combine protocol writes, at an address that no kernel is given.

   Extents are cut in grains of 2 MiB, with one unused grain after each. Where the kernel allows (MADV_COLLAPSE, Linux 6.1) they lie
   on 2 MiB pages. Allocation is by the caller only and its bookkeeping is private to it. */
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include <cadre/shm/error.hpp>

namespace cadre {

constexpr std::size_t kGrain = std::size_t{2} << 20;
/** At the very front, zero when the arena is new: the words by which processes know each other before anything was allocated. */
constexpr std::size_t kRegistryBytes = std::size_t{512} << 10;

/** What a process that was not forked must know to map the arena where the others have it. */
struct ArenaSeat {
  std::uint64_t base = 0, size = 0, heap_bytes = 0;
  std::int32_t owner = 0;  // the process that allocates
};

/** Where a piece of the arena is. */
struct ArenaExtent {
  std::uint64_t address = 0, bytes = 0;
};

/** A file that is to be the arena instead of a memfd, so that what is in it outlives the program. */
struct ArenaFile {
  int fd = -1;                       // open for reading and writing; taken over
  std::string path;                  // for messages
  std::uint64_t base = 0, size = 0;  // where it was when it was made; 0: it is new and empty
  std::vector<ArenaExtent> extents;  // in use, as allocate() gave them out; everything else in a file that is not new is garbage
};

class Arena {
 public:
  /** The program's arena, made at first use: CADRE_ARENA_BASE and CADRE_ARENA_SIZE (bytes, hexadecimal with 0x) move it; 1 TiB at 0x200000000000,
      64 GiB at 0x7ea000000000 under sanitizers, shrunk to fit RLIMIT_AS and RLIMIT_FSIZE. Throws Error. */
  static Arena& instance();
  /** Makes instance() lie in a file; before it is made. Throws Error when it is there already, the file is not of its size, or its addresses or
      extents can not be had. */
  static Arena& make_in(ArenaFile file);
  /** Maps another process's arena, whose file is open here as `fd`, at its address, before this process has made one. Throws Error where something else
      is mapped there already. */
  static void attach(const ArenaSeat& seat, int fd);
  ArenaSeat seat() const noexcept { return {reinterpret_cast<std::uintptr_t>(base_), size_, heap_bytes_, owner_}; }
  /** Whether this process may allocate: it made the arena. */
  bool is_owner() const noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* base() const noexcept { return base_; }
  std::size_t size() const noexcept { return size_; }
  int fd() const noexcept { return fd_; }
  /** Bytes at the front that stay writable at this address in every process: the registry, and what users share to write. */
  std::size_t heap_bytes() const noexcept { return heap_bytes_; }

  bool contains(const void* p) const noexcept { return static_cast<const std::byte*>(p) >= base_ && static_cast<const std::byte*>(p) < base_ + size_; }
  bool contains_file(const void* p) const noexcept { return static_cast<const std::byte*>(p) >= base_ + size_ && static_cast<const std::byte*>(p) < base_ + 2 * size_; }

  /** Reserves and populates an extent. Throws Error with what is asked for and what there is when memory, cgroup or file size
      limits do not allow it. Caller only, any thread. */
  std::byte* allocate(std::size_t bytes, bool zero);
  /** Address space only: sparse memory, populated where it is touched, never recycled. For protocol words. The lowest place that is free:
      what a program reserves first lies at the same address in every run of it. */
  std::byte* reserve(std::size_t bytes);
  /** Before a part of a reserved range is touched: where the arena lies in a file, gives it its blocks. Throws Error when the disk is full,
      which would be a SIGBUS later. */
  void secure(const void* p, std::size_t bytes);
  /** Takes over an extent that an earlier run left in the arena's file, as if allocate() (`sparse`: reserve()) had given it out. False when it
      is not in the arena or not free. */
  [[nodiscard]] bool adopt(const ArenaExtent& extent, bool sparse);
  /** Empties what is not in use of a file that is not new: from then on fresh memory is zero. Nothing is allocated before. */
  void discard_unused();
  /** Nothing in a process that the caller forked: the memory is the caller's. Where the arena was made in a file, what lies there may be wanted by the
      next program: it is given back by the next settle() alone, and not by the end of this program. */
  void release(std::byte* p) noexcept;
  void settle() noexcept;
  /** No next program will want it: from now on what is released is given back at once. */
  void forget_file() noexcept;
  /** Bytes of the extents that allocate() gave out and that were not released: what tests compare. */
  std::size_t in_use() const noexcept;

  /** A range of the file region, a multiple of 2 MiB; the caller maps a file over it. */
  std::byte* allocate_file_range(std::size_t bytes);
  void release_file_range(std::byte* p) noexcept;

 private:
  explicit Arena(const ArenaFile* file);
  void give_back(std::byte* p) noexcept;
  Arena(const ArenaSeat& seat, int fd);
  void require_owner() const;
  pid_t owner_ = 0;
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t heap_bytes_ = 0;
  int fd_ = -1;
};

}  // namespace cadre
