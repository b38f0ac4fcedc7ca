#pragma once
/* The small heap at the front of the arena, for what users share to write: values, queues, locks, registries. It stays writable at
   one address in every process. Objects in it must make sense in any process: no pointers into private memory, no virtual functions.

   Only the caller makes and destroys objects (any thread of it): a dying worker can then never hold the allocator's lock or leave its
   lists half changed. Workers use what is there. */
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <cadre/shm/error.hpp>

namespace cadre {

class Heap {
 public:
  /** The program's heap, made at first use, in the program's arena. */
  static Heap& instance();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /** An object in shared memory. Throws Error when the heap is full, and what the constructor throws. Caller only. */
  template <class T, class... Args>
  T* construct(Args&&... args) {
    static_assert(!std::is_polymorphic_v<T>, "virtual functions do not work between processes");
    void* const place = allocate(sizeof(T), alignof(T));
    try {
      return new (place) T(std::forward<Args>(args)...);
    } catch (...) {
      deallocate(place);
      throw;
    }
  }
  /** Destroys what construct() made; nullptr is allowed. Caller only. */
  template <class T>
  void destroy(T* object) noexcept {
    if (!object) return;
    object->~T();
    deallocate(object);
  }

  void* allocate(std::size_t bytes, std::size_t alignment);
  void deallocate(void* p) noexcept;
  std::size_t size() const noexcept;
  std::size_t free_bytes() const noexcept;

 private:
  Heap();
  struct Impl;
  Impl* impl_;
};

}  // namespace cadre
