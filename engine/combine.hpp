#pragma once
/* Step 4 of the protocol: a complete partial is applied to the combined result, block by block under the segments' locks, so that a death
   at any instruction is made good by the slot's next process. docs/combine.md has the order of the stores and why. */
#include <cadre/engine/partial.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/pool/slot.hpp>

namespace cadre {

/** Everything of a slot that the protocol writes, as this process writes it. */
struct SlotPlace {
  std::uint32_t slot = 0;
  SlotLine* line = nullptr;
  PartHeader* header = nullptr;
  std::byte* image = nullptr;
  std::byte* partial = nullptr;
  const std::atomic<std::uint32_t>* stop = nullptr;
  TraceEntry* trace = nullptr;  // of the chunk; null: nobody asked
};

/** Bytes of a slot's header and image for this work. */
std::uint64_t image_bytes(const Work& work);

/** Stores a record with the fences that the protocol asks for. */
void store_record(SlotLine& line, const Record& record) noexcept;

/** Threads with copies of their own: where a slot's copy of a column is, and the putting together of a segment of all of them, which are as new after it. */
std::byte* copy_of_column(const Work& work, std::uint32_t slot, std::uint32_t column) noexcept;
void merge_segment(const Work& work, std::uint64_t segment) noexcept;

/** Applies the slot's partial from where `record` says to the end. `last`: no further part of the chunk follows, so the turn passes to the next
    chunk. False when the job was abandoned while waiting. */
[[nodiscard]] bool apply_partial(const Work& work, const SlotPlace& place, Record record, std::uint32_t chunk, bool last) noexcept;

}  // namespace cadre
