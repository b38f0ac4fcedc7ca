#pragma once
/* A private handle of an object in the shared heap. Copies are handles of the same object; it is destroyed with the last of those that its maker
   holds, and handles in other processes do not count: a Process keeps its arguments until it has ended. */
#include <memory>
#include <utility>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/heap.hpp>
#include <cadre/shm/parcel.hpp>

namespace cadre {

template <class S>
class Shared {
 public:
  Shared() = default;
  /** A new object. Throws Error when the heap is full, or in a process that may not allocate. */
  template <class... Args>
  static Shared make(Args&&... args) {
    Heap& heap = Heap::instance();
    return Shared(std::shared_ptr<S>(heap.construct<S>(std::forward<Args>(args)...), [](S* object) {
      if (Arena::instance().is_owner()) Heap::instance().destroy(object);
    }));
  }
  S* get() const noexcept { return object_.get(); }
  S* operator->() const noexcept { return object_.get(); }
  S& operator*() const noexcept { return *object_; }

  void pack(Parcel& parcel) const { parcel.put<std::uint64_t>(reinterpret_cast<std::uintptr_t>(object_.get())); }
  static Shared unpack(ParcelReader& reader) {
    auto* object = reinterpret_cast<S*>(reader.take<std::uint64_t>());
    if (object && !Arena::instance().contains(object)) throw Error("a handle from another process does not lie in the shared memory");
    return Shared(std::shared_ptr<S>(object, [](S*) {}));
  }

 private:
  explicit Shared(std::shared_ptr<S> object) : object_(std::move(object)) {}
  std::shared_ptr<S> object_;
};

}  // namespace cadre
