#pragma once
/* The values that a manager holds and that are sent to it and back: plain data, as Python's None, bool, int, float, str, bytes, list and dict, and arrays of numbers.

     cadre::Data d = cadre::Data::Dict{{"name", "Ada"}, {"years", cadre::Data::List{1815, 1852}}};
     d.dict().at("years").list()[0].as<int>();            // 1815
     cadre::Data a = std::vector<double>{1, 2, 3};         // an array
     d.repr();                                             // {'name': 'Ada', 'years': [1815, 1852]}

   A copy is a copy of everything in it. Nothing in here is code, a pointer or a reference to anything else. */
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cadre/shm/dtype.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {

class Data;

/** Bytes that are no text (Python: bytes). */
struct Bytes {
  std::string bytes;
  bool operator==(const Bytes&) const = default;
};

/** A fixed number of numbers of one type. */
class NumberArray {
 public:
  /** Zeros, in memory of this process; or, `shared`, in an anonymous file that others may map. Throws Error: no room. */
  NumberArray(DType type, std::uint64_t size, bool shared = false);
  NumberArray(const NumberArray& other);  // never shared
  NumberArray(NumberArray&&) noexcept;
  NumberArray& operator=(NumberArray) noexcept;
  ~NumberArray();

  DType type() const noexcept { return type_; }
  std::uint64_t size() const noexcept { return size_; }
  std::size_t size_bytes() const noexcept { return size_ * size_of(type_); }
  std::byte* bytes() noexcept { return data_; }
  const std::byte* bytes() const noexcept { return data_; }
  template <class T>
  std::span<const T> numbers() const {
    require(dtype_of<T>());
    return {reinterpret_cast<const T*>(data_), size_};
  }
  template <class T>
  std::span<T> numbers() {
    require(dtype_of<T>());
    return {reinterpret_cast<T*>(data_), size_};
  }
  /** An element as a number, and from one. Throw Error: past the end; not a number; a number that the type does not hold. */
  Data at(std::uint64_t i) const;
  void set(std::uint64_t i, const Data& value);

  /** Moves the numbers to an anonymous file, unless they are in one: its descriptor, which stays this array's. Throws Error. */
  int share();
  bool operator==(const NumberArray& other) const;

 private:
  void require(DType asked) const {
    if (asked != type_) throw Error(std::string("an array of ") + name_of(type_) + " is not one of " + name_of(asked));
  }
  void release() noexcept;
  DType type_;
  std::uint64_t size_;
  std::byte* data_ = nullptr;
  int fd_ = -1;  // of the anonymous file
};

/** Keys and values in the order in which the keys came, as Python's dict. A key is null, a bool, a number, text or bytes; True, 1 and 1.0 are one key. */
class DataDict {
 public:
  DataDict();
  DataDict(std::initializer_list<std::pair<Data, Data>> items);
  DataDict(const DataDict&);
  DataDict(DataDict&&) noexcept;
  DataDict& operator=(DataDict) noexcept;
  ~DataDict();

  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /** nullptr: not there. Throws Error for what can be no key. */
  Data* find(const Data& key);
  const Data* find(const Data& key) const { return const_cast<DataDict*>(this)->find(key); }
  /** Throws Error (KeyError). */
  const Data& at(const Data& key) const;
  /** Puts it behind the others, or in the place of the value that is there. */
  void set(Data key, Data value);
  bool erase(const Data& key);
  void clear();
  /** Calls f(key, value) for each, in order; no change meanwhile. */
  template <class F>
  void each(F f) const;
  /** The one that came last. nullptr: none. */
  const std::pair<Data, Data>* last() const;
  bool operator==(const DataDict& other) const;

 private:
  struct Table;
  const std::pair<Data, Data>* entry(std::size_t i) const;  // nullptr: erased
  std::size_t entries() const;
  std::unique_ptr<Table> table_;
};

class Data {
 public:
  /** A list in a list is List{Data(List{1, 2})}: compilers do not agree on List{List{1, 2}}. */
  using List = std::vector<Data>;
  using Dict = DataDict;
  enum class Kind { null, boolean, integer, real, text, bytes, list, dict, array };

  Data() = default;
  Data(std::nullptr_t) {}
  Data(bool v) : v_(v) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Data(T v) : v_(in_range(v)) {}
  template <std::floating_point T>
  Data(T v) : v_(static_cast<double>(v)) {}
  Data(const char* text) : v_(std::string(text)) {}
  Data(std::string text) : v_(std::move(text)) {}
  Data(std::string_view text) : v_(std::string(text)) {}
  Data(Bytes bytes) : v_(std::move(bytes)) {}
  Data(List list) : v_(std::move(list)) {}
  Data(Dict dict) : v_(std::move(dict)) {}
  Data(NumberArray array) : v_(std::make_unique<NumberArray>(std::move(array))) {}
  /** An array; of text or Data: a list. */
  template <class T>
    requires(!std::same_as<T, Data> && !std::same_as<T, bool>)
  Data(const std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T>)
      assign_array(dtype_of<T>(), values.data(), values.size());
    else
      v_ = List(values.begin(), values.end());
  }
  Data(const Data& other);
  Data(Data&&) noexcept;
  Data& operator=(Data other) noexcept;
  ~Data();

  Kind kind() const noexcept { return static_cast<Kind>(v_.index()); }
  bool is_null() const noexcept { return kind() == Kind::null; }
  /** As Python names its type: "NoneType", "int", "str" ..., "array". */
  const char* type_name() const noexcept;

  /* What it holds. Throw Error for another kind (a bool is an integer, an integer a real, as in Python). */
  bool boolean() const;
  std::int64_t integer() const;
  double real() const;
  const std::string& text() const;
  const std::string& bytes() const;
  const List& list() const;
  List& list();
  const Dict& dict() const;
  Dict& dict();
  const NumberArray& array() const;
  NumberArray& array();
  bool is_number() const noexcept { return kind() == Kind::boolean || kind() == Kind::integer || kind() == Kind::real; }

  /** As a C++ type: a number (in its range), std::string, std::vector of such (from an array too), Data. Throws Error. */
  template <class T>
  T as() const;

  /** As Python compares: 1 == 1.0 == True. */
  bool operator==(const Data& other) const;
  /** As Python orders: numbers with numbers, text with text, lists element by element. Throws Error where it does not. */
  bool less(const Data& other) const;
  /** As Python prints it. */
  std::string repr() const;

 private:
  template <class T>
  static std::int64_t in_range(T v) {
    if (!std::in_range<std::int64_t>(v)) throw Error("OverflowError: an integer of a manager has 63 bits and a sign: " + std::to_string(v) + " is too large");
    return static_cast<std::int64_t>(v);
  }
  void assign_array(DType type, const void* numbers, std::uint64_t size);
  [[noreturn]] void wrong(const char* wanted) const;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, List, Dict, std::unique_ptr<NumberArray>> v_;
};

