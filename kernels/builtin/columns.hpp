#pragma once
/* Columns of any of the ten element types, for kernels whose loops are written once, for double, say.

     Column<double> x(chunk->inputs[0]);
     alignas(64) double room[kBlock];
     for (uint64_t at = 0; at < chunk->count; at += kBlock) {
       const uint64_t n = std::min(kBlock, chunk->count - at);
       const double* v = x.load(at, n, room);     // the data themselves when they are doubles already, else converted into `room`
       ...
     }

   A block stays in the L1 cache, so a conversion costs a fraction of reading the data. Pointers are aligned to the element, no more. */
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include <cadre/kernels/kernel.h>

namespace cadre::builtin {

constexpr uint64_t kBlock = 1024;

constexpr cadre_dtype kF64{CADRE_FLOAT, 64, 1}, kF32{CADRE_FLOAT, 32, 1};
constexpr cadre_dtype kI64{CADRE_INT, 64, 1}, kU64{CADRE_UINT, 64, 1}, kI32{CADRE_INT, 32, 1};

constexpr bool operator==(cadre_dtype a, cadre_dtype b) { return a.code == b.code && a.bits == b.bits; }
constexpr bool is_float(cadre_dtype t) { return t.code == CADRE_FLOAT; }
constexpr bool is_signed(cadre_dtype t) { return t.code == CADRE_INT; }
constexpr uint64_t bytes_of(cadre_dtype t) { return t.bits / 8; }

template <class T>
constexpr cadre_dtype dtype_of() {
  return {static_cast<uint8_t>(std::is_floating_point_v<T> ? CADRE_FLOAT : std::is_signed_v<T> ? CADRE_INT : CADRE_UINT),
          static_cast<uint8_t>(8 * sizeof(T)), 1};
}

/** Calls f(T{}) with the C++ type of `t`, and returns what it returns. */
template <class F>
constexpr decltype(auto) with_type(cadre_dtype t, F&& f) {
  if (t.code == CADRE_FLOAT) return t.bits == 64 ? f(double{}) : f(float{});
  if (t.code == CADRE_INT)
    return t.bits == 64 ? f(int64_t{}) : t.bits == 32 ? f(int32_t{}) : t.bits == 16 ? f(int16_t{}) : f(int8_t{});
  return t.bits == 64 ? f(uint64_t{}) : t.bits == 32 ? f(uint32_t{}) : t.bits == 16 ? f(uint16_t{}) : f(uint8_t{});
}

/** The type in which NumPy computes with arrays of both types: the smallest that holds the values of each, float64 at most. */
constexpr cadre_dtype promoted(cadre_dtype a, cadre_dtype b) {
  if (is_float(a) || is_float(b)) {
    const auto needs_double = [](cadre_dtype t) { return t.bits > (is_float(t) ? 32 : 16); };
    return needs_double(a) || needs_double(b) ? kF64 : kF32;
  }
  if (a.code == b.code) return a.bits >= b.bits ? a : b;
  const cadre_dtype s = is_signed(a) ? a : b, u = is_signed(a) ? b : a;
  if (s.bits > u.bits) return s;
  return u.bits == 64 ? kF64 : cadre_dtype{CADRE_INT, static_cast<uint8_t>(2 * u.bits), 1};
}

/** The type of a function that is real for every argument, such as sqrt: float32 stays, integers give float64. */
constexpr cadre_dtype real_type(cadre_dtype t) { return t == kF32 ? kF32 : kF64; }

/** a*b + c: rounded once where the level has FMA, twice on v2. Nothing else is ever contracted. */
template <class T>
inline T multiply_add(T a, T b, T c) {
#ifdef __FMA__
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

/** Reads a tensor's elements, in C order, as T. */
template <class T>
class Column {
 public:
  explicit Column(const cadre_tensor& tensor) : data_(static_cast<const char*>(tensor.data)), bytes_(bytes_of(tensor.dtype)) {
    convert_ = with_type(tensor.dtype, [](auto from) { return &convert<decltype(from)>; });
    same_ = tensor.dtype == dtype_of<T>();
  }
  /** Elements [first, first + count): in place when they are of type T, otherwise converted into room[0 .. count). */
  const T* load(uint64_t first, uint64_t count, T* room) const {
    if (same_) return reinterpret_cast<const T*>(data_) + first;
    convert_(data_ + first * bytes_, count, room);
    return room;
  }
  /** The same, always into `room`, for kernels that need padding behind the elements. */
  void copy(uint64_t first, uint64_t count, T* room) const { convert_(data_ + first * bytes_, count, room); }

 private:
  template <class From>
  static void convert(const char* from, uint64_t count, T* to) {
    const From* __restrict__ f = reinterpret_cast<const From*>(from);
    T* __restrict__ t = to;
    for (uint64_t i = 0; i < count; ++i) t[i] = static_cast<T>(f[i]);
  }

  const char* data_;
  uint64_t bytes_;
  void (*convert_)(const char*, uint64_t, T*);
  bool same_;
};

/** Fills plan->message and returns CADRE_BAD_DATA: `return refuse(plan, "lo is %g, above hi, %g: swap them", lo, hi);`. For plan,
    chunk and finish alike. */
template <class Told>
__attribute__((format(printf, 2, 3))) int refuse(Told* told, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(told->message, sizeof told->message, format, arguments);
  va_end(arguments);
  return CADRE_BAD_DATA;
}

/** The same from run(), with the row of the index space at fault. */
inline int bad_row(cadre_chunk* chunk, uint64_t row) {
  chunk->bad_row = row;
  return CADRE_BAD_DATA;
}

/** Sets plan->elements from the ROWS inputs; refuses lengths that differ. The first thing that every plan() does. */
inline int plan_rows(cadre_plan* plan, const cadre_input* inputs) {
  int first = -1;
  for (int i = 0; i < static_cast<int>(plan->n_inputs); ++i) {
    if (inputs[i].role != CADRE_ROWS) continue;
    if (first < 0) {
      first = i;
      plan->elements = static_cast<uint64_t>(plan->inputs[i].shape[0]);
    } else if (plan->inputs[i].shape[0] != plan->inputs[first].shape[0]) {
      return refuse(plan, "%s has %lld rows and %s has %lld: give arrays of one length", inputs[first].name,
                    static_cast<long long>(plan->inputs[first].shape[0]), inputs[i].name,
                    static_cast<long long>(plan->inputs[i].shape[0]));
    }
  }
  return CADRE_OK;
}

constexpr cadre_shape scalar(cadre_dtype dtype) { return {dtype, 0, {}}; }
constexpr cadre_shape vector(cadre_dtype dtype, uint64_t n) { return {dtype, 1, {static_cast<int64_t>(n)}}; }
constexpr cadre_shape matrix(cadre_dtype dtype, uint64_t rows, uint64_t columns) {
  return {dtype, 2, {static_cast<int64_t>(rows), static_cast<int64_t>(columns)}};
}

/** Elements of everything after axis 0: 1 for a 1-d array, d for (n x d). */
inline uint64_t width_of(const cadre_shape& s) {
  uint64_t width = 1;
  for (int axis = 1; axis < s.ndim; ++axis) width *= static_cast<uint64_t>(s.shape[axis]);
  return width;
}

/** A real parameter, or `otherwise` when it was not given. */
inline double real(const cadre_plan* plan, int param, double otherwise = 0) {
  return plan->params[param].present ? plan->params[param].real : otherwise;
}
/** An integer parameter, or `otherwise` when it was not given. */
inline int64_t integer(const cadre_plan* plan, int param, int64_t otherwise = 0) {
  return plan->params[param].present ? plan->params[param].integer : otherwise;
}

}  // namespace cadre::builtin
