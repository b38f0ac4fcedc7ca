#include <cadre/sync/event.hpp>

namespace cadre {

void Event::set() noexcept {
  std::uint32_t word = word_->load();
  while (!(word & 1) && !word_->compare_exchange_weak(word, word + 3)) continue;  // one more time, and the flag
  futex_wake(*word_);
}

void Event::clear() noexcept { word_->fetch_and(~1u); }

bool Event::wait(Deadline deadline) {
  const std::uint32_t first = word_->load();
  for (std::uint32_t word = first;; word = word_->load()) {
    if ((word & 1) || word != first) return true;  // set, or set and cleared again meanwhile
    if (deadline.passed()) return false;
    futex_wait(*word_, word, deadline.left(kLookAgain));
  }
}

}  // namespace cadre
