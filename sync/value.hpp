#pragma once
/* Values and arrays that several processes read and write, with a lock or without:

     cadre::SharedValue<double> num(0.0);                        // with a recursive lock of its own
     { std::lock_guard guard(num.get_lock()); num.value() += 1; }
     cadre::Lock lock;
     cadre::SharedArray<Point> points({{1, -6}, {-5, 2}}, lock); // one lock for several
     cadre::SharedString s("hello world", cadre::no_lock);

   Reading and writing take no lock by themselves. What lies in them is found at one address in every process: no pointers into private memory, no virtual
   functions, nothing but bytes. A process that is killed in the middle of a change leaves it half made; the next to take the lock is told. */
#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <cadre/shm/storage.hpp>
#include <cadre/sync/lock.hpp>

namespace cadre {

/** Instead of a lock: none. */
struct NoLock {
  explicit NoLock() = default;
};
inline constexpr NoLock no_lock{};

namespace detail {

/** The lock that a value was given. */
class Guarded {
 public:
  Guarded() : lock_(AnyLock()) {}
  explicit Guarded(NoLock) {}
  explicit Guarded(AnyLock lock) : lock_(std::move(lock)) {}

  bool has_lock() const noexcept { return lock_.has_value(); }
  /** Throws Error when it was made without. */
  AnyLock& get_lock() {
    if (!lock_) throw_no_lock();
    return *lock_;
  }

 protected:
  void pack_lock(Parcel& parcel) const {
    parcel.put(lock_.has_value());
    if (lock_) lock_->pack(parcel);
  }
  static Guarded unpack_lock(ParcelReader& reader) { return reader.take<bool>() ? Guarded(AnyLock::unpack(reader)) : Guarded(no_lock); }

 private:
  [[noreturn]] static void throw_no_lock();
  std::optional<AnyLock> lock_;
};

/** Zeroed memory for what is larger than a number: small pieces from the shared heap, large ones from the arena. */
class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(std::size_t bytes);
  std::byte* data() const noexcept { return data_; }

  void pack(Parcel& parcel) const { parcel.put<std::uint64_t>(reinterpret_cast<std::uintptr_t>(data_)); }
  static SharedBytes unpack(ParcelReader& reader);

 private:
  std::shared_ptr<void> owner_;
  std::byte* data_ = nullptr;
};

template <class T>
constexpr void require_shareable() {
  static_assert(!std::is_reference_v<T> && !std::is_const_v<T>, "a shared value is written by several processes: give its plain type, without const or &");
  static_assert(!std::is_pointer_v<T>, "a pointer means nothing in another process: share what it points to, or an index");
  static_assert(std::is_trivially_copyable_v<T>,
                "what processes share must be trivially copyable: numbers, and structs and std::arrays of them; no strings, vectors, smart pointers or virtual functions");
}

}  // namespace detail

template <class T>
class SharedValue : public detail::Guarded {
 public:
  explicit SharedValue(const T& initial = T{}) : value_(make(initial)) {}
  SharedValue(const T& initial, NoLock none) : Guarded(none), value_(make(initial)) {}
  SharedValue(const T& initial, AnyLock lock) : Guarded(std::move(lock)), value_(make(initial)) {}

  T& value() const noexcept { return value_->value; }
  T& operator*() const noexcept { return value_->value; }
  T* operator->() const noexcept { return &value_->value; }

  void pack(Parcel& parcel) const {
    pack_lock(parcel);
    value_.pack(parcel);
  }
  static SharedValue unpack(ParcelReader& reader) {
    Guarded lock = unpack_lock(reader);
    return SharedValue(std::move(lock), Shared<Place>::unpack(reader));
  }

 private:
  struct Place {
    T value;
  };
  static Shared<Place> make(const T& initial) {
    detail::require_shareable<T>();
    return Shared<Place>::make(Place{initial});
  }
  SharedValue(Guarded lock, Shared<Place> value) : Guarded(std::move(lock)), value_(std::move(value)) {}
  Shared<Place> value_;
};

template <class T>
class SharedArray : public detail::Guarded {
 public:
  using value_type = T;

