#include <cadre/engine/plan.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include <cadre/engine/partial.hpp>
#include <cadre/pool/board.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

constexpr double kChunkNs = 100'000;
constexpr std::uint64_t kChunkBytes = 1u << 20;          // read and written by a chunk: half of a usual second-level cache and more
constexpr std::uint64_t kUndeclaredChunks = 1024;
constexpr std::uint64_t kAccumulatorsBytes = 256u << 20;  // of all chunks together
constexpr std::uint64_t kDenseBytes = 2u << 20;           // what one worker's private copy of the columns may take
constexpr double kApplyNsPerByte = 0.2;                   // clear, save, add: measured for a dense partial in the cache
constexpr double kApplyShare = 0.02;
constexpr std::uint64_t kFewestDenseChunks = 32;          // but not fewer than keep many cores busy
constexpr std::uint64_t kFewestSparseChunks = 16;
constexpr std::uint64_t kSparseEntries = 8u << 20;        // entries of a chunk's list at most

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0); }
std::uint64_t in_grains(std::uint64_t chunk, const cadre_plan& plan) { return plan.grain > 1 ? divide_up(chunk, plan.grain) * plan.grain : chunk; }
std::uint64_t least_for_accumulators(const cadre_plan& plan) {
  return plan.accumulator_bytes > 0 ? divide_up(plan.elements, std::max<std::uint64_t>(kAccumulatorsBytes / plan.accumulator_bytes, 1)) : 1;
}

}  // namespace

ScatterMode choose_scatter(const cadre_plan& plan, std::uint64_t row_bytes) {
  const std::uint64_t rows = plan.scatter.rows + plan.scatter.hidden;
  return rows * row_bytes <= kDenseBytes && rows <= std::max<std::uint64_t>(plan.elements, 4096) ? ScatterMode::dense : ScatterMode::sparse;
}

Cut cut(const cadre_plan& plan, std::uint64_t wanted, ScatterMode scatter, std::uint64_t row_bytes) {
  const std::uint64_t n = plan.elements;
  if (n == 0) return {1, 0};
  std::uint64_t chunk = wanted;
  if (chunk == 0) {
    if (plan.cost_ns > 0) {
      const auto by_time = static_cast<std::uint64_t>(std::max(1.0, kChunkNs / plan.cost_ns));
      const std::uint64_t by_cache = plan.bytes > 0 ? std::max<std::uint64_t>(kChunkBytes / plan.bytes, 1) : by_time;
      chunk = std::bit_floor(std::max<std::uint64_t>(std::min(by_time, by_cache), 1));
    } else {
      chunk = std::max<std::uint64_t>(n / kUndeclaredChunks, 1);
    }
    const std::uint64_t rows = plan.scatter.rows + plan.scatter.hidden;
    const double cost = plan.cost_ns > 0 ? plan.cost_ns : 1.0;
    if (scatter == ScatterMode::dense) {
      const auto pays = static_cast<std::uint64_t>(static_cast<double>(rows * row_bytes) * kApplyNsPerByte / kApplyShare / cost);
      chunk = std::max(chunk, std::min(std::bit_ceil(std::max<std::uint64_t>(pays, 1)), std::max<std::uint64_t>(n / kFewestDenseChunks, 1)));
    } else if (scatter == ScatterMode::sparse) {
      // Long lists meet each cache line of the result several times while it is there: all of it passes through the cache once a chunk.
      const std::uint64_t entries = std::clamp<std::uint64_t>(std::bit_floor(rows / 2), kPageEntries, kSparseEntries);
      chunk = std::max(chunk, std::min(entries, std::max<std::uint64_t>(n / kFewestSparseChunks, 1)));
    }
    chunk = std::max(chunk, least_for_accumulators(plan));
    chunk = std::max(chunk, divide_up(n, kMaxChunks));
    if (scatter != ScatterMode::none) chunk = std::min<std::uint64_t>(chunk, Record::kMaxFrom);
    chunk = in_grains(chunk, plan);
  }
  chunk = std::min(chunk, n);
  const std::uint64_t chunks = divide_up(n, chunk);
  if (chunks > kMaxChunks)
    throw Error("--chunk " + std::to_string(wanted) + " cuts " + std::to_string(n) + " elements into " + std::to_string(chunks) + " chunks; " + std::to_string(kMaxChunks) +
                " are the most: use " + std::to_string(divide_up(n, kMaxChunks)) + " or more");
  if (scatter != ScatterMode::none && chunk > Record::kMaxFrom)
    throw Error("--chunk " + std::to_string(wanted) + " is more than the " + std::to_string(Record::kMaxFrom) + " elements that a chunk of a combined result may have");
  return {chunk, chunks};
}

std::uint64_t preparing_chunk(const cadre_plan& plan, std::uint64_t wanted) { return wanted == 0 ? 0 : in_grains(std::max(wanted, least_for_accumulators(plan)), plan); }

std::uint32_t segment_shift(std::uint64_t rows, std::uint64_t row_bytes, ScatterMode scatter) {
  // Sparse: half a megabyte of result at a time. Dense: an eighth of the result, but no less than a block.
  const std::uint64_t wanted = scatter == ScatterMode::sparse ? (512u << 10) / row_bytes : std::max<std::uint64_t>(rows / 8, kBlockBytes / 8);
  std::uint32_t shift = static_cast<std::uint32_t>(std::bit_width(std::bit_ceil(std::max<std::uint64_t>(wanted, 1))) - 1);
  shift = std::min(shift, kMaxSegmentShift);
  while ((rows >> shift) > Record::kMaxSegment) ++shift;
  return shift;
}

std::uint64_t room_pages(std::uint64_t chunk_elements) { return divide_up(chunk_elements, kPageEntries) + 1; }

}  // namespace cadre
