/* The cut, the pages of a sparse partial, and the application of partials, on random ones. Workers are not needed: this process is its own slot. */
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cadre/engine/combine.hpp>
#include <cadre/engine/operation.hpp>
#include <cadre/engine/partial.hpp>
#include <cadre/engine/plan.hpp>
#include <cadre/pool/board.hpp>
#include <cadre/shm/error.hpp>

#include "arrays.hpp"

namespace cadre {
namespace {

using testing::mixed;

/* ---- the cut ---- */

struct PlanAndMode {
  cadre_plan plan;
  ScatterMode scatter;
  std::uint64_t row_bytes;
};

PlanAndMode any_plan() {
  PlanAndMode p{};
  p.plan.elements = *rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 34), rc::gen::arbitrary<std::uint64_t>()), [](auto v) { return v.second >> (63 - v.first); });
  p.plan.cost_ns = *rc::gen::element(0.0, 0.05, 0.3, 1.0, 20.0, 1e4, 1e8);
  p.plan.bytes = *rc::gen::element<std::uint64_t>(0, 1, 8, 24, 1000, 1 << 22);
  p.plan.grain = *rc::gen::element<std::uint64_t>(0, 1, 2, 24, 96, 1000);
  if (*rc::gen::arbitrary<bool>()) {
    p.plan.scatter.rows = *rc::gen::element<std::uint64_t>(1, 10, 1000, 65'536, 262'144, 16'000'000);
    p.row_bytes = *rc::gen::element<std::uint64_t>(1, 8, 32);
    p.scatter = choose_scatter(p.plan, p.row_bytes);
  } else {
    p.plan.accumulator_bytes = *rc::gen::element<std::uint64_t>(0, 8, 100, 5000, 10 << 20);
    p.row_bytes = 1;
  }
  return p;
}

void require_cover(const Cut& c, std::uint64_t elements) {
  if (elements == 0) {
    RC_ASSERT(c.chunks == 0u);
    return;
  }
  RC_ASSERT(c.chunks >= 1u);
  RC_ASSERT(c.chunks <= kMaxChunks);
  RC_ASSERT(c.chunk_elements <= elements);
  RC_ASSERT((c.chunks - 1) * c.chunk_elements < elements);
  RC_ASSERT(c.chunks * c.chunk_elements >= elements);
}

RC_GTEST_PROP(PlanProperty, ThePlansOwnCutCoversTheIndexSpaceWithinAllBounds, ()) {
  const PlanAndMode p = any_plan();
  const Cut c = cut(p.plan, 0, p.scatter, p.row_bytes);
  require_cover(c, p.plan.elements);
  if (c.chunks > 1 && p.plan.grain > 1) RC_ASSERT(c.chunk_elements % p.plan.grain == 0u);
  if (p.scatter != ScatterMode::none) RC_ASSERT(c.chunk_elements <= Record::kMaxFrom);
  if (p.plan.accumulator_bytes > 0) RC_ASSERT(c.chunks <= std::max<std::uint64_t>((256u << 20) / p.plan.accumulator_bytes, 1));
}

RC_GTEST_PROP(PlanProperty, AWantedCutIsTakenOrRefusedWithARemedyThatWorks, ()) {
  const PlanAndMode p = any_plan();
  const std::uint64_t wanted = *rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 34), rc::gen::arbitrary<std::uint64_t>()), [](auto v) { return std::max<std::uint64_t>(v.second >> (63 - v.first), 1); });
  try {
    const Cut c = cut(p.plan, wanted, p.scatter, p.row_bytes);
    require_cover(c, p.plan.elements);
    if (p.plan.elements > 0) RC_ASSERT(c.chunk_elements == std::min(wanted, p.plan.elements));
  } catch (const Error& e) {
    const std::string text = e.what();
    RC_ASSERT(text.rfind("--chunk " + std::to_string(wanted), 0) == 0u);
    if (const auto use = text.find(": use "); use != std::string::npos && p.scatter == ScatterMode::none)
      require_cover(cut(p.plan, std::stoull(text.substr(use + 6)), p.scatter, p.row_bytes), p.plan.elements);
  }
}

