#pragma once
/* A slot's partial: what one part of a chunk contributes to a combined result, until it is applied. A kernel may write to it, so nothing in it is
   trusted: an index is cut to its segment before it is used. The header, which says how far the part reaches, lies with the image.

   dense    per column, rows_padded values
   sparse   the list that the kernel fills (kPageEntries indexes, then as many values), then pages. A page is a full list, sorted by segment
            in the order of its entries: offsets (one per segment, and the end), the index within the segment (16 bits) and the values
   copy     the map outputs of the part, one behind the other, behind either of these */
#include <cstdint>

#include <cadre/engine/work.hpp>

namespace cadre {

constexpr std::uint64_t kPageEntries = 1u << 16;
constexpr std::uint64_t kDenseListEntries = 1u << 13;  // dense: a list is added to the columns while it is in the first cache
constexpr std::uint32_t kMaxSegmentShift = 16;
constexpr std::uint64_t kBlockBytes = 4096;      // dense: what one image saves
constexpr std::uint64_t kBlockEntries = 512;     // sparse: entries from one store of the record to the next

/** Lies before the image of a slot, in protocol memory. */
struct alignas(64) PartHeader {
  std::uint64_t to;      // the part is elements [from, to) of the chunk
  std::uint64_t pages;   // sparse: pages in use
  std::uint64_t check;   // of both, for the next program: stored before the record is ready

  std::uint64_t hash() const noexcept { return (to * 0x9e3779b97f4a7c15u ^ (pages + 1)) * 0xbf58476d1ce4e5b9u; }
};

/** The image of a sparse block: how far the block has got while the record says `saved`. Entries before the last that was begun have been combined; that one
    may have been, and what it found is here. Two places take turns: no entry overwrites what the one before it may still need. */
struct alignas(64) SparseImage {
  volatile std::uint64_t mark;     // entries begun, column by column
  alignas(8) std::byte old[2][8];  // of entry e in old[e % 2]
};

inline std::uint64_t rows_padded(const Work& w) { return std::uint64_t{w.n_segments} << w.segment_shift; }
inline std::uint64_t size_of(cadre_dtype type) { return type.bits / 8; }
inline std::uint64_t value_bytes(const Work& w) { return size_of(w.plan.scatter.value); }

/** Room that a map output takes in a partial, where outputs are copied from it. */
inline std::uint64_t copy_bytes(const Work& w, const WorkOutput& out) { return (w.chunk_elements * out.row_bytes + 63) / 64 * 64; }

/** Bytes of a sparse page, and of the parts of it, for `segments` segments. */
struct PageLayout {
  std::uint64_t lows, values, bytes;  // offsets at 0
  PageLayout(std::uint64_t segments, std::uint64_t value_size)
      : lows(((segments + 1) * 4 + 63) / 64 * 64), values(lows + kPageEntries * 2), bytes(values + kPageEntries * value_size) {}
};
inline std::uint64_t list_bytes(std::uint64_t value_size) { return kPageEntries * (4 + value_size); }

/** Sorts `used` entries of the list into page `page` of the sparse partial at `base`. False when an index is out of range. */
bool sort_page(const Work& work, std::byte* base, std::uint64_t page, std::uint64_t used) noexcept;
/** Adds `used` entries of the list to a dense partial. False when an index is out of range. */
bool add_list(const Work& work, void* const* columns, const std::uint32_t* index, const std::byte* value, std::uint64_t used) noexcept;
/** Sets a dense partial to the identities of its operations. */
void clear_dense(const Work& work, std::byte* base) noexcept;

/** Fills `count` values of a column with the operation's identity. */
void fill_identity(const WorkColumn& column, std::byte* at, std::uint64_t count) noexcept;

}  // namespace cadre
