/* The functions of math.hpp: scalar, and for each width the name that the vector function ABI of x86-64 gives the variant (b: SSE, c: AVX, d: AVX2,
   e: AVX-512). All are SLEEF's cinz functions, which have the same bits at every width (but for the
   sign of a NaN, which math.hpp puts right); FMA would double the speed of some and change the bits.
   math.hpp is not included: where the compiler sees its attribute on a definition, it makes variants of its own. */

#define CADRE_SSE __attribute__((target("sse4.2")))
#define CADRE_AVX __attribute__((target("avx")))
#define CADRE_AVX2 __attribute__((target("avx2")))
#define CADRE_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw")))

typedef double D2 __attribute__((vector_size(16)));
typedef double D4 __attribute__((vector_size(32)));
typedef double D8 __attribute__((vector_size(64)));
typedef float F4 __attribute__((vector_size(16)));
typedef float F8 __attribute__((vector_size(32)));
typedef float F16 __attribute__((vector_size(64)));

#pragma GCC diagnostic ignored "-Wpsabi"

/* One variant: TARGET, the result's type V, our name, SLEEF's. The parameters' declaration and the call differ by the number of arguments. */
#define CADRE_VARIANT_1(TARGET, V, ours, theirs)                            \
  TARGET V sleef_of_##ours(V) __asm__(#theirs);                              \
  TARGET V ours(V x) { return sleef_of_##ours(x); }
#define CADRE_VARIANT_2(TARGET, V, ours, theirs)                                  \
  TARGET V sleef_of_##ours(V, V) __asm__(#theirs);                                 \
  TARGET V ours(V x, V y) { return sleef_of_##ours(x, y); }

#define CADRE_FUNCTION(VARIANT, args, name, ulp)                                                     \
  VARIANT(CADRE_SSE, D2, _ZGVbN2##args##_cadre_##name, Sleef_cinz_##name##d2_##ulp##sse4)            \
  VARIANT(CADRE_AVX, D4, _ZGVcN4##args##_cadre_##name, Sleef_cinz_##name##d4_##ulp##avx)             \
  VARIANT(CADRE_AVX2, D4, _ZGVdN4##args##_cadre_##name, Sleef_cinz_##name##d4_##ulp##avx)            \
  VARIANT(CADRE_AVX512, D8, _ZGVeN8##args##_cadre_##name, Sleef_cinz_##name##d8_##ulp##avx512fnofma) \
  VARIANT(CADRE_SSE, F4, _ZGVbN4##args##_cadre_##name##f, Sleef_cinz_##name##f4_##ulp##sse4)         \
  VARIANT(CADRE_AVX, F8, _ZGVcN8##args##_cadre_##name##f, Sleef_cinz_##name##f8_##ulp##avx)          \
  VARIANT(CADRE_AVX2, F8, _ZGVdN8##args##_cadre_##name##f, Sleef_cinz_##name##f8_##ulp##avx)         \
  VARIANT(CADRE_AVX512, F16, _ZGVeN16##args##_cadre_##name##f, Sleef_cinz_##name##f16_##ulp##avx512fnofma)

/* The scalar function is a lane of the SSE one, which is twice as fast as SLEEF's scalar one. Idle lanes hold 1. */
#define CADRE_SCALAR_1(name)                                                                                  \
  double cadre_##name(double x) { return _ZGVbN2v_cadre_##name(D2{x, 1})[0]; }                        \
  float cadre_##name##f(float x) { return _ZGVbN4v_cadre_##name##f(F4{x, 1, 1, 1})[0]; }
#define CADRE_SCALAR_2(name)                                                                                  \
  double cadre_##name(double x, double y) { return _ZGVbN2vv_cadre_##name(D2{x, 1}, D2{y, 1})[0]; }   \
  float cadre_##name##f(float x, float y) { return _ZGVbN4vv_cadre_##name##f(F4{x, 1, 1, 1}, F4{y, 1, 1, 1})[0]; }

#define CADRE_ONE(name, ulp) CADRE_FUNCTION(CADRE_VARIANT_1, v, name, ulp) CADRE_SCALAR_1(name)
#define CADRE_TWO(name, ulp) CADRE_FUNCTION(CADRE_VARIANT_2, vv, name, ulp) CADRE_SCALAR_2(name)

extern "C" {
CADRE_ONE(exp, u10) CADRE_ONE(exp2, u10) CADRE_ONE(exp10, u10) CADRE_ONE(expm1, u10)
CADRE_ONE(log, u10) CADRE_ONE(log2, u10) CADRE_ONE(log10, u10) CADRE_ONE(log1p, u10)
CADRE_ONE(sin, u10) CADRE_ONE(cos, u10) CADRE_ONE(tan, u10) CADRE_ONE(asin, u10) CADRE_ONE(acos, u10) CADRE_ONE(atan, u10)
CADRE_ONE(sinh, u10) CADRE_ONE(cosh, u10) CADRE_ONE(tanh, u10) CADRE_ONE(asinh, u10) CADRE_ONE(acosh, u10) CADRE_ONE(atanh, u10)
CADRE_ONE(cbrt, u10) CADRE_ONE(erf, u10) CADRE_ONE(erfc, u15) CADRE_ONE(tgamma, u10) CADRE_ONE(lgamma, u10)
CADRE_TWO(pow, u10) CADRE_TWO(atan2, u10) CADRE_TWO(hypot, u05)
}
