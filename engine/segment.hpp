#pragma once
/* Locks of segments, owned by slots: who dies holding one is not missed, its slot's next process goes on and releases it. */
#include <cadre/engine/work.hpp>
#include <cadre/pool/board.hpp>

namespace cadre {

/** Locks `segment` for `slot`; in an ordered job, when it is the turn of `chunk`. False when the job was abandoned meanwhile. Held already by
    the slot: true at once. Waits without holding anything, looks again at least every 50 ms, and moves `line.progress` when it does. */
[[nodiscard]] bool lock_segment(Segment& segment, std::uint32_t slot, bool ordered, std::uint32_t chunk, SlotLine& line, const std::atomic<std::uint32_t>& stop) noexcept;
void unlock_segment(Segment& segment) noexcept;

/** Step 0 of the protocol: releases every lock of the slot but that of the segment which its record says is being applied. */
void release_locks(Segment* segments, std::uint32_t count, std::uint32_t slot, const Record& record) noexcept;

}  // namespace cadre