RC_GTEST_PROP(PlanProperty, SegmentsCoverTheRowsAndFitTheRecord, ()) {
  const std::uint64_t rows = *rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 32), rc::gen::arbitrary<std::uint32_t>()), [](auto v) { return std::max<std::uint64_t>(v.second >> (31 - v.first), 1); });
  const std::uint64_t row_bytes = *rc::gen::element<std::uint64_t>(1, 8, 32, 64);
  for (const ScatterMode mode : {ScatterMode::dense, ScatterMode::sparse}) {
    const std::uint32_t shift = segment_shift(rows, row_bytes, mode);
    const std::uint64_t segments = (rows + (std::uint64_t{1} << shift) - 1) >> shift;
    RC_ASSERT(shift <= kMaxSegmentShift);
    RC_ASSERT(segments <= Record::kMaxSegment);
    RC_ASSERT((segments << shift) >= rows);
  }
}

/* ---- a slot of its own, in plain memory ---- */

struct Column {
  cadre_dtype type;
  cadre_op op;
  bool counts;
};
constexpr cadre_dtype kF64{CADRE_FLOAT, 64, 1}, kF32{CADRE_FLOAT, 32, 1}, kI64{CADRE_INT, 64, 1}, kI32{CADRE_INT, 32, 1}, kU8{CADRE_UINT, 8, 1};

/** A Work with its result, one slot's partial, and the model of what applying does. */
class Bench {
 public:
  struct Memory {  // all that changes while a partial is applied
    std::vector<std::vector<std::byte>> columns;
    std::vector<std::uint32_t> locks, turns;
    friend bool operator==(const Memory& a, const Memory& b) { return a.columns == b.columns && a.locks == b.locks && a.turns == b.turns; }
  };

