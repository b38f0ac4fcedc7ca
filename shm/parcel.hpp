#pragma once
/* What travels to a process that was not forked: arguments as bytes. What can be packed:

     anything trivially copyable     its bytes; pointers must point into shared memory, functions are found again by build id and offset
     handles of shared objects       arrays, values, locks ...: their address, which is the same in every process
     std::string, std::vector<T>, std::pair<A, B>, std::tuple<T...> of these
     open descriptors                with the arguments of a process alone

   A handle says how by two members: void pack(Parcel&) const, and static T unpack(ParcelReader&). */
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cadre/shm/code_address.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/padding.hpp>

namespace cadre {

class Parcel {
 public:
  /** What becomes of what is put: descriptors alone are kept where only they are asked for. */
  enum class Keep { all, descriptors };
  Parcel() = default;
  explicit Parcel(Keep keep) : keep_(keep) {}

  void put(const void* bytes, std::size_t count) {
    if (keep_ == Keep::descriptors) return;
    const auto* from = static_cast<const std::byte*>(bytes);
    bytes_.insert(bytes_.end(), from, from + count);
  }
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    put(&value, sizeof value);
  }
  /** Bytes of a caller's object: throws Error when a word of them points into private memory. */
  void put_checked(const void* bytes, std::size_t count);
  /** A descriptor of this process, open until the parcel has been sent: the other process gets a copy of its own. */
  void put_descriptor(int fd) {
    put(static_cast<std::uint32_t>(descriptors_.size()));
    descriptors_.push_back(fd);
  }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::span<const int> descriptors() const noexcept { return descriptors_; }
  /** Throws Error when there are descriptors: `carrier` is memory or a stream, which can not have them. */
  void require_bytes_alone(const char* carrier) const {
    if (!descriptors_.empty()) throw Error(std::string(carrier) + " can not carry a connection: pass it to the process as an argument");
  }

 private:
  Keep keep_ = Keep::all;
  std::vector<std::byte> bytes_;
  std::vector<int> descriptors_;
};

/** Reads in the order of packing. Throws Error past the end. */
class ParcelReader {
 public:
  explicit ParcelReader(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) : left_(bytes), descriptors_(descriptors) {}
  void take(void* to, std::size_t count) {
    if (count > left_.size()) throw Error("what another process sent is shorter than it should be");
    if (count) std::memcpy(to, left_.data(), count);
    left_ = left_.subspan(count);
  }
  template <class T>
  T take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    take(&value, sizeof value);
    return value;
  }
  /** A size that a sequence of `item`-byte elements can have in what is left. */
  std::size_t take_size(std::size_t item);
  std::span<const std::byte> left() const noexcept { return left_; }
  /** A descriptor that came along, as it is here; the taker's to close. */
  int take_descriptor() {
    const auto index = take<std::uint32_t>();
    if (index >= descriptors_.size()) throw Error("a descriptor that another process passed has not come along");
    return descriptors_[index];
  }
  /** What came along, where that is known only once the beginning has been read. */
  void set_descriptors(std::span<const int> descriptors) noexcept { descriptors_ = descriptors; }

 private:
  std::span<const std::byte> left_;
  std::span<const int> descriptors_;
};

/** How a T travels; `possible` says whether it does. */
template <class T>
struct Travel {
  static constexpr bool possible = false;
};

namespace detail {
template <class T>
concept PacksItself = requires(const T& value, Parcel& parcel, ParcelReader& reader) {
  value.pack(parcel);
  { T::unpack(reader) } -> std::same_as<T>;
};
/** Trivially copyable. (GCC 12 denies it of a lambda with captures once its deleted assignment has been asked for, as std::tuple does.) */
template <class T>
concept IsBytes = std::is_trivially_copyable_v<T> || (std::is_trivially_copy_constructible_v<T> && std::is_trivially_destructible_v<T> && !std::is_copy_assignable_v<T> && !std::is_move_assignable_v<T>);
/** What can not hold a pointer. */
template <class T>
concept IsNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <class T>
concept IsFunctionPointer = std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>;
}  // namespace detail

