#pragma once
/* Mathematical functions for kernels, whose bits do not change: not with the CPU, not with the level that code is compiled for, not with an
   element's place in an array.

     out[i] = 1.0 / (1.0 + cadre::exp(-slope * x[i]));

   A loop over such a call is vectorised by GCC: each function has variants for the registers of SSE4.2, AVX and AVX-512, told by the vector ABI
   of x86-64 (attribute simd). All of them, and the scalar one, are SLEEF's algorithms without FMA, which give the same bits whatever the width;
   a NaN is always the same NaN. The C library's functions choose their code by the CPU, and their last bit with it.

   Errors are below 1.0 units in the last place (erfc 1.5). Code that uses these links libcadre_plugin and libsleef: `cadre build`, pkg-config
   cadre and cadre_add_kernel() say so to the linker. Compile with -ffp-contract=off -fno-math-errno, as these do, or a*b + c is rounded once on CPUs
   with FMA and twice on others. */

/* X(name): functions of one argument; Y(name): of two. */
#define CADRE_MATH_ONE(X)                                                                                            \
  X(exp) X(exp2) X(exp10) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) \
  X(sinh) X(cosh) X(tanh) X(asinh) X(acosh) X(atanh) X(cbrt) X(erf) X(erfc) X(tgamma) X(lgamma)
#define CADRE_MATH_TWO(Y) Y(pow) Y(atan2) Y(hypot)

#if __has_attribute(simd)
#define CADRE_MATH_FUNCTION __attribute__((const, nothrow, simd("notinbranch")))
#else  // clang: the scalar functions alone
#define CADRE_MATH_FUNCTION __attribute__((const, nothrow))
#endif

extern "C" {
#define CADRE_MATH_DECLARE(name)                                                                   \
  CADRE_MATH_FUNCTION double cadre_##name(double) noexcept;                                        \
  CADRE_MATH_FUNCTION float cadre_##name##f(float) noexcept;
CADRE_MATH_ONE(CADRE_MATH_DECLARE)
#undef CADRE_MATH_DECLARE
#define CADRE_MATH_DECLARE(name)                                                                   \
  CADRE_MATH_FUNCTION double cadre_##name(double, double) noexcept;                                \
  CADRE_MATH_FUNCTION float cadre_##name##f(float, float) noexcept;
CADRE_MATH_TWO(CADRE_MATH_DECLARE)
#undef CADRE_MATH_DECLARE
}
#undef CADRE_MATH_FUNCTION

namespace cadre {

namespace detail {
/* A NaN that is made, or passed on, has either sign and any payload, by width: one NaN for all. */
inline double plain(double x) noexcept { return x == x ? x : __builtin_nan(""); }
inline float plain(float x) noexcept { return x == x ? x : __builtin_nanf(""); }
}  // namespace detail

#define CADRE_MATH_DEFINE(name)                                                   \
  inline double name(double x) noexcept { return detail::plain(cadre_##name(x)); } \
  inline float name(float x) noexcept { return detail::plain(cadre_##name##f(x)); }
CADRE_MATH_ONE(CADRE_MATH_DEFINE)
#undef CADRE_MATH_DEFINE
#define CADRE_MATH_DEFINE(name)                                                \
  inline double name(double x, double y) noexcept { return detail::plain(cadre_##name(x, y)); } \
  inline float name(float x, float y) noexcept { return detail::plain(cadre_##name##f(x, y)); }
CADRE_MATH_TWO(CADRE_MATH_DEFINE)
#undef CADRE_MATH_DEFINE

/* Correctly rounded or exact, and single instructions from SSE4.1 on. */
#define CADRE_MATH_EXACT(name)                                         \
  inline double name(double x) noexcept { return __builtin_##name(x); } \
  inline float name(float x) noexcept { return __builtin_##name##f(x); }
CADRE_MATH_EXACT(sqrt)
CADRE_MATH_EXACT(fabs)
CADRE_MATH_EXACT(floor)
CADRE_MATH_EXACT(ceil)
CADRE_MATH_EXACT(trunc)
CADRE_MATH_EXACT(rint)
#undef CADRE_MATH_EXACT
template <class T>
constexpr T abs(T x) noexcept {
  if constexpr (T(0.5) == 0)
    return x < 0 ? -x : x;
  else
    return fabs(x);
}

/** As NumPy's minimum and maximum: NaN where either argument is one. */
template <class T>
constexpr T min(T a, T b) noexcept { return a < b || a != a ? a : b; }
template <class T>
constexpr T max(T a, T b) noexcept { return a > b || a != a ? a : b; }
/** As NumPy's clip(x, lo, hi). */
template <class T>
constexpr T clip(T x, T lo, T hi) noexcept { return min(max(x, lo), hi); }
/** -1, 0 or 1; NaN of NaN. */
template <class T>
constexpr T sign(T x) noexcept { return x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x; }
/** yes where the condition holds, else no. Both are computed, which keeps a loop vectorised where ?: between calls does not. */
template <class T>
constexpr T where(bool condition, T yes, T no) noexcept { return condition ? yes : no; }

}  // namespace cadre
