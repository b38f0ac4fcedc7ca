#include <cadre/pool/board.hpp>

namespace cadre {

void Board::write_words(std::uint32_t of, std::uint64_t n) noexcept {
  for (std::uint64_t c = 0; c < n; ++c) words[c].store(chunk_word(of, chunk_state::pending), std::memory_order_relaxed);
  done.store(chunk_word(of, 0), std::memory_order_relaxed);
}

void Board::describe(std::uint32_t of, std::uint64_t n, bool in_order) noexcept {
  chunks.store(static_cast<std::uint32_t>(n), std::memory_order_relaxed);
  ordered.store(in_order, std::memory_order_relaxed);
  cursor.store(chunk_word(of, 0), std::memory_order_relaxed);
  stop.store(static_cast<std::uint32_t>(Stop::no), std::memory_order_relaxed);
}

std::uint32_t Board::post(std::uint64_t n, bool in_order) noexcept {
  const std::uint32_t next = epoch.load() + 1;
  write_words(next, n);
  describe(next, n, in_order);
  epoch.store(next);  // publishes the above: partner is the acquire in Worker::live
  return next;
}

bool Board::fail(std::uint32_t at_epoch, Failure why, std::uint32_t slot, std::int32_t status) noexcept {
  std::uint64_t seen = failure.load();
  // A failure of an older job makes room; one of this job stays.
  do {
    if (epoch_of(seen) == at_epoch && state_of(seen) != 0) return false;
  } while (!failure.compare_exchange_weak(seen, chunk_word(at_epoch, static_cast<std::uint32_t>(why))));
  failed_slot = slot;
  failed_status = status;
  failure_told.store(at_epoch, std::memory_order_release);  // pairs with the caller's acquire: it reads the fields above
  stop.store(static_cast<std::uint32_t>(Stop::abandon));
  return true;
}

}  // namespace cadre
