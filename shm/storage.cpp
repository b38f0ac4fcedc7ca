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

std::shared_ptr<Storage> own_storage(std::byte* p, std::size_t bytes) {
  try {
    return std::make_shared<ArenaStorage>(p, bytes);
  } catch (...) {
    Arena::instance().release(p);
    throw;
  }
}

std::shared_ptr<Storage> allocate_storage(std::size_t bytes, bool zero) {
  return own_storage(Arena::instance().allocate(bytes, zero), bytes);
}

}  // namespace cadre
