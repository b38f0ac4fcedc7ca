#include <cadre/shm/storage.hpp>

#include <cadre/shm/arena.hpp>

namespace cadre {
namespace {

class ArenaStorage final : public Storage {
 public:
  ArenaStorage(std::byte* p, std::size_t bytes) : Storage(p, bytes) {}
  ~ArenaStorage() override { Arena::instance().release(data_); }
};

}  // namespace

std::shared_ptr<Storage> allocate_storage(std::size_t bytes, bool zero) {
  Arena& arena = Arena::instance();
  std::byte* const p = arena.allocate(bytes, zero);
  try {
    return std::make_shared<ArenaStorage>(p, bytes);
  } catch (...) {
    arena.release(p);
    throw;
  }
}

}  // namespace cadre
