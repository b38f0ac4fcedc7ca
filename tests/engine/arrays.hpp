#pragma once
/* Arrays in shared memory with values that are the same in every run, and what comes of jobs over them. */
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <cadre/engine/engine.hpp>

namespace cadre::testing {

/** A well mixed number for each index (splitmix64). */
inline std::uint64_t mixed(std::uint64_t i, std::uint64_t seed = 0) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/** The i-th of evenly spread values in [lo, hi); whole numbers where T is. */
template <class T>
T spread(std::uint64_t i, double lo, double hi, std::uint64_t seed = 0) {
  const double value = lo + static_cast<double>(mixed(i, seed) >> 11) * 0x1p-53 * (hi - lo);
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::int64_t>(value));  // which wraps around where T is smaller
  else
    return static_cast<T>(value);
}

template <class T>
Array<T> filled(Engine& engine, std::size_t n, double lo, double hi, std::uint64_t seed = 0) {
  auto array = engine.array<T>(n);
  for (std::size_t i = 0; i < n; ++i) array[i] = spread<T>(i, lo, hi, seed);
  return array;
}

/** Calls f.operator()<T>() for the element type. */
template <class F>
void with_type(DType type, F&& f) {
  switch (type) {
    case DType::f64: return f.template operator()<double>();
    case DType::f32: return f.template operator()<float>();
    case DType::i8: return f.template operator()<std::int8_t>();
    case DType::i16: return f.template operator()<std::int16_t>();
    case DType::i32: return f.template operator()<std::int32_t>();
    case DType::i64: return f.template operator()<std::int64_t>();
    case DType::u8: return f.template operator()<std::uint8_t>();
    case DType::u16: return f.template operator()<std::uint16_t>();
    case DType::u32: return f.template operator()<std::uint32_t>();
    case DType::u64: return f.template operator()<std::uint64_t>();
  }
}

inline AnyArray filled(DType type, const Shape& shape, double lo, double hi, std::uint64_t seed) {
  const auto storage = allocate_storage(std::max<std::uint64_t>(elements_of(shape, size_of(type)) * size_of(type), 1));
  const AnyArray array(storage, storage->data(), type, shape, true);
  with_type(type, [&]<class T>() {
    for (std::uint64_t i = 0; i < array.elements(); ++i) reinterpret_cast<T*>(array.data)[i] = spread<T>(i, lo, hi, seed);
  });
  return array;
}

/** An array's bytes. */
inline std::string bytes_of(const AnyArray& array) { return {reinterpret_cast<const char*>(array.data), array.bytes()}; }
template <class T>
std::string bytes_of(const Array<T>& array) {
  return bytes_of(AnyArray(array));
}
template <class T>
std::string bytes_of(const T& number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::string bytes(file ? static_cast<std::size_t>(file.tellg()) : 0, 0);
  file.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

/** "sum=123.5 ..." with every bit of the numbers. */
inline std::string bytes_of(const std::vector<SmallResult>& results) {
  std::string text;
  for (const SmallResult& r : results) {
    text += r.name + to_string(r.shape) + "=";
    std::visit([&](const auto& values) { text.append(reinterpret_cast<const char*>(values.data()), values.size() * 8); }, r.values);
  }
  return text;
}

/** A step with positional inputs and outputs. */
inline Step step(std::string kernel, const std::vector<std::string>& in, const std::vector<std::string>& out = {}, std::vector<std::pair<std::string, Param>> params = {}) {
  Step s{.kernel = std::move(kernel), .params = std::move(params)};
  for (const std::string& name : in) s.in.emplace_back("", name);
  for (const std::string& name : out) s.out.emplace_back("", name);
  return s;
}

}  // namespace cadre::testing