template <detail::PacksItself T>
struct Travel<T> {
  static constexpr bool possible = true;
  static void pack(Parcel& parcel, const T& value) { value.pack(parcel); }
  static T unpack(ParcelReader& reader) { return T::unpack(reader); }
};

template <detail::IsFunctionPointer T>
struct Travel<T> {
  static constexpr bool possible = true;
  static void pack(Parcel& parcel, T function) {
    parcel.put(function != nullptr);
    if (function) parcel.put(locate_code(function));
  }
  static T unpack(ParcelReader& reader) { return reader.take<bool>() ? reinterpret_cast<T>(resolve_code(reader.take<CodeAddress>())) : nullptr; }
};

template <class T>
  requires(detail::IsBytes<T> && !detail::PacksItself<T> && !detail::IsFunctionPointer<T> && !std::is_member_pointer_v<T>)
struct Travel<T> {
  static constexpr bool possible = true;
  static void pack(Parcel& parcel, const T& value) {
    if constexpr (detail::IsNumber<T>)
      parcel.put(value);
    else if constexpr (!std::is_empty_v<T>) {
      alignas(T) std::array<std::byte, sizeof(T)> bytes;
      copy_without_padding(bytes.data(), value);
      parcel.put_checked(bytes.data(), bytes.size());
    }
  }
  static T unpack(ParcelReader& reader) {
    // Lambdas have no default constructor: the bytes are the object.
    union Room {
      Room() {}
      T value;
    } room;
    if constexpr (!std::is_empty_v<T>) reader.take(static_cast<void*>(&room.value), sizeof(T));
    return room.value;
  }
};

template <>
struct Travel<std::string> {
  static constexpr bool possible = true;
  static void pack(Parcel& parcel, const std::string& text) {
    parcel.put<std::uint64_t>(text.size());
    parcel.put(text.data(), text.size());
  }
  static std::string unpack(ParcelReader& reader) {
    std::string text(reader.take_size(1), '\0');
    reader.take(text.data(), text.size());
    return text;
  }
};

template <class T>
struct Travel<std::vector<T>> {
  static constexpr bool possible = Travel<T>::possible;
  static void pack(Parcel& parcel, const std::vector<T>& values) {
    parcel.put<std::uint64_t>(values.size());
    if constexpr (in_one_piece)
      parcel.put(values.data(), values.size() * sizeof(T));
    else
      for (const auto& value : values) Travel<T>::pack(parcel, value);
  }
  static std::vector<T> unpack(ParcelReader& reader) {
    if constexpr (in_one_piece) {
      std::vector<T> values(reader.take_size(sizeof(T)));
      reader.take(values.data(), values.size() * sizeof(T));
      return values;
    }
    std::vector<T> values;
    for (std::size_t n = reader.take_size(0); n > 0; --n) values.push_back(Travel<T>::unpack(reader));
    return values;
  }

 private:
  static constexpr bool in_one_piece = detail::IsNumber<T> && !std::is_same_v<T, bool>;
};

template <class A, class B>
struct Travel<std::pair<A, B>> {
  static constexpr bool possible = Travel<A>::possible && Travel<B>::possible;
  static void pack(Parcel& parcel, const std::pair<A, B>& pair) {
    Travel<A>::pack(parcel, pair.first);
    Travel<B>::pack(parcel, pair.second);
  }
  static std::pair<A, B> unpack(ParcelReader& reader) {
    A first = Travel<A>::unpack(reader);
    return {std::move(first), Travel<B>::unpack(reader)};
  }
};

template <class... T>
struct Travel<std::tuple<T...>> {
  static constexpr bool possible = (Travel<T>::possible && ...);
  static void pack(Parcel& parcel, const std::tuple<T...>& tuple) {
    std::apply([&](const T&... each) { (Travel<T>::pack(parcel, each), ...); }, tuple);
  }
  static std::tuple<T...> unpack(ParcelReader& reader) {
    return std::tuple<T...>{Travel<T>::unpack(reader)...};  // braces: in order
  }
};

template <class T>
inline constexpr bool can_travel = Travel<T>::possible;

}  // namespace cadre
