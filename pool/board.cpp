#include <cadre/pool/board.hpp>

namespace cadre {

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
