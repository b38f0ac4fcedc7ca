#pragma once
/* The built-in operations on columns, by element type. min and max propagate NaN, as NumPy's do. */
#include <cstdint>
#include <limits>
#include <type_traits>

#include <cadre/kernels/kernel.h>

namespace cadre {

template <cadre_op op, class T>
T combined(T a, T b) noexcept {
  if constexpr (op == CADRE_ADD) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
    else
      return a + b;
  }
  if constexpr (op == CADRE_MIN) return b < a || b != b ? b : a;
  if constexpr (op == CADRE_MAX) return b > a || b != b ? b : a;
}

template <cadre_op op, class T>
constexpr T identity_of() noexcept {
  if constexpr (op == CADRE_ADD) return T{};
  using Limits = std::numeric_limits<T>;
  if constexpr (op == CADRE_MIN) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  if constexpr (op == CADRE_MAX) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}

/** Calls f.operator()<op, T>() for the operation and type named at run time. */
template <class F>
void with_operation(std::uint32_t op, cadre_dtype type, F&& f) {
  const auto with_type = [&]<cadre_op o>() {
    switch (type.code << 8 | type.bits) {
      case CADRE_FLOAT << 8 | 64: return f.template operator()<o, double>();
      case CADRE_FLOAT << 8 | 32: return f.template operator()<o, float>();
      case CADRE_INT << 8 | 8: return f.template operator()<o, std::int8_t>();
      case CADRE_INT << 8 | 16: return f.template operator()<o, std::int16_t>();
      case CADRE_INT << 8 | 32: return f.template operator()<o, std::int32_t>();
      case CADRE_INT << 8 | 64: return f.template operator()<o, std::int64_t>();
      case CADRE_UINT << 8 | 8: return f.template operator()<o, std::uint8_t>();
      case CADRE_UINT << 8 | 16: return f.template operator()<o, std::uint16_t>();
      case CADRE_UINT << 8 | 32: return f.template operator()<o, std::uint32_t>();
      default: return f.template operator()<o, std::uint64_t>();
    }
  };
  switch (op) {
    case CADRE_ADD: return with_type.template operator()<CADRE_ADD>();
    case CADRE_MIN: return with_type.template operator()<CADRE_MIN>();
    default: return with_type.template operator()<CADRE_MAX>();
  }
}

}  // namespace cadre
