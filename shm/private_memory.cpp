#include <cadre/shm/private_memory.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

bool is_private_writable(std::uintptr_t p) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return false;
  char line[512];
  bool found = false;
  while (!found && std::fgets(line, sizeof line, maps)) {
    unsigned long begin = 0, end = 0;
    char rights[5] = "";
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, rights) == 3) found = begin <= p && p < end && rights[1] == 'w' && rights[3] == 'p';
  }
  std::fclose(maps);
  return found;
}

}  // namespace

std::optional<std::size_t> find_private_pointer(std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= bytes.size(); at += sizeof(std::uintptr_t)) {
    std::uintptr_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    // Numbers are hardly ever addresses; reading the maps is left for words that look like one.
    if (word < 0x10000 || word >> 47 || Arena::instance().contains(reinterpret_cast<void*>(word))) continue;
    if (is_private_writable(word)) return at / sizeof word;
  }
  return std::nullopt;
}

}  // namespace cadre
