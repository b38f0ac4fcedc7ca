#include <cadre/shm/array.hpp>

#include <limits>

namespace cadre {

std::uint64_t elements_of(const Shape& shape, std::size_t item) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw Error("the shape " + to_string(shape) + " has a negative extent");
    empty |= extent == 0;
  }
  // Extents beside a zero must fit too: they are multiplied elsewhere, a row at a time.
  std::uint64_t count = 1, bytes = item ? item : 1;
  for (const std::int64_t extent : shape) {
    const std::uint64_t by = extent ? static_cast<std::uint64_t>(extent) : 1;
    if (__builtin_mul_overflow(bytes, by, &bytes) || bytes > kMost)
      throw Error("the shape " + to_string(shape) + " has more elements than memory has addresses");
    count *= by;
  }
  return empty ? 0 : count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace cadre
