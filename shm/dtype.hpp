#pragma once
/* Element types: the ten that kernels speak, with their NumPy names and .npy codes. */
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace cadre {

enum class DType : std::uint8_t { f64, f32, i8, i16, i32, i64, u8, u16, u32, u64 };  // bit i of CADRE_F64 ... in kernel.h

constexpr std::size_t size_of(DType t) {
  constexpr std::uint8_t bytes[] = {8, 4, 1, 2, 4, 8, 1, 2, 4, 8};
  return bytes[static_cast<int>(t)];
}
/** "float64", "int16" ... */
constexpr const char* name_of(DType t) {
  constexpr const char* names[] = {"float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"};
  return names[static_cast<int>(t)];
}
/** The .npy descr: "<f8", "|i1" ... */
constexpr const char* npy_descr(DType t) {
  constexpr const char* codes[] = {"<f8", "<f4", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"};
  return codes[static_cast<int>(t)];
}

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_cv_t<T>;
  static_assert(std::is_arithmetic_v<U> && !std::is_same_v<U, bool> && sizeof(U) <= 8, "not an element type that kernels know");
  if constexpr (std::is_floating_point_v<U>) return sizeof(U) == 8 ? DType::f64 : DType::f32;
  constexpr int log2 = sizeof(U) == 1 ? 0 : sizeof(U) == 2 ? 1 : sizeof(U) == 4 ? 2 : 3;
  return static_cast<DType>((std::is_signed_v<U> ? 2 : 6) + log2);
}

}  // namespace cadre
