#pragma once
/* Telling numbers from pointers into memory that is this process's own: bytes that are to travel to another process must hold none. */
#include <cstddef>
#include <optional>
#include <span>

namespace cadre {

/** Index of the first 8-byte word of `bytes` that is an address in private writable memory of this process (stack, heap, globals), of which
    another process has a stale copy or none; nothing when there is none. Words that merely look like one are looked up in /proc/self/maps. */
std::optional<std::size_t> find_private_pointer(std::span<const std::byte> bytes);

}  // namespace cadre
