#pragma once
/* The cut of an index space into chunks, and how a combined result is laid out. Depends on the data and the kernel alone, never on workers,
   backend or machine: the same cut gives the same bits. */
#include <cstdint>

#include <cadre/engine/work.hpp>

namespace cadre {

struct Cut {
  std::uint64_t chunk_elements = 0, chunks = 0;
};

/** Cuts `plan.elements`, and for a scatter chooses dense or sparse. `wanted`: elements per chunk, 0: the plan's. Throws Error when that makes more
    than kMaxChunks chunks, or chunks that are too big for the combine protocol. */
Cut cut(const cadre_plan& plan, std::uint64_t wanted, ScatterMode scatter, std::uint64_t row_bytes);

/** What --chunk means for a pass that only prepares the last one, of which the user knows nothing: whole grains, and no fewer elements than keep the accumulators
    of all chunks within bounds. */
std::uint64_t preparing_chunk(const cadre_plan& plan, std::uint64_t wanted);

/** Dense where a private copy of the columns stays in the cache and the elements are many enough to pay for applying all of it. */
ScatterMode choose_scatter(const cadre_plan& plan, std::uint64_t row_bytes);

/** Rows of a segment, as a power of two: small enough for the cache and for 16-bit indexes. */
std::uint32_t segment_shift(std::uint64_t rows, std::uint64_t row_bytes, ScatterMode scatter);

/** Pages that a sparse partial has room for, for chunks of that many elements: a constant of the plan. */
std::uint64_t room_pages(std::uint64_t chunk_elements);

}  // namespace cadre
