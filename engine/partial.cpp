#include <cadre/engine/partial.hpp>

#include <algorithm>
#include <cstring>

#include <cadre/engine/operation.hpp>

namespace cadre {

namespace {

// Moves entries to where their segment's come next. The order within a segment stays: a page is one list, sorted stably.
template <class Value>
void distribute(const std::uint32_t* index, const Value* value, std::uint64_t used, std::uint32_t shift, std::uint32_t* next, std::uint16_t* low, Value* sorted) {
  const std::uint32_t mask = (1u << shift) - 1;
  for (std::uint64_t i = 0; i < used; ++i) {
    const std::uint32_t at = next[index[i] >> shift]++;
    low[at] = static_cast<std::uint16_t>(index[i] & mask);
    sorted[at] = value[i];
  }
}

}  // namespace

bool sort_page(const Work& work, std::byte* base, std::uint64_t page, std::uint64_t used) noexcept {
  const std::uint64_t size = value_bytes(work);
  const PageLayout layout(work.n_segments, size);
  const auto* index = reinterpret_cast<const std::uint32_t*>(base);
  const std::byte* value = base + kPageEntries * 4;
  std::byte* at = base + list_bytes(size) + page * layout.bytes;
  auto* offsets = reinterpret_cast<std::uint32_t*>(at);
  auto* low = reinterpret_cast<std::uint16_t*>(at + layout.lows);
  std::byte* sorted = at + layout.values;

  const std::uint32_t segments = work.n_segments, shift = work.segment_shift;
  std::uint32_t highest = 0;
  for (std::uint64_t i = 0; i < used; ++i) highest = std::max(highest, index[i]);
  if (used > 0 && highest >= work.rows) return false;
  // offsets[s + 1] counts, then begins, then (moved on by distribute) ends segment s: afterwards offsets[s] is where s begins.
  std::memset(offsets, 0, (segments + 1) * sizeof *offsets);
  for (std::uint64_t i = 0; i < used; ++i) ++offsets[(index[i] >> shift) + 1];
  std::uint32_t sum = 0;
  for (std::uint32_t s = 0; s < segments; ++s) {
    const std::uint32_t count = offsets[s + 1];
    offsets[s + 1] = sum;
    sum += count;
  }
  offsets[0] = 0;
  std::uint32_t* next = offsets + 1;
  switch (size) {
    case 0: {
      const std::uint32_t mask = (1u << shift) - 1;
      for (std::uint64_t i = 0; i < used; ++i) low[next[index[i] >> shift]++] = static_cast<std::uint16_t>(index[i] & mask);
      break;
    }
    case 1: distribute(index, reinterpret_cast<const std::uint8_t*>(value), used, shift, next, low, reinterpret_cast<std::uint8_t*>(sorted)); break;
    case 2: distribute(index, reinterpret_cast<const std::uint16_t*>(value), used, shift, next, low, reinterpret_cast<std::uint16_t*>(sorted)); break;
    case 4: distribute(index, reinterpret_cast<const std::uint32_t*>(value), used, shift, next, low, reinterpret_cast<std::uint32_t*>(sorted)); break;
    default: distribute(index, reinterpret_cast<const std::uint64_t*>(value), used, shift, next, low, reinterpret_cast<std::uint64_t*>(sorted)); break;
  }
  return true;
}

bool add_list(const Work& work, void* const* columns, const std::uint32_t* index, const std::byte* value, std::uint64_t used) noexcept {
  std::uint32_t highest = 0;
  for (std::uint64_t i = 0; i < used; ++i) highest = std::max(highest, index[i]);
  if (used > 0 && highest >= work.rows) return false;
  for (std::uint32_t c = 0; c < work.n_columns; ++c) {
    const WorkColumn& column = work.columns[c];
    with_operation(column.op, column.dtype, [&]<cadre_op op, class T>() {
      T* at = static_cast<T*>(columns[c]);
      if (column.counts) {
        for (std::uint64_t i = 0; i < used; ++i) at[index[i]] = combined<op, T>(at[index[i]], T{1});
      } else {
        const T* v = reinterpret_cast<const T*>(value);
        for (std::uint64_t i = 0; i < used; ++i) at[index[i]] = combined<op, T>(at[index[i]], v[i]);
      }
    });
  }
  return true;
}

void fill_identity(const WorkColumn& column, std::byte* at, std::uint64_t count) noexcept {
  with_operation(column.op, column.dtype, [&]<cadre_op op, class T>() { std::fill_n(reinterpret_cast<T*>(at), count, identity_of<op, T>()); });
}

void clear_dense(const Work& work, std::byte* base) noexcept {
  for (std::uint32_t c = 0; c < work.n_columns; ++c) {
    fill_identity(work.columns[c], base, rows_padded(work));
    base += rows_padded(work) * size_of(work.columns[c].dtype);
  }
}

}  // namespace cadre