  Bench(ScatterMode mode, std::uint64_t rows, std::uint32_t shift, const std::vector<Column>& columns, cadre_dtype value, std::uint64_t room, std::uint64_t seed)
      : columns_(columns) {
    w_.scatter = mode;
    w_.rows = rows;
    w_.segment_shift = shift;
    w_.n_segments = static_cast<std::uint32_t>((rows + (std::uint64_t{1} << shift) - 1) >> shift);
    w_.plan.scatter.value = value;
    w_.room_pages = room;
    w_.n_columns = static_cast<std::uint32_t>(columns.size());
    std::uint64_t dense_bytes = 0;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      result_.emplace_back(rows_padded(w_));
      w_.columns[c] = {.address = reinterpret_cast<std::uint64_t>(result_[c].data()), .dtype = columns[c].type, .op = columns[c].op, .counts = columns[c].counts};
      if (columns[c].type.code == CADRE_FLOAT) w_.ordered = 1;
      randomise(c, reinterpret_cast<std::byte*>(result_[c].data()), seed + c);
      dense_bytes += rows_padded(w_) * size_of(columns[c].type);
    }
    const std::uint64_t bytes = mode == ScatterMode::dense ? dense_bytes : list_bytes(value_bytes(w_)) + room * PageLayout(w_.n_segments, value_bytes(w_)).bytes;
    partial_.resize(bytes / 8 + 1);
    segments_ = std::make_unique<Segment[]>(w_.n_segments);
    for (std::uint32_t s = 0; s < w_.n_segments; ++s) segments_[s].turn.store(kChunk);
    w_.segments = reinterpret_cast<std::uint64_t>(segments_.get());
    image_.resize(image_bytes(w_) / sizeof(Line) + 1);
    place_ = {.slot = kSlot, .line = &line_, .header = &header_, .image = reinterpret_cast<std::byte*>(image_.data()), .partial = partial(), .stop = &stop_};
    if (mode == ScatterMode::dense) {
      std::byte* at = partial();
      for (std::size_t c = 0; c < columns.size(); ++c) {
        randomise(c, at, seed + 100 + c);
        at += rows_padded(w_) * size_of(columns[c].type);
      }
    }
  }

  /** Fills the next page of a sparse partial. */
  void add_page(const std::vector<std::uint32_t>& index, std::uint64_t seed) {
    if (!index.empty()) std::memcpy(partial(), index.data(), index.size() * 4);
    for (std::size_t i = 0; i < index.size(); ++i) set_value(partial() + kPageEntries * 4 + i * value_bytes(w_), w_.plan.scatter.value, mixed(i, seed));
    pages_.push_back({index, std::vector<std::byte>(partial() + kPageEntries * 4, partial() + kPageEntries * 4 + index.size() * value_bytes(w_))});
    RC_ASSERT(sort_page(w_, partial(), header_.pages, index.size()));
    ++header_.pages;
  }

  /* What the protocol does, block by block, as docs/combine.md says it. Blocks are known by segment and number; `each` may change the memory
     before a block is applied, and returns false to leave off. */
  template <class Each>
  void model(const Each& each) {
    for (std::uint32_t s = 0; s < w_.n_segments; ++s) {
      std::uint32_t block = 0;
      if (w_.scatter == ScatterMode::dense) {
        const std::byte* from = partial();
        for (std::size_t c = 0; c < columns_.size(); ++c) {
          const std::uint64_t size = size_of(columns_[c].type), per_segment = std::uint64_t{1} << w_.segment_shift, per_block = std::min(kBlockBytes / size, per_segment);
          for (std::uint64_t row = 0; row < per_segment; row += per_block, ++block) {
            const std::uint64_t first = (s << w_.segment_shift) + row;
            std::vector<Entry> entries;
            for (std::uint64_t r = first; r < first + per_block; ++r) entries.push_back({r, from + r * size});
            if (!each(s, block, std::vector<std::size_t>{c}, entries)) return;
            apply(c, entries);
          }
          from += rows_padded(w_) * size;
        }
      } else {
        std::vector<std::size_t> all(columns_.size());
        for (std::size_t c = 0; c < all.size(); ++c) all[c] = c;
        for (const Page& page : pages_) {
          std::vector<Entry> entries;
          for (std::size_t i = 0; i < page.index.size(); ++i)
            if (page.index[i] >> w_.segment_shift == s) entries.push_back({page.index[i], page.values.data() + i * value_bytes(w_)});
          for (std::size_t at = 0; at < entries.size(); at += kBlockEntries, ++block) {
            const std::vector<Entry> some(entries.begin() + static_cast<std::ptrdiff_t>(at), entries.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(at + kBlockEntries, entries.size())));
            if (!each(s, block, all, some)) return;
            for (const std::size_t c : all) apply(c, some);
          }
        }
      }
    }
  }
  void model() {
    model([](auto&&...) { return true; });
  }
  std::size_t blocks() {
    const Memory before = memory();
    std::size_t n = 0;
    model([&](auto&&...) {
      ++n;
      return true;
    });
    restore(before);
    return n;
  }

  /** As a process that dies when block number `at` of all is saved and half written leaves it: torn anywhere if dense, after any number of entries if sparse. */
  void die_in_block(std::size_t at, std::uint64_t seed) {
    std::size_t n = 0;
    model([&](std::uint32_t s, std::uint32_t block, const std::vector<std::size_t>& columns, const auto& entries) {
      if (n++ < at) return true;
      if (w_.scatter == ScatterMode::dense) {
        const std::uint64_t size = size_of(columns_[columns[0]].type);
        for (std::size_t i = 0; i < entries.size(); ++i) std::memcpy(place_.image + i * size, at_row(columns[0], entries[i].row), size);
        for (const auto& entry : entries)
          if (mixed(entry.row, seed) & 1) set_value(at_row(columns[0], entry.row), columns_[columns[0]].type, mixed(entry.row, seed + 1));
      } else {
        auto& image = *reinterpret_cast<SparseImage*>(place_.image);
        const std::uint64_t begun = mixed(at, seed) % (columns.size() * entries.size() + 1);
        for (std::uint64_t e = 0; e < begun; ++e) {
          const std::size_t c = columns[e / entries.size()];
          const Entry& entry = entries[e % entries.size()];
          if (e + 1 == begun) {
            std::memcpy(image.old[e % 2], at_row(c, entry.row), size_of(columns_[c].type));
            if (mixed(at, seed + 1) & 1) break;  // not applied
          }
          apply(c, {entry});
        }
        image.mark = begun;
      }
      stand(s, block, true);
      return false;
    });
  }
  /** As a process that dies between two blocks, before block number `at`. */
  void die_before_block(std::size_t at) {
    std::size_t n = 0;
    model([&](std::uint32_t s, std::uint32_t block, auto&&...) {
      if (n++ < at) return true;
      stand(s, block, false);
      return false;
    });
  }

  bool apply_rest() { return apply_partial(w_, place_, record_, kChunk, true); }

  Memory memory() const {
    Memory m;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const auto* at = reinterpret_cast<const std::byte*>(result_[c].data());
      m.columns.emplace_back(at, at + rows_padded(w_) * size_of(columns_[c].type));
    }
    for (std::uint32_t s = 0; s < w_.n_segments; ++s) {
      m.locks.push_back(segments_[s].lock.load());
      m.turns.push_back(segments_[s].turn.load());
    }
    return m;
  }
  void restore(const Memory& m) {
    for (std::size_t c = 0; c < columns_.size(); ++c) std::memcpy(result_[c].data(), m.columns[c].data(), m.columns[c].size());
    for (std::uint32_t s = 0; s < w_.n_segments; ++s) {
      segments_[s].lock.store(m.locks[s]);
      segments_[s].turn.store(m.turns[s]);
    }
    record_ = {.ready = true};
  }
  /** What it must be in the end: the model's numbers, no lock held, the turn passed on. */
  Memory goal() {
    const Memory before = memory();
    model();
    Memory m = memory();
    restore(before);
    std::fill(m.locks.begin(), m.locks.end(), 0u);
    if (w_.ordered) std::fill(m.turns.begin(), m.turns.end(), kChunk + 1);
    return m;
  }

  const Work& work() const { return w_; }
  std::byte* partial() { return reinterpret_cast<std::byte*>(partial_.data()); }
  Record record() const { return Record::of(line_.record.load()); }

 private:
  static constexpr std::uint32_t kSlot = 3, kChunk = 17;
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  struct Entry {
    std::uint64_t row;
    const std::byte* value;
  };
  struct Page {
    std::vector<std::uint32_t> index;
    std::vector<std::byte> values;
  };

  static void set_value(std::byte* at, cadre_dtype type, std::uint64_t bits) {
    if (type.code == CADRE_FLOAT) {
      const double v = static_cast<double>(bits >> 11) * 0x1p-53 - 0.5;
      const float f = static_cast<float>(v);
      type.bits == 64 ? std::memcpy(at, &v, 8) : std::memcpy(at, &f, 4);
    } else {
      std::memcpy(at, &bits, type.bits / 8);
    }
  }
  void randomise(std::size_t c, std::byte* at, std::uint64_t seed) {
    for (std::uint64_t r = 0; r < rows_padded(w_); ++r) set_value(at + r * size_of(columns_[c].type), columns_[c].type, mixed(r, seed));
  }
  std::byte* at_row(std::size_t c, std::uint64_t row) { return reinterpret_cast<std::byte*>(result_[c].data()) + row * size_of(columns_[c].type); }

  void apply(std::size_t c, const std::vector<Entry>& entries) {
    with_operation(columns_[c].op, columns_[c].type, [&]<cadre_op op, class T>() {
      for (const Entry& e : entries) {
        T old, value{1};
        std::memcpy(&old, at_row(c, e.row), sizeof old);
        if (!(columns_[c].counts && w_.scatter == ScatterMode::sparse)) std::memcpy(&value, e.value, sizeof value);
        const T sum = combined<op, T>(old, value);
        std::memcpy(at_row(c, e.row), &sum, sizeof sum);
      }
    });
  }
  // Segments before `s` are finished, `s` is held.
  void stand(std::uint32_t s, std::uint32_t block, bool saved) {
    record_ = {.ready = true, .saved = saved, .segment = s, .block = block};
    segments_[s].lock.store(kSlot + 1);
    for (std::uint32_t before = 0; before < s && w_.ordered; ++before) segments_[before].turn.store(kChunk + 1);
  }

  const std::vector<Column> columns_;
  Work w_;
  std::vector<std::vector<std::uint64_t>> result_;
  std::vector<std::uint64_t> partial_;
  std::vector<Line> image_;
  std::unique_ptr<Segment[]> segments_;
  std::vector<Page> pages_;
  PartHeader header_{};
  SlotLine line_{};
  std::atomic<std::uint32_t> stop_{0};
  SlotPlace place_;
  Record record_{.ready = true};
};