template <class F>
void DataDict::each(F f) const {
  for (std::size_t i = 0; i < entries(); ++i)
    if (const auto* e = entry(i)) f(e->first, e->second);
}

namespace detail {
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
}  // namespace detail

template <class T>
T Data::as() const {
  if constexpr (std::same_as<T, Data>) {
    return *this;
  } else if constexpr (std::same_as<T, bool>) {
    return boolean();
  } else if constexpr (std::integral<T>) {
    const std::int64_t v = integer();
    if (!std::in_range<T>(v)) throw Error(std::to_string(v) + " does not fit the integer type that it was to be");
    return static_cast<T>(v);
  } else if constexpr (std::floating_point<T>) {
    return static_cast<T>(real());
  } else if constexpr (std::same_as<T, std::string>) {
    return kind() == Kind::bytes ? bytes() : text();
  } else {
    static_assert(detail::is_vector<T>, "a value is taken as a number, a std::string, a std::vector of these, or Data");
    using E = typename T::value_type;
    if constexpr (std::is_arithmetic_v<E> && !std::same_as<E, bool>) {
      if (kind() == Kind::array) {
        const auto numbers = array().numbers<E>();
        return T(numbers.begin(), numbers.end());
      }
    }
    T all;
    for (const Data& each : list()) all.push_back(each.as<E>());
    return all;
  }
}

}  // namespace cadre
