#pragma once
/* Typed n-dimensional views of shared memory: C order, compact. Array<T> may be written, Array<const T> only read; both keep
   their memory alive. Copying an array copies the view. */
#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

#include <cadre/shm/dtype.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/storage.hpp>

namespace cadre {

using Shape = std::vector<std::int64_t>;

/** Product of the extents. Throws Error where one is negative or the product of them and `item` does not fit in 63 bits. */
std::uint64_t elements_of(const Shape& shape, std::size_t item = 1);
/** "(200000, 8)" */
std::string to_string(const Shape& shape);

template <class T>
class Array {
 public:
  using value_type = std::remove_cv_t<T>;

  Array() = default;
  Array(std::shared_ptr<Storage> storage, T* data, Shape shape)
      : storage_(std::move(storage)), data_(data), size_(elements_of(shape)), shape_(std::move(shape)) {}
  /** A writable array is also a readable one. (A template, so that it is never taken for the copy constructor.) */
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, value_type>)
  Array(const Array<U>& other)
      : storage_(other.storage()), data_(other.data()), size_(other.size()), shape_(other.shape()) {}

  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const Shape& shape() const noexcept { return shape_; }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }
  /** Element of a two-dimensional array. */
  T& operator()(std::size_t row, std::size_t column) const noexcept { return data_[row * static_cast<std::size_t>(shape_[1]) + column]; }
  std::span<T> span() const noexcept { return {data_, size_}; }
  operator std::span<T>() const noexcept { return span(); }
  const std::shared_ptr<Storage>& storage() const noexcept { return storage_; }

  /* To a process that was not forked (shm/parcel.hpp). */
  void pack(Parcel& parcel) const {
    pack_storage(parcel, storage_);
    parcel.put<std::uint64_t>(reinterpret_cast<std::uintptr_t>(data_));
    Travel<Shape>::pack(parcel, shape_);
  }
  static Array unpack(ParcelReader& reader) {
    auto storage = unpack_storage(reader);
    T* const data = reinterpret_cast<T*>(reader.take<std::uint64_t>());
    return Array(std::move(storage), data, Travel<Shape>::unpack(reader));
  }

 private:
  std::shared_ptr<Storage> storage_;
  T* data_ = nullptr;
  std::size_t size_ = 0;
  Shape shape_{0};
};

/** An array whose element type is known at run time: what named kernels and files are about. */
struct AnyArray {
  std::shared_ptr<Storage> storage;
  std::byte* data = nullptr;
  DType type = DType::f64;
  Shape shape{0};
  bool writable = false;

  AnyArray() = default;
  AnyArray(std::shared_ptr<Storage> s, std::byte* d, DType t, Shape sh, bool w)
      : storage(std::move(s)), data(d), type(t), shape(std::move(sh)), writable(w) {}
  template <class T>
  AnyArray(const Array<T>& a)
      : storage(a.storage()), data(reinterpret_cast<std::byte*>(const_cast<std::remove_cv_t<T>*>(a.data()))), type(dtype_of<T>()), shape(a.shape()), writable(!std::is_const_v<T>) {}

  std::uint64_t elements() const { return elements_of(shape); }
  std::uint64_t bytes() const { return elements_of(shape, size_of(type)) * size_of(type); }
  /** The typed view. Throws Error when the type is another, or `T` is not const and the array may only be read. */
  template <class T>
  Array<T> as() const {
    if (dtype_of<T>() != type) throw Error(std::string("the array holds ") + name_of(type) + ", not " + name_of(dtype_of<T>()));
    if (!std::is_const_v<T> && !writable) throw Error("the array may only be read: take it as<const T>()");
    return {storage, reinterpret_cast<T*>(data), shape};
  }
};

/** Whether some byte belongs to both. */
inline bool overlap(const AnyArray& a, const AnyArray& b) { return a.data < b.data + b.bytes() && b.data < a.data + a.bytes(); }

}  // namespace cadre
