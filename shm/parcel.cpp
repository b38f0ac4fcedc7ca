#include <cadre/shm/parcel.hpp>

#include <cadre/shm/private_memory.hpp>

namespace cadre {

void Parcel::put_checked(const void* bytes, std::size_t count) {
  if (keep_ == Keep::descriptors) return;
  // A function pointer inside a struct is as lost as one to data: only where it is the argument itself can it be found again.
  if (const auto word = find_private_pointer({static_cast<const std::byte*>(bytes), count}))
    throw Error("an argument holds a pointer into this process's own memory (word " + std::to_string(*word) +
                " of its bytes), which a process that is not forked does not have: pass the value, or put it into shared memory");
  put(bytes, count);
}

std::size_t ParcelReader::take_size(std::size_t item) {
  const auto size = take<std::uint64_t>();
  if (item && size > left_.size() / item) throw Error("what another process sent is shorter than it should be");
  return size;
}

}  // namespace cadre
