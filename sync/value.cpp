#include <cadre/sync/value.hpp>

#include <cstring>

namespace cadre {

namespace {
constexpr std::size_t kFromArena = 256 << 10;  // bytes: the heap is for small things
}  // namespace

namespace detail {

void Guarded::throw_no_lock() { throw Error("this shared value was made without a lock"); }

SharedBytes::SharedBytes(std::size_t bytes) {
  if (bytes >= kFromArena) {
    auto storage = allocate_storage(bytes);
    data_ = storage->data();
    owner_ = std::move(storage);
    return;
  }
  data_ = static_cast<std::byte*>(Heap::instance().allocate(std::max<std::size_t>(bytes, 1), 64));
  std::memset(data_, 0, bytes);
  owner_ = std::shared_ptr<void>(data_, [](void* p) {
    if (Arena::instance().is_owner()) Heap::instance().deallocate(p);
  });
}

SharedBytes SharedBytes::unpack(ParcelReader& reader) {
  SharedBytes bytes;
  bytes.data_ = reinterpret_cast<std::byte*>(reader.take<std::uint64_t>());
  if (!Arena::instance().contains(bytes.data_)) throw Error("an array from another process does not lie in the shared memory");
  return bytes;
}

}  // namespace detail

SharedString::SharedString(std::string_view initial, std::size_t capacity, Guarded lock)
    : Guarded(std::move(lock)), capacity_(std::max(capacity, initial.size())), bytes_(capacity_) {
  set(initial);
}

std::string SharedString::value() const {
  const auto all = raw();
  return std::string(all.data(), strnlen(all.data(), all.size()));
}

void SharedString::set(std::string_view text) {
  if (text.size() > capacity_) throw Error("a text of " + std::to_string(text.size()) + " bytes does not fit in a shared string of " + std::to_string(capacity_));
  const auto all = raw();
  std::memcpy(all.data(), text.data(), text.size());
  std::memset(all.data() + text.size(), 0, all.size() - text.size());
}

void SharedString::pack(Parcel& parcel) const {
  pack_lock(parcel);
  parcel.put<std::uint64_t>(capacity_);
  bytes_.pack(parcel);
}

SharedString SharedString::unpack(ParcelReader& reader) {
  Guarded lock = unpack_lock(reader);
  const auto capacity = reader.take<std::uint64_t>();
  return SharedString(std::move(lock), capacity, detail::SharedBytes::unpack(reader));
}

}  // namespace cadre
