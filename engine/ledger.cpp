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

// A value of 40 bits and a check of it, in one word.
std::uint64_t sealed(std::uint64_t value, std::uint64_t seed) { return value << 24 | XXH3_64bits_withSeed(&value, sizeof value, seed) >> 40; }
std::uint64_t value_of(std::uint64_t word) { return word >> 24; }

PassStage stage_of(std::uint64_t at) { return static_cast<PassStage>(value_of(at) & 0x7f); }
bool over_of(std::uint64_t at) { return (value_of(at) & 0x80) != 0; }

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
  const auto require = [](bool good, const char* what) {
    if (!good) throw Error(std::string("the journal's ledger is damaged: ") + what, Error::Kind::damaged);
  };
  const std::uint64_t word = page_->generation.load(), at = page_->at.load(), of = value_of(word);
  if (word == 0 && at == 0 && generation == 1) {  // killed before it was begun
    begin(generation);
    return;
  }
  require(word == sealed(of, 0) && (of == generation || of + 1 == generation), "it is of no checkpoint that the journal can have had");
  require(stage_of(at) <= PassStage::digest && at == sealed(value_of(at), seed_of(stage_of(at))), "it tells of a stage that can not be");
  if (of != generation) {
    begin(generation);
    return;
  }
  // An entry counts when it is whole, which the last one may be before `count` says so.
  const std::uint32_t told = page_->count.load();
  std::uint32_t count = 0;
  while (count < LedgerPage::kMost && page_->entries[count].check == check_of(page_->entries[count], generation)) ++count;
  require(count == told || count == told + 1, "its entries are not as many as it tells of");
  for (std::uint32_t i = 0; i < count; ++i) {
    const LedgerEntry& e = page_->entries[i];
    require(Arena::instance().adopt({e.address, e.bytes}, e.sparse != 0), "it tells of memory that can not be");
    left_[{e.role, e.index}] = own_storage(reinterpret_cast<std::byte*>(e.address), e.bytes);
    known_[{e.role, e.index}] = e.address;
  }
  page_->count.store(count);
}

void Ledger::begin(std::uint64_t generation) {
  left_.clear();
  known_.clear();
  if (!page_) return;
  page_->count.store(0);
  store_at(PassStage::none, false, epoch());
  page_->generation.store(sealed(generation, 0));
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
  e.check = check_of(e, value_of(page_->generation.load()));
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

PassStage Ledger::stage() const noexcept { return stage_of(page_->at.load()); }
bool Ledger::fresh() const noexcept { return !page_ || stage() == PassStage::none; }
bool Ledger::begun(PassStage stage) const noexcept { return page_ && this->stage() == stage && !over_of(page_->at.load()); }
bool Ledger::over(PassStage stage) const noexcept {
  return page_ && (this->stage() > stage || (this->stage() == stage && over_of(page_->at.load())));
}
std::uint32_t Ledger::epoch() const noexcept { return static_cast<std::uint32_t>(value_of(page_->at.load()) >> 8); }

std::uint64_t Ledger::seed_of(PassStage stage) const noexcept {
  const std::uint64_t covered[] = {stage == PassStage::none ? 0 : page_->layout[static_cast<std::size_t>(stage)].load(),
                                   stage < PassStage::kernel ? 0 : page_->kernel_epoch.load()};
  return XXH3_64bits(covered, sizeof covered);
}

void Ledger::store_at(PassStage stage, bool over, std::uint32_t epoch) noexcept {
  page_->at.store(sealed(std::uint64_t{epoch} << 8 | std::uint64_t{over} << 7 | static_cast<std::uint64_t>(stage), seed_of(stage)));
}

void Ledger::require_layout(const Work& work) const {
  if (page_->layout[static_cast<std::size_t>(stage())].load() != layout_of(work))
    throw Error(
        "the journal's pass was cut, or is laid out, in another way than this program does it with these options: carry on with those that "
        "it was begun with");
}

void Ledger::begin_stage(PassStage stage, std::uint32_t epoch, const Work& work) {
  if (!page_) return;
  page_->layout[static_cast<std::size_t>(stage)].store(layout_of(work));
  if (stage == PassStage::kernel) page_->kernel_epoch.store(epoch);
  store_at(stage, false, epoch);
}

void Ledger::end_stage(PassStage stage) {
  if (page_) store_at(stage, true, epoch());
}

}  // namespace cadre