  /** `size` zeros. */
  explicit SharedArray(std::size_t size) : SharedArray(size, Guarded()) {}
  SharedArray(std::size_t size, NoLock none) : SharedArray(size, Guarded(none)) {}
  SharedArray(std::size_t size, AnyLock lock) : SharedArray(size, Guarded(std::move(lock))) {}
  /** A copy of these. */
  SharedArray(std::initializer_list<T> values) : SharedArray(std::span(values.begin(), values.size()), Guarded()) {}
  SharedArray(std::initializer_list<T> values, NoLock none) : SharedArray(std::span(values.begin(), values.size()), Guarded(none)) {}
  SharedArray(std::initializer_list<T> values, AnyLock lock) : SharedArray(std::span(values.begin(), values.size()), Guarded(std::move(lock))) {}
  explicit SharedArray(const std::vector<T>& values) : SharedArray(std::span<const T>(values), Guarded()) {}
  SharedArray(const std::vector<T>& values, NoLock none) : SharedArray(std::span<const T>(values), Guarded(none)) {}
  SharedArray(const std::vector<T>& values, AnyLock lock) : SharedArray(std::span<const T>(values), Guarded(std::move(lock))) {}

  std::size_t size() const noexcept { return size_; }
  T* data() const noexcept { return reinterpret_cast<T*>(bytes_.data()); }
  T& operator[](std::size_t i) const noexcept { return data()[i]; }
  /** Throws Error past the end. */
  T& at(std::size_t i) const {
    if (i >= size_) throw Error("element " + std::to_string(i) + " of a shared array of " + std::to_string(size_));
    return data()[i];
  }
  T* begin() const noexcept { return data(); }
  T* end() const noexcept { return data() + size_; }
  std::span<T> span() const noexcept { return {data(), size_}; }

  void pack(Parcel& parcel) const {
    pack_lock(parcel);
    parcel.put<std::uint64_t>(size_);
    bytes_.pack(parcel);
  }
  static SharedArray unpack(ParcelReader& reader) {
    Guarded lock = unpack_lock(reader);
    const auto size = reader.take<std::uint64_t>();
    return SharedArray(std::move(lock), size, detail::SharedBytes::unpack(reader));
  }

 private:
  static_assert(std::is_default_constructible_v<T> || !std::is_trivially_copyable_v<T>, "elements of a shared array begin as zeros: give the struct a default constructor");
  static detail::SharedBytes room(std::size_t size) {
    detail::require_shareable<T>();
    static_assert(alignof(T) <= 64, "elements of a shared array may be aligned to 64 bytes at most");
    if (size > (std::size_t{1} << 62) / sizeof(T)) throw Error("a shared array of " + std::to_string(size) + " elements is larger than memory has addresses");
    return detail::SharedBytes(size * sizeof(T));
  }
  SharedArray(std::size_t size, Guarded lock) : Guarded(std::move(lock)), size_(size), bytes_(room(size)) {}
  SharedArray(std::span<const T> values, Guarded lock) : SharedArray(values.size(), std::move(lock)) { std::copy(values.begin(), values.end(), data()); }
  SharedArray(Guarded lock, std::size_t size, detail::SharedBytes bytes) : Guarded(std::move(lock)), size_(size), bytes_(std::move(bytes)) {}
  std::size_t size_ = 0;
  detail::SharedBytes bytes_;
};

/** Bytes of a fixed capacity: as text, those before the first NUL. */
class SharedString : public detail::Guarded {
 public:
  /** Room for `initial`, or for `capacity` bytes if that is more. */
  explicit SharedString(std::string_view initial, std::size_t capacity = 0) : SharedString(initial, capacity, Guarded()) {}
  SharedString(std::string_view initial, NoLock none) : SharedString(initial, 0, Guarded(none)) {}
  SharedString(std::string_view initial, AnyLock lock) : SharedString(initial, 0, Guarded(std::move(lock))) {}
  SharedString(std::string_view initial, std::size_t capacity, NoLock none) : SharedString(initial, capacity, Guarded(none)) {}
  SharedString(std::string_view initial, std::size_t capacity, AnyLock lock) : SharedString(initial, capacity, Guarded(std::move(lock))) {}

  /** A copy of the text. */
  std::string value() const;
  /** Throws Error when it is longer than the capacity. */
  void set(std::string_view text);
  std::size_t capacity() const noexcept { return capacity_; }
  /** All bytes, to be read and written. */
  std::span<char> raw() const noexcept { return {reinterpret_cast<char*>(bytes_.data()), capacity_}; }

  void pack(Parcel& parcel) const;
  static SharedString unpack(ParcelReader& reader);

 private:
  SharedString(std::string_view initial, std::size_t capacity, Guarded lock);
  SharedString(Guarded lock, std::size_t capacity, detail::SharedBytes bytes) : Guarded(std::move(lock)), capacity_(capacity), bytes_(std::move(bytes)) {}
  std::size_t capacity_ = 0;
  detail::SharedBytes bytes_;
};

}  // namespace cadre
