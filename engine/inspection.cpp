#include <cadre/engine/inspection.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <cadre/engine/chunk_runner.hpp>
#include <cadre/engine/partial.hpp>

namespace cadre {

namespace {

[[noreturn]] void refuse(const std::string& why) { throw Error("the journal's memory is damaged: " + why, Error::Kind::damaged); }
void require(bool good, std::uint32_t slot, const char* what) {
  if (!good) refuse("slot " + std::to_string(slot) + " " + what);
}

/** A slot that is at work on a chunk. */
struct Owner {
  std::uint32_t slot, chunk;
  Record record;
  bool last = false;  // the part under way is the chunk's last, so that turns pass with it
};

std::uint64_t blocks_of_segment(const Work& work, const PartHeader& header) {
  if (work.scatter == ScatterMode::sparse) return header.pages * (kPageEntries / kBlockEntries);
  std::uint64_t blocks = 0;
  for (std::uint32_t c = 0; c < work.n_columns; ++c) blocks += ((size_of(work.columns[c].dtype) << work.segment_shift) + kBlockBytes - 1) / kBlockBytes;
  return blocks;
}

void require_record(const Work& work, Owner& owner) {
  const Record& r = owner.record;
  const auto good = [&](bool condition) { require(condition, owner.slot, "has a record that can not be"); };
  if (work.kind != WorkKind::kernel || work.scatter == ScatterMode::none) {
    good(r.packed() == Record{.ready = r.ready}.packed() && (!r.ready || (work.kind == WorkKind::kernel && work.copies)));
    return;
  }
  const std::uint64_t count = range_of(work, owner.chunk).count;
  good(r.from < count);
  if (!r.ready) {
    good(r.packed() == Record{.from = r.from}.packed());
    return;
  }
  const auto& header = *reinterpret_cast<const PartHeader*>(work.images + owner.slot * work.image_stride);
  require(header.check == header.hash() && header.to > r.from && header.to <= count && header.pages <= work.room_pages, owner.slot, "has a part that can not be");
  owner.last = header.to == count;
  const std::uint64_t blocks = r.segment < work.n_segments ? blocks_of_segment(work, header) : 0;
  good(r.segment <= work.n_segments && r.block <= blocks && (!r.saved || r.block < blocks));
}

// Who dies between the last store of a record and the unlock holds a lock of the segment before.
void require_locks(const Work& work, const Segment* segments, const std::vector<Owner>& owners) {
  for (std::uint32_t s = 0; s < work.n_segments; ++s) {
    const std::uint32_t lock = segments[s].lock.load();
    if (lock == 0) continue;
    const bool held = std::any_of(owners.begin(), owners.end(), [&](const Owner& o) {
      return o.slot + 1 == lock && o.record.ready && (o.record.segment == s || o.record.segment == s + 1);
    });
    if (!held) refuse("segment " + std::to_string(s) + " is locked by slot " + std::to_string(lock - 1) + ", which does not apply anything to it");
  }
  for (const Owner& o : owners)
    if (o.record.ready && o.record.segment < work.n_segments && (o.record.block > 0 || o.record.saved))
      require(segments[o.record.segment].lock.load() == o.slot + 1, o.slot, "applies its part to a segment that it has not locked");
}

// Chunks are applied to each segment in their order: its turn lies behind the last one that has been, and not behind one that has not.
void require_turns(const Work& work, const Board& board, std::uint32_t epoch, const Segment* segments, const std::vector<Owner>& owners) {
  std::uint64_t behind_done = 0, pending = work.chunks;
  for (std::uint64_t c = 0; c < work.chunks; ++c) {
    const std::uint64_t word = board.words[c].load();
    if (word == chunk_word(epoch, chunk_state::done)) behind_done = c + 1;
    if (word == chunk_word(epoch, chunk_state::pending)) pending = std::min(pending, c);
  }
  for (std::uint32_t s = 0; s < work.n_segments; ++s) {
    std::uint64_t first = behind_done, last = pending;
    for (const Owner& o : owners) {
      const bool passed = o.record.ready && o.last && o.record.segment > s;
      const bool passing = o.record.ready && o.last && o.record.segment == s && segments[s].lock.load() == o.slot + 1;
      if (passed) first = std::max<std::uint64_t>(first, o.chunk + 1);
      if (!passed) last = std::min<std::uint64_t>(last, o.chunk + (passing ? 1 : 0));
    }
    if (const std::uint32_t turn = segments[s].turn.load(); turn < first || turn > last)
      refuse("the turn of segment " + std::to_string(s) + " is chunk " + std::to_string(turn) + "'s, which can not be");
  }
}

}  // namespace

void require_possible(const Work& work, const Board& board, std::uint32_t epoch) {
  std::vector<Owner> owners;
  for (std::uint32_t slot = 0; slot < board.workers; ++slot) {
    const std::uint64_t hint = board.lines[slot].hint.load();
    if (epoch_of(hint) != epoch) continue;
    Owner owner{slot, state_of(hint), Record::of(board.lines[slot].record.load())};
    require_record(work, owner);
    owners.push_back(owner);
  }
  if (work.kind != WorkKind::kernel || work.scatter == ScatterMode::none) return;
  auto* const segments = reinterpret_cast<Segment*>(work.segments);
  require_locks(work, segments, owners);
  if (work.ordered) require_turns(work, board, epoch, segments, owners);
  for (std::uint32_t s = 0; s < work.n_segments; ++s) segments[s].waiters.store(0);  // nobody is there to be woken
}

void take_up(SlotTrouble* troubles, std::uint32_t slots, PoisonList& list, std::uint32_t most) {
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    Search& s = troubles[slot].search[troubles[slot].current.load() & 1];
    if (s.check == 0) s.epoch = 0;
    require(s.check == 0 || s.check == s.hash(), slot, "has a search that can not be");
    Witness& w = troubles[slot].witness;
    w.what[sizeof w.what - 1] = 0;
  }
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < most; ++i) {
    const PoisonEntry& e = list.entries[i];
    if (e.check.load() == 0) continue;
    if (e.check.load() != e.hash()) refuse("entry " + std::to_string(i) + " of the elements that fail is not what was written there");
    taken = i + 1;
  }
  list.taken.store(taken);
}

}  // namespace cadre
