#pragma once
/* Counts rows of a scatter column, for kernels that compute indexes by blocks.

   Four ways, chosen for the call: into the list, where the engine gives no dense column; straight into the dense column; for few rows,
   into several small tables side by side, so that equal indexes in a row do not wait for one another's store, merged at the end; for many
   rows and more elements, into 32-bit counts in the front half of the column, which stay in a nearer cache and are widened in place at the end.

     Counter count(chunk->scatter, chunk->count, chunk->scratch);
     for each block: uint32_t* index = count.room(); if (!index) return CADRE_FULL; ... ; count.add(index, n);
     count.finish();                                                                              */
#include <cadre/kernels/builtin/columns.hpp>

namespace cadre::builtin {

/** Columns have fewer rows than this: indexes are 32 bits wide, with room for hidden rows. */
constexpr uint64_t kMostRows = (uint64_t{1} << 32) - (uint64_t{1} << 20);

class Counter {
 public:
  /** Working memory for a column of so many rows, hidden ones included. */
  static uint64_t scratch_bytes(uint64_t rows) { return rows <= kSmall ? kTables * stride(rows) * sizeof(uint32_t) : 64; }

  Counter(cadre_scatter* scatter, uint64_t count, void* scratch) : scatter_(scatter) {
    if (!scatter->dense) return;
    column_ = static_cast<int64_t*>(scatter->dense[0]);
    if (scatter->rows > kSmall && count >= 8 * scatter->rows && count < kMostHeld) halves_ = reinterpret_cast<Half*>(column_);
    if (scatter->rows > kSmall || count < 2 * kTables * scatter->rows) return;
    tables_ = static_cast<uint32_t*>(scratch);
    stride_ = stride(scatter->rows);
    std::memset(tables_, 0, kTables * stride_ * sizeof(uint32_t));
  }

  /** Where to put up to kBlock indexes; nullptr when the list is full for good. */
  uint32_t* room() {
    if (scatter_->dense) return block_;
    if (scatter_->capacity - scatter_->used < kBlock && scatter_->flush(scatter_) != CADRE_OK) return nullptr;
    return scatter_->index + scatter_->used;
  }

  /** Counts n indexes, which are below scatter->rows: those of room(), all at once or one part after another. */
  void add(const uint32_t* index, uint64_t n) {
    if (!scatter_->dense) {
      scatter_->used += n;
    } else if (halves_) {
      for (uint64_t i = 0; i < n; ++i) ++halves_[index[i]];
    } else if (!tables_) {
      for (uint64_t i = 0; i < n; ++i) ++column_[index[i]];
    } else {
      add_to_tables(index, n);
      if ((held_ += n) > kMostHeld) merge();
    }
  }

  void finish() {
    if (tables_) merge();
    if (halves_) widen();
  }

 private:
  using Half = uint32_t __attribute__((may_alias));
  static constexpr uint64_t kTables = 4, kSmall = 2048, kMostHeld = uint64_t{1} << 31;

  /** Tables do not begin at the same offset of a 4 KiB page: stores and loads that agree in it are taken for the same place. */
  static uint64_t stride(uint64_t rows) { return (rows + 15) / 16 * 16 + 48; }

  void add_to_tables(const uint32_t* index, uint64_t n) {
    uint32_t *a = tables_, *b = a + stride_, *c = b + stride_, *d = c + stride_;
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
      uint64_t low, high;
      __builtin_memcpy(&low, index + i, 8);
      __builtin_memcpy(&high, index + i + 2, 8);
      ++a[static_cast<uint32_t>(low)];
      ++b[low >> 32];
      ++c[static_cast<uint32_t>(high)];
      ++d[high >> 32];
    }
    for (; i < n; ++i) ++a[index[i]];
  }

  void merge() {
    for (uint64_t row = 0; row < scatter_->rows; ++row)
      for (uint64_t t = 0; t < kTables; ++t) column_[row] += tables_[t * stride_ + row];
    std::memset(tables_, 0, kTables * stride_ * sizeof(uint32_t));
    held_ = 0;
  }

  // From the back: what a count is written over was read before it.
  void widen() {
    for (uint64_t row = scatter_->rows; row-- > 0;) {
      const uint64_t held = halves_[row];
      __builtin_memcpy(column_ + row, &held, sizeof held);
    }
  }

  cadre_scatter* scatter_;
  int64_t* column_ = nullptr;
  uint32_t* tables_ = nullptr;
  Half* halves_ = nullptr;
  uint64_t stride_ = 0, held_ = 0;
  alignas(64) uint32_t block_[kBlock];
};

}  // namespace cadre::builtin
