#pragma once
/* First fit over a line of addresses, in whole grains: the bookkeeping of the arena's extents and of its file region.
   Private to one process and not locked. Freed neighbours are joined again. */
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>

namespace cadre {

class Ranges {
 public:
  Ranges() = default;
  Ranges(std::size_t first, std::size_t count) {
    if (count) free_[first] = count;
  }

  /** The lowest place where `count` grains fit, now taken; nothing when there is none. */
  std::optional<std::size_t> take(std::size_t count) {
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second < count) continue;
      const std::size_t first = it->first, rest = it->second - count;
      free_.erase(it);
      if (rest) free_[first + count] = rest;
      return first;
    }
    return std::nullopt;
  }

  /** Takes this very place; false, and nothing is changed, when not all of it is free. */
  bool take_at(std::size_t first, std::size_t count) {
    auto it = free_.upper_bound(first);
    if (it == free_.begin() || count == 0) return false;
    --it;
    const std::size_t begin = it->first, end = begin + it->second;
    if (first > end || count > end - first) return false;
    free_.erase(it);
    if (first > begin) free_[begin] = first - begin;
    if (end > first + count) free_[first + count] = end - first - count;
    return true;
  }

  void give(std::size_t first, std::size_t count) {
    auto next = free_.lower_bound(first);
    if (next != free_.end() && first + count == next->first) {
      count += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == first) {
        before->second += count;
        return;
      }
    }
    free_[first] = count;
  }

  /** Calls act(first, count) for every free stretch. */
  template <class Act>
  void for_each_free(Act act) const {
    for (const auto& [first, count] : free_) act(first, count);
  }

  /** Grains in the longest free stretch. */
  std::size_t longest() const {
    std::size_t most = 0;
    for (const auto& [first, count] : free_) most = count > most ? count : most;
    return most;
  }

 private:
  std::map<std::size_t, std::size_t> free_;  // first grain -> count; never touching one another
};

}  // namespace cadre
