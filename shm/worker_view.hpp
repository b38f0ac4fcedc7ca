#pragma once
/* What a worker process sees of the shared memory. In the caller every address is simply writable; a worker has

     the arena   at its own address, read-only: inputs, and whatever a kernel may stumble upon
     windows     the outputs of the current job and the slot's own partial, writable, at a fixed distance from the arena; between two
                 of them lies unmapped memory, so that running over the end of one is a SIGSEGV and not a wrong answer
     the alias   all of the arena, writable, at an address that no kernel is given: the protocol's words, records, images and
                 results are written through it

   A pointer into the arena is therefore translated before it is written through. In the caller (and on threads) all three are one. */
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/types.h>

namespace cadre {

/** A range that a job writes, or a file that it reads, by its address in the caller. */
struct Mapping {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t serial = 0;       // of the file: tells that the range holds another one than before
  std::int32_t fd = -1;           // in the caller; -1: arena memory
  std::uint32_t writable = 0;     // 1: a window; 0: a file to be read at its address
};

/** Turns the calling process, a fresh fork, into one that sees the arena as a worker does. Returns errno or 0. */
int enter_worker_view(pid_t caller) noexcept;

/** Maps what a job needs and is not mapped yet. Returns 0 or the errno of what failed, with the index in `failed`. Worker only. */
int map_for_job(std::span<const Mapping> mappings, std::size_t& failed) noexcept;

namespace detail {
extern std::ptrdiff_t alias_distance;   // 0 in the caller
extern std::ptrdiff_t window_distance;  // 0 in the caller
}  // namespace detail

/** Where the protocol writes what is known as `p`. */
template <class T>
T* protocol(T* p) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(p) + static_cast<std::uintptr_t>(detail::alias_distance));
}
/** Where a kernel writes what is known as `p`, mapped as a window of the current job. */
template <class T>
T* window(T* p) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(p) + static_cast<std::uintptr_t>(detail::window_distance));
}

}  // namespace cadre
