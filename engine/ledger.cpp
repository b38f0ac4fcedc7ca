#include <cadre/engine/ledger.hpp>

#include <xxhash.h>

#include <cstddef>
#include <cstring>
#include <new>

#include <cadre/engine/partial.hpp>
#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

std::uint64_t check_of(const LedgerEntry& e, std::uint64_t generation) {
  return XXH3_64bits_withSeed(&e, offsetof(LedgerEntry, check), generation + 1);
}

PassStage stage_of(std::uint64_t at) { return static_cast<PassStage>(at & 0xff); }
bool over_of(std::uint64_t at) { return (at >> 8 & 1) != 0; }

std::uint64_t layout_of(const Work& w) {
  // What a work does not use is left from the one before.
  const bool scatters = w.scatter != ScatterMode::none, sparse = w.scatter == ScatterMode::sparse;
  const std::uint64_t all[] = {static_cast<std::uint64_t>(w.kind),
                               w.elements,
                               w.chunk_elements,
                               w.chunks,
                               w.copies,
                               w.ordered,
                               static_cast<std::uint64_t>(w.scatter),
                               w.n_columns,
                               scatters ? w.rows : 0,
                               scatters ? w.segment_shift : 0,
                               w.n_segments,
                               sparse ? w.room_pages : 0,
                               w.accumulators ? w.accumulator_stride : 0,
                               w.partial_bytes,
                               w.partial_bytes ? w.image_stride : 0,
                               w.n_bulk};
  return XXH3_64bits(all, sizeof all);
}

}  // namespace

Ledger::~Ledger() {
  if (page_) Arena::instance().release(reinterpret_cast<std::byte*>(page_));
}

void Ledger::keep() {
  Arena& arena = Arena::instance();
  std::byte* at = arena.reserve(sizeof(LedgerPage));
  page_ = reinterpret_cast<LedgerPage*>(at);
  arena.secure(at, sizeof(LedgerPage));
}

void Ledger::attach(std::uint64_t generation) {
  if (page_->generation.load() != generation) {
    begin(generation);
    return;
  }
  const auto refuse = [] { throw Error("the journal's memory is damaged: its ledger tells of what can not be"); };
  const std::uint32_t count = page_->count.load();
  if (count > LedgerPage::kMost || stage_of(page_->at.load()) > PassStage::digest) refuse();
  for (std::uint32_t i = 0; i < count; ++i) {
    const LedgerEntry& e = page_->entries[i];
    if (e.check != check_of(e, generation) || !Arena::instance().adopt({e.address, e.bytes}, e.sparse != 0)) refuse();
    left_[{e.role, e.index}] = own_storage(reinterpret_cast<std::byte*>(e.address), e.bytes);
    known_[{e.role, e.index}] = e.address;
  }
}

void Ledger::begin(std::uint64_t generation) {
  left_.clear();
  known_.clear();
  if (!page_) return;
  page_->count.store(0);
  page_->at.store(0);
  page_->generation.store(generation);
}

std::shared_ptr<Storage> Ledger::found(Role role, std::uint32_t index, std::uint64_t bytes) {
  const auto at = left_.find({static_cast<std::uint32_t>(role), index});
  if (at == left_.end()) return nullptr;
  if (at->second->bytes() < bytes)
    throw Error("the journal's pass was cut in another way: it had " + std::to_string(at->second->bytes()) + " bytes where it now needs " +
                std::to_string(bytes));
  auto storage = at->second;
  left_.erase(at);
  return storage;
}

void Ledger::append(Role role, std::uint32_t index, const Storage& storage, bool sparse) {
  if (!page_) return;
  const std::uint32_t count = page_->count.load();
  CADRE_CHECK(count < LedgerPage::kMost);
  LedgerEntry e{static_cast<std::uint32_t>(role), index, reinterpret_cast<std::uint64_t>(storage.data()), storage.bytes(), sparse, 0, 0};
  e.check = check_of(e, page_->generation.load());
  page_->entries[count] = e;
  page_->count.store(count + 1);
  known_[{e.role, e.index}] = e.address;
}

std::shared_ptr<Storage> Ledger::allocate(Role role, std::uint32_t index, std::uint64_t bytes, bool zero) {
  if (auto storage = found(role, index, bytes)) {
    if (zero && fresh()) std::memset(storage->data(), 0, storage->bytes());
    return storage;
  }
  auto storage = allocate_storage(bytes, zero);
  append(role, index, *storage, false);
  return storage;
}

std::shared_ptr<Storage> Ledger::reserve(Role role, std::uint32_t index, std::uint64_t bytes, std::uint64_t secured) {
  auto storage = found(role, index, bytes);
  if (!storage) {
    storage = own_storage(Arena::instance().reserve(bytes), bytes);
    append(role, index, *storage, true);
  }
  Arena::instance().secure(storage->data(), secured);
  return storage;
}

void Ledger::note(Role role, std::uint32_t index, const Storage& storage, bool sparse) {
  if (!page_) return;
  const auto at = known_.find({static_cast<std::uint32_t>(role), index});
  if (at == known_.end() || at->second != reinterpret_cast<std::uint64_t>(storage.data())) append(role, index, storage, sparse);
}

bool Ledger::fresh() const noexcept { return !page_ || stage_of(page_->at.load()) == PassStage::none; }
bool Ledger::begun(PassStage stage) const noexcept { return page_ && stage_of(page_->at.load()) == stage && !over_of(page_->at.load()); }
bool Ledger::over(PassStage stage) const noexcept {
  if (!page_) return false;
  const std::uint64_t at = page_->at.load();
  return stage_of(at) > stage || (stage_of(at) == stage && over_of(at));
}
std::uint32_t Ledger::epoch() const noexcept { return static_cast<std::uint32_t>(page_->at.load() >> 32); }

void Ledger::require_layout(const Work& work) const {
  if (page_->layout.load() != layout_of(work))
    throw Error(
        "the journal's pass was cut, or is laid out, in another way than this program does it with these options: carry on with those that "
        "it was begun with");
}

void Ledger::begin_stage(PassStage stage, std::uint32_t epoch, const Work& work) {
  if (!page_) return;
  page_->layout.store(layout_of(work));
  if (stage == PassStage::kernel) page_->kernel_epoch.store(epoch);
  page_->at.store(std::uint64_t{epoch} << 32 | static_cast<std::uint64_t>(stage));
}

void Ledger::end_stage(PassStage stage) {
  if (page_) page_->at.store(std::uint64_t{epoch()} << 32 | 0x100 | static_cast<std::uint64_t>(stage));
}

}  // namespace cadre
