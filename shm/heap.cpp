#include <cadre/shm/heap.hpp>

#include <unistd.h>

#include <mutex>
#include <string>

#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/memory.hpp>

namespace cadre {
namespace {

namespace ipc = boost::interprocess;
// No mutex of Boost's in shared memory: one whose owner dies would stay locked for ever. Allocation is one process's, under a private one.
using Buffer = ipc::basic_managed_external_buffer<char, ipc::rbtree_best_fit<ipc::null_mutex_family>, ipc::iset_index>;

void require_first_process() {
  if (!Arena::instance().is_owner())
    throw Error("shared objects are made by the program's first process (" + std::to_string(Arena::instance().seat().owner) +
                "), not by one that it started: make them there, and pass them on");
}

}  // namespace

struct Heap::Impl {
  mutable std::mutex mutex;
  pid_t owner = getpid();
  bool secured = (Arena::instance().secure(Arena::instance().base(), Arena::instance().heap_bytes()), true);
  Buffer buffer{ipc::create_only, Arena::instance().base() + kRegistryBytes, Arena::instance().heap_bytes() - kRegistryBytes};
};

Heap& Heap::instance() {
  static Heap* const heap = new Heap;  // lives as long as the arena
  return *heap;
}

Heap::Heap() : impl_((require_first_process(), new Impl)) {}

void* Heap::allocate(std::size_t bytes, std::size_t alignment) {
  require_first_process();
  std::lock_guard lock(impl_->mutex);
  void* const p = impl_->buffer.allocate_aligned(bytes, alignment < 16 ? 16 : alignment, std::nothrow);
  if (!p)
    throw Error("the shared heap has no room for " + human_bytes(bytes) + ": " + human_bytes(impl_->buffer.get_free_memory()) + " of " +
                human_bytes(impl_->buffer.get_size()) + " are free, perhaps not in one piece; use an array for what is large");
  return p;
}

void Heap::deallocate(void* p) noexcept {
  CADRE_CHECK(getpid() == impl_->owner);
  std::lock_guard lock(impl_->mutex);
  impl_->buffer.deallocate(p);
}

std::size_t Heap::size() const noexcept { return impl_->buffer.get_size(); }

std::size_t Heap::free_bytes() const noexcept {
  std::lock_guard lock(impl_->mutex);
  return impl_->buffer.get_free_memory();
}

}  // namespace cadre
