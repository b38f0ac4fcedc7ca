#pragma once
/* Sorting in two passes: runs are sorted one by one; then whoever fills the places [first, first + count) of the whole finds by ranks, between which keys in all runs at once
   they lie, takes those parts of the runs and sorts them. Nothing depends on how keys are distributed; equal keys are given to places in the order of runs.

   Items are anything; `key` makes an unsigned integer of one. */
#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace cadre::builtin {

/** Sorts n items by digits of 8 or 11 bits of their keys, the lowest first; digits that all keys share are left out. Items of equal keys keep their order.
    Returns where the result is: `a` or `b`. */
template <class Item, class KeyOf>
Item* sort_by_key(Item* a, Item* b, uint64_t n, KeyOf key) {
  using K = std::invoke_result_t<KeyOf, Item>;
  constexpr int kBits = sizeof(K) <= 2 ? 8 : 11;
  constexpr int kDigits = (8 * sizeof(K) + kBits - 1) / kBits;
  constexpr uint64_t kBuckets = uint64_t{1} << kBits;
  uint32_t count[kDigits][kBuckets] = {};
  for (uint64_t i = 0; i < n; ++i)
    for (int d = 0; d < kDigits; ++d) ++count[d][key(a[i]) >> (d * kBits) & (kBuckets - 1)];
  for (int d = 0; d < kDigits; ++d) {
    const int shift = d * kBits;
    uint32_t* at = count[d];
    if (n == 0 || at[key(a[0]) >> shift & (kBuckets - 1)] == n) continue;
    uint32_t before = 0;
    for (uint64_t k = 0; k < kBuckets; ++k) {
      const uint32_t here = at[k];
      at[k] = before;
      before += here;
    }
    for (uint64_t i = 0; i < n; ++i) b[at[key(a[i]) >> shift & (kBuckets - 1)]++] = a[i];
    std::swap(a, b);
  }
  return a;
}

/** Runs of `run` items each, the last shorter, `n` in all. */
template <class Item, class KeyOf>
class SortedRuns {
 public:
  using K = std::invoke_result_t<KeyOf, Item>;
  SortedRuns(const Item* items, uint64_t n, uint64_t run, KeyOf key) : items_(items), n_(n), run_(run), count_((n + run - 1) / run), key_(key) {}

  /** For each run, how many of its items are among the `rank` first of all. lo gets them; hi and at are room. All are as many as there are runs. */
  void split(uint64_t rank, uint64_t* lo, uint64_t* hi, uint64_t* at) const {
    for (uint64_t r = 0; r < count_; ++r) lo[r] = 0, hi[r] = std::min(run_, n_ - r * run_);
    // Keys below `least` are certainly fewer than `rank`, those up to `most` at least as many; lo and hi count each run's items below them.
    K least = 0, most = std::numeric_limits<K>::max();
    while (least < most) {
      const K middle = static_cast<K>(least + (most - least) / 2);
      uint64_t up_to = 0;  // items with a key of `middle` at most
      for (uint64_t r = 0; r < count_; ++r) up_to += at[r] = count_up_to(items_ + r * run_, lo[r], hi[r], middle);
      const bool enough = up_to >= rank;
      bool open = false;
      for (uint64_t r = 0; r < count_; ++r) {
        (enough ? hi[r] : lo[r]) = at[r];
        open |= lo[r] < hi[r];
      }
      if (enough)
        most = middle;
      else
        least = static_cast<K>(middle + 1);
      if (!open) break;
    }
    // What is left between lo and hi are equals of the key at this rank: the first runs give theirs first.
    uint64_t taken = 0;
    for (uint64_t r = 0; r < count_; ++r) taken += lo[r];
    for (uint64_t r = 0; r < count_; ++r) {
      const uint64_t more = std::min(hi[r] - lo[r], rank - taken);
      lo[r] += more;
      taken += more;
    }
  }

  /** Hands places [first, first + count) to `take(place, items, how many)`, in order, at most `part` at a time. collect(item): what is sorted of an item, of type
      `Kept`, with the key kept_key(). `bounds`: room for 4 numbers per run; `room`: for 2 * part of what is kept. */
  template <class Kept, class Collect, class KeptKey, class Take>
  void gather(uint64_t first, uint64_t count, uint64_t part, uint64_t* bounds, Kept* room, Collect collect, KeptKey kept_key, Take take) const {
    uint64_t *from = bounds, *to = from + count_, *rest = to + count_;
    split(first, from, rest, rest + count_);
    for (uint64_t at = first, end = first + count; at < end;) {
      const uint64_t some = std::min(part, end - at);
      split(at + some, to, rest, rest + count_);
      uint64_t filled = 0;
      for (uint64_t r = 0; r < count_; ++r)
        for (uint64_t i = from[r]; i < to[r]; ++i) room[filled++] = collect(items_[r * run_ + i]);
      take(at, sort_by_key(room, room + some, some, kept_key), some);
      std::swap(from, to);
      at += some;
    }
  }

 private:
  /** Items of a sorted run with a key of `most` at the most, of which there are between a and b. */
  uint64_t count_up_to(const Item* run, uint64_t a, uint64_t b, K most) const {
    while (a < b) {
      const uint64_t middle = a + (b - a) / 2;
      if (key_(run[middle]) <= most)
        a = middle + 1;
      else
        b = middle;
    }
    return a;
  }

  const Item* items_;
  uint64_t n_, run_, count_;
  KeyOf key_;
};

}  // namespace cadre::builtin