std::unique_ptr<Bench> any_bench() {
  const std::uint64_t seed = *rc::gen::arbitrary<std::uint32_t>();
  const std::uint64_t rows = *rc::gen::inRange<std::uint64_t>(1, 6000);
  const auto shift = *rc::gen::inRange<std::uint32_t>(9, 13);
  if (*rc::gen::arbitrary<bool>()) {
    const std::vector<Column> all = {{kF64, CADRE_ADD, false}, {kF32, CADRE_MIN, false}, {kI64, CADRE_ADD, true}, {kI32, CADRE_MAX, false}, {kU8, CADRE_ADD, false}};
    const auto n = *rc::gen::inRange<std::size_t>(1, all.size() + 1);
    const auto first = *rc::gen::inRange<std::size_t>(0, all.size() - n + 1);
    return std::make_unique<Bench>(ScatterMode::dense, rows, std::max(shift, 12u), std::vector<Column>(all.begin() + static_cast<std::ptrdiff_t>(first), all.begin() + static_cast<std::ptrdiff_t>(first + n)), kF64, 0, seed);
  }
  const auto value = *rc::gen::element(kF64, kF32, kI64, kI32, kU8);
  std::vector<Column> columns = {{kI64, CADRE_ADD, true}, {value, CADRE_ADD, false}, {value, CADRE_MIN, false}, {value, CADRE_MAX, false}};
  columns.resize(*rc::gen::inRange<std::size_t>(1, 5));
  auto bench = std::make_unique<Bench>(ScatterMode::sparse, rows, shift, columns, value, 3, seed);
  const auto pages = *rc::gen::inRange<std::uint64_t>(0, 4);
  for (std::uint64_t p = 0; p < pages; ++p) {
    // Few rows again and again, or many.
    const auto used = *rc::gen::inRange<std::size_t>(0, 4000);
    const std::uint64_t among = *rc::gen::element<std::uint64_t>(1, 5, 100, rows);
    std::vector<std::uint32_t> index(used);
    for (std::size_t i = 0; i < used; ++i) index[i] = static_cast<std::uint32_t>(mixed(mixed(i, seed + p) % among, seed) % rows);
    bench->add_page(index, seed + 7 * p);
  }
  return bench;
}

