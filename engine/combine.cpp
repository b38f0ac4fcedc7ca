#include <cadre/engine/combine.hpp>

#include <algorithm>
#include <cstring>

#include <cadre/engine/operation.hpp>
#include <cadre/engine/segment.hpp>
#include <cadre/pool/planted.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre {

std::uint64_t image_bytes(const Work& work) {
  return sizeof(PartHeader) + (work.scatter == ScatterMode::dense ? kBlockBytes : sizeof(SparseImage));
}

void store_record(SlotLine& line, const Record& record) noexcept {
  std::atomic_thread_fence(std::memory_order_release);
  if (planted(Mistake::split_word)) {
    Record first = record;
    first.from = Record::of(line.record.load()).from;
    line.record.store(first.packed());
  }
  line.record.store(record.packed(), std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // a release store alone would let later stores rise above it
}

namespace {

constexpr std::uint64_t kLine = 64;

class Application {
 public:
  Application(const Work& work, const SlotPlace& place, const Record& record, std::uint32_t chunk, bool last)
      : work_(work), place_(place), r_(record), chunk_(chunk), last_(last), segments_(protocol(reinterpret_cast<Segment*>(work.segments))) {}

  bool run() {
    while (r_.segment < work_.n_segments) {
      Segment& segment = segments_[r_.segment];
      const bool touched = work_.scatter == ScatterMode::dense || touches(r_.segment);
      if (touched || (work_.ordered && !planted(Mistake::keep_turn))) {
        const std::uint64_t asked = place_.trace ? monotonic_ns() : 0;
        if (!work_.copies_of_columns && !lock_segment(segment, place_.slot, work_.ordered != 0, chunk_, *place_.line, *place_.stop)) return false;
        if (place_.trace) note_wait(monotonic_ns() - asked);
        if (touched) {
          if (work_.scatter == ScatterMode::dense)
            apply_dense();
          else
            apply_sparse();
        }
        // Under the lock, before the word advances, and again by a successor without harm.
        if (work_.ordered && last_) segment.turn.store(chunk_ + 1, std::memory_order_release);  // partner: the acquire in lock_segment
        advance(r_.segment + 1, 0);
        if (work_.copies_of_columns) continue;
        if (!planted(Mistake::unlock_first) || segment.lock.load() == place_.slot + 1) unlock_segment(segment);  // after the word: a successor must not apply the segment again
      } else {
        advance(r_.segment + 1, 0);
      }
    }
    return true;
  }

 private:
  void note_wait(std::uint64_t ns) const {
    place_.trace->waited += ns;
    protocol(reinterpret_cast<std::uint64_t*>(work_.segment_waits))[r_.segment] += ns;
  }
  void store(bool saved) {
    r_.saved = saved;
    store_record(*place_.line, r_);
    place_.line->progress.store(place_.line->progress.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void advance(std::uint32_t segment, std::uint32_t block) {
    if (planted(Mistake::unlock_first) && segment == r_.segment) unlock_segment(segments_[segment]);
    r_.segment = segment;
    r_.block = block;
    store(false);
  }

  // Where this process writes rows [segment << shift, ...) of a column.
  std::byte* result(std::uint32_t column) const {
    const WorkColumn& c = work_.columns[column];
    if (work_.copies_of_columns) return copy_of_column(work_, place_.slot, column) + (std::uint64_t{r_.segment} << work_.segment_shift) * size_of(c.dtype);
    return protocol(reinterpret_cast<std::byte*>(c.address)) + (std::uint64_t{r_.segment} << work_.segment_shift) * size_of(c.dtype);
  }

  void apply_dense() {
    const std::uint64_t segment_rows = std::uint64_t{1} << work_.segment_shift;
    std::uint32_t block = 0;
    const std::byte* partial = place_.partial;
    for (std::uint32_t c = 0; c < work_.n_columns; ++c) {
      const WorkColumn& column = work_.columns[c];
      const std::uint64_t size = size_of(column.dtype), bytes = segment_rows * size;
      const std::byte* from = partial + r_.segment * bytes;
      std::byte* to = result(c);
      with_operation(column.op, column.dtype, [&]<cadre_op op, class T>() {
        for (std::uint64_t at = 0; at < bytes; at += kBlockBytes, ++block) {
          if (block < r_.block) continue;
          const std::uint64_t length = std::min(kBlockBytes, bytes - at);
          if (!r_.saved) {
            if (planted(Mistake::save_torn)) store(true);
            std::memcpy(place_.image, to + at, length);
            if (!planted(Mistake::save_torn)) store(true);
          }
          T* out = reinterpret_cast<T*>(to + at);
          const T* old = reinterpret_cast<const T*>(planted(Mistake::no_image) ? to + at : place_.image);
          const T* add = reinterpret_cast<const T*>(from + at);
          for (std::uint64_t i = 0; i < length / sizeof(T); ++i) out[i] = combined<op, T>(old[i], add[i]);
          advance(r_.segment, block + 1);
        }
      });
      partial += rows_padded(work_) * size;
    }
  }

  struct Group {
    const std::uint16_t* low;
    const std::byte* value;
    std::uint64_t count;
  };
  // The entries of a segment in one page. The page may have been scribbled on by a later kernel of this slot only if it was never ready;
  // its offsets are cut to its size all the same.
  Group group(std::uint64_t page, std::uint32_t segment) const {
    const std::uint64_t size = value_bytes(work_);
    const PageLayout layout(work_.n_segments, size);
    const std::byte* at = place_.partial + list_bytes(size) + page * layout.bytes;
    const auto* offsets = reinterpret_cast<const std::uint32_t*>(at);
    const std::uint64_t begin = std::min<std::uint64_t>(offsets[segment], kPageEntries), end = std::min<std::uint64_t>(offsets[segment + 1], kPageEntries);
    return {reinterpret_cast<const std::uint16_t*>(at + layout.lows) + begin, at + layout.values + begin * size, end > begin ? end - begin : 0};
  }

  bool touches(std::uint32_t segment) const {
    const std::uint64_t pages = std::min(place_.header->pages, work_.room_pages);
    for (std::uint64_t page = 0; page < pages; ++page)
      if (group(page, segment).count > 0) return true;
    return false;
  }

  // Where the entries will meet most lines of the segment, the lines are read in order first: memory is faster so than in the entries' order. (Prefetch
  // instructions in the place of the loads take twice the time for the whole scatter.)
  void fetch_segment(std::uint64_t pages) const {
    std::uint64_t entries = 0;
    for (std::uint64_t page = 0; page < pages; ++page) entries += group(page, r_.segment).count;
    for (std::uint32_t c = 0; c < work_.n_columns; ++c) {
      const std::uint64_t bytes = size_of(work_.columns[c].dtype) << work_.segment_shift;
      if (entries * kLine * 4 < bytes) return;
      const std::byte* at = result(c);
      for (std::uint64_t line = 0; line < bytes; line += kLine) (void)*reinterpret_cast<const volatile std::uint8_t*>(at + line);
    }
  }

  void apply_sparse() {
    const std::uint64_t pages = std::min(place_.header->pages, work_.room_pages), size = value_bytes(work_);
    std::uint32_t block = 0;
    fetch_segment(pages);
    for (std::uint64_t page = 0; page < pages; ++page) {
      const Group g = group(page, r_.segment);
      for (std::uint64_t at = 0; at < g.count; at += kBlockEntries, ++block) {
        if (block < r_.block) continue;
        apply_block(g.low + at, g.value + at * size, std::min(kBlockEntries, g.count - at));
        advance(r_.segment, block + 1);
      }
    }
  }

  // A block of entries for one column.
  template <class T>
  struct Entries {
    T* out;
    const std::uint16_t* low;
    std::uint32_t mask;
    std::uint64_t count, before;  // entries of it; of the columns before
    SparseImage* image;

    volatile T& old(std::uint64_t entry) const { return *reinterpret_cast<volatile T*>(image->old[entry % 2]); }
    /** The last entry that a predecessor had begun with, which it may have applied. */
    void put_back(std::uint64_t i) const { out[low[i] & mask] = old(before + i); }

    template <cadre_op op, class Added>
    void apply(std::uint64_t i, Added added) const {
      for (; i < count; ++i) {
        T* const at = out + (low[i] & mask);
        const T was = *at;
        if (planted(Mistake::mark_early)) image->mark = before + i + 1;
        old(before + i) = was;
        image->mark = before + i + 1;
        std::atomic_signal_fence(std::memory_order_seq_cst);  // of the processor nothing is asked: it retires stores in order
        *at = combined<op, T>(was, added(i));
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
    }
  };

  // Entry by entry, through the block once for each column. An index may occur twice: what an entry found is its own old value.
  void apply_block(const std::uint16_t* low, const std::byte* value, std::uint64_t count) {
    auto& image = *reinterpret_cast<SparseImage*>(place_.image);
    if (!r_.saved) {
      if (planted(Mistake::save_torn)) store(true);
      image.mark = 0;
      if (!planted(Mistake::save_torn)) store(true);
    }
    const std::uint64_t mark = image.mark, begun = std::min(mark, work_.n_columns * count), first = begun > 0 ? begun - 1 : 0;
    for (auto c = static_cast<std::uint32_t>(first / count); c < work_.n_columns; ++c) {
      const WorkColumn& column = work_.columns[c];
      with_operation(column.op, column.dtype, [&]<cadre_op op, class T>() {
        const Entries<T> entries{reinterpret_cast<T*>(result(c)), low, (1u << work_.segment_shift) - 1, count, c * count, &image};
        const std::uint64_t from = c == first / count ? first % count : 0;
        if (begun > entries.before + from && !planted(Mistake::no_image)) entries.put_back(from);
        const T* const v = reinterpret_cast<const T*>(value);
        if (column.counts)
          entries.template apply<op>(from, [](std::uint64_t) { return T{1}; });
        else
          entries.template apply<op>(from, [v](std::uint64_t i) { return v[i]; });
      });
    }
  }

  const Work& work_;
  const SlotPlace& place_;
  Record r_;
  const std::uint32_t chunk_;
  const bool last_;
  Segment* const segments_;
};

}  // namespace

std::byte* copy_of_column(const Work& work, std::uint32_t slot, std::uint32_t column) noexcept {
  std::uint64_t at = work.copies_of_columns + slot * work.columns_stride;
  for (std::uint32_t c = 0; c < column; ++c) at += rows_padded(work) * size_of(work.columns[c].dtype);
  return reinterpret_cast<std::byte*>(at);
}

void merge_segment(const Work& work, std::uint64_t segment) noexcept {
  const std::uint64_t rows = std::uint64_t{1} << work.segment_shift;
  for (std::uint32_t c = 0; c < work.n_columns; ++c) {
    const WorkColumn& column = work.columns[c];
    with_operation(column.op, column.dtype, [&]<cadre_op op, class T>() {
      T* out = reinterpret_cast<T*>(column.address) + segment * rows;
      for (std::uint32_t slot = 0; slot < work.slots; ++slot) {
        const T* own = reinterpret_cast<const T*>(copy_of_column(work, slot, c)) + segment * rows;
        for (std::uint64_t i = 0; i < rows; ++i) out[i] = combined<op, T>(out[i], own[i]);
      }
    });
    for (std::uint32_t slot = 0; slot < work.slots; ++slot) fill_identity(column, copy_of_column(work, slot, c) + segment * rows * size_of(column.dtype), rows);
  }
}

bool apply_partial(const Work& work, const SlotPlace& place, Record record, std::uint32_t chunk, bool last) noexcept {
  return Application(work, place, record, chunk, last).run();
}

}  // namespace cadre
