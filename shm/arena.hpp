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
#include <string>

#include <sys/types.h>

#include <cadre/shm/error.hpp>

namespace cadre {

constexpr std::size_t kGrain = std::size_t{2} << 20;

class Arena {
 public:
  /** The program's arena, made at first use: CADRE_ARENA_BASE and CADRE_ARENA_SIZE (bytes, hexadecimal with 0x) move it; 1 TiB at 0x200000000000,
      64 GiB at 0x7ea000000000 under sanitizers, shrunk to fit RLIMIT_AS and RLIMIT_FSIZE. Throws Error. */
  static Arena& instance();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* base() const noexcept { return base_; }
  std::size_t size() const noexcept { return size_; }
  int fd() const noexcept { return fd_; }
  /** Bytes at the front that stay writable at this address in every process: what users share to write. */
  std::size_t heap_bytes() const noexcept { return heap_bytes_; }

  bool contains(const void* p) const noexcept { return static_cast<const std::byte*>(p) >= base_ && static_cast<const std::byte*>(p) < base_ + size_; }
  bool contains_file(const void* p) const noexcept { return static_cast<const std::byte*>(p) >= base_ + size_ && static_cast<const std::byte*>(p) < base_ + 2 * size_; }

  /** Reserves and populates an extent. Throws Error with what is asked for and what there is when memory, cgroup or file size
      limits do not allow it. Caller only, any thread. */
  std::byte* allocate(std::size_t bytes, bool zero);
  /** Address space only: sparse memory, populated where it is touched, never recycled. For protocol words. */
  std::byte* reserve(std::size_t bytes);
  /** Nothing in a process that the caller forked: the memory is the caller's. */
  void release(std::byte* p) noexcept;
  /** Bytes of the extents that allocate() gave out and that were not released: what tests compare. */
  std::size_t in_use() const noexcept;

  /** A range of the file region, a multiple of 2 MiB; the caller maps a file over it. */
  std::byte* allocate_file_range(std::size_t bytes);
  void release_file_range(std::byte* p) noexcept;

 private:
  Arena();
  void require_owner() const;
  pid_t owner_ = 0;
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t heap_bytes_ = 0;
  int fd_ = -1;
};

}  // namespace cadre