/* ---- pages ---- */

RC_GTEST_PROP(PageProperty, SortingKeepsEveryEntryAndTheOrderWithinASegment, ()) {
  const auto value = *rc::gen::element(kF64, kF32, kI64, kU8, cadre_dtype{CADRE_INT, 16, 1}, cadre_dtype{CADRE_INT, 0, 1});
  const std::uint64_t rows = *rc::gen::inRange<std::uint64_t>(1, 3'000'000);
  const std::uint32_t shift = segment_shift(rows, 8, ScatterMode::sparse);
  Bench bench(ScatterMode::sparse, rows, shift, {{kI64, CADRE_ADD, true}}, value, 2, 1);
  const auto used = *rc::gen::element<std::size_t>(0, 1, 100, 5000, kPageEntries);
  const std::uint64_t seed = *rc::gen::arbitrary<std::uint32_t>();
  std::vector<std::uint32_t> index(used);
  std::vector<std::byte> values(used * value_bytes(bench.work()));
  for (std::size_t i = 0; i < used; ++i) index[i] = static_cast<std::uint32_t>(mixed(i, seed) % rows);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>(mixed(i, seed + 1));
  if (used > 0) std::memcpy(bench.partial(), index.data(), used * 4);
  if (!values.empty()) std::memcpy(bench.partial() + kPageEntries * 4, values.data(), values.size());
  const std::uint64_t page = *rc::gen::element<std::uint64_t>(0, 1);
  RC_ASSERT(sort_page(bench.work(), bench.partial(), page, used));

  const std::uint64_t size = value_bytes(bench.work());
  const PageLayout layout(bench.work().n_segments, size);
  const std::byte* at = bench.partial() + list_bytes(size) + page * layout.bytes;
  const auto* offsets = reinterpret_cast<const std::uint32_t*>(at);
  const auto* low = reinterpret_cast<const std::uint16_t*>(at + layout.lows);
  RC_ASSERT(offsets[0] == 0u);
  RC_ASSERT(offsets[bench.work().n_segments] == used);
  std::vector<std::uint32_t> next(offsets, offsets + bench.work().n_segments);
  for (std::size_t i = 0; i < used; ++i) {
    const std::uint32_t segment = index[i] >> shift, where = next[segment]++;
    RC_ASSERT(where < offsets[segment + 1]);
    RC_ASSERT(low[where] == (index[i] & ((1u << shift) - 1)));
    RC_ASSERT((size == 0 || std::memcmp(at + layout.values + where * size, values.data() + i * size, size) == 0));  // bare, rapidcheck would evaluate both sides
  }
}

RC_GTEST_PROP(PageProperty, AnIndexOutOfRangeIsRefusedWhereverItStands, ()) {
  const std::uint64_t rows = *rc::gen::inRange<std::uint64_t>(1, 100'000);
  Bench bench(ScatterMode::sparse, rows, 16, {{kI64, CADRE_ADD, true}}, kI64, 1, 1);
  const auto used = *rc::gen::inRange<std::size_t>(1, 1000);
  std::vector<std::uint32_t> index(used, 0);
  index[*rc::gen::inRange<std::size_t>(0, used)] = static_cast<std::uint32_t>(rows + *rc::gen::element<std::uint64_t>(0, 1, 65'536, 4'000'000'000));
  std::memcpy(bench.partial(), index.data(), used * 4);
  RC_ASSERT(!sort_page(bench.work(), bench.partial(), 0, used));
}

/* ---- application ---- */

RC_GTEST_PROP(CombineProperty, ApplyingGivesWhatTheModelGives, ()) {
  const auto bench = any_bench();
  const auto goal = bench->goal();
  RC_ASSERT(bench->apply_rest());
  RC_ASSERT(bench->memory() == goal);
  const Record last = bench->record();
  RC_ASSERT(last.ready && !last.saved && last.segment == bench->work().n_segments && last.block == 0u);
}

RC_GTEST_PROP(CombineProperty, ABlockThatADeadProcessLeftTornIsMadeGood, ()) {
  const auto bench = any_bench();
  const std::size_t blocks = bench->blocks();
  RC_PRE(blocks > 0u);
  const auto goal = bench->goal();
  bench->die_in_block(*rc::gen::inRange<std::size_t>(0, blocks), *rc::gen::arbitrary<std::uint32_t>());
  RC_ASSERT(bench->apply_rest());
  RC_ASSERT(bench->memory() == goal);
}

RC_GTEST_PROP(CombineProperty, WhatADeadProcessAppliedIsNotAppliedAgain, ()) {
  const auto bench = any_bench();
  const std::size_t blocks = bench->blocks();
  RC_PRE(blocks > 0u);
  const auto goal = bench->goal();
  bench->die_before_block(*rc::gen::inRange<std::size_t>(0, blocks));
  RC_ASSERT(bench->apply_rest());
  RC_ASSERT(bench->memory() == goal);
}

RC_GTEST_PROP(RecordProperty, IsUnpackedAsItWasPacked, ()) {
  const Record r{.ready = *rc::gen::arbitrary<bool>(), .saved = *rc::gen::arbitrary<bool>(), .segment = *rc::gen::inRange<std::uint32_t>(0, Record::kMaxSegment),
                 .block = *rc::gen::inRange<std::uint32_t>(0, Record::kMaxBlock), .from = *rc::gen::inRange<std::uint32_t>(0, Record::kMaxFrom)};
  const Record back = Record::of(r.packed());
  RC_ASSERT(back.ready == r.ready && back.saved == r.saved && back.segment == r.segment && back.block == r.block && back.from == r.from);
}

}  // namespace
}  // namespace cadre
