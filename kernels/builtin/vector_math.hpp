#pragma once
/* exp and log on registers of the level's width, from SLEEF (error below 1.0 ulp; v_log_35 below 3.5 ulp); v_fused() rounds as
   multiply_add() does.

   The functions are called by their explicit names (finz: with FMA, cinz: without), never through SLEEF's or the C library's dispatchers,
   whose bits change with the CPU. A last, shorter group goes through the same vector function in a padded register, so the bits
   of an element do not depend on its place. */
#include <immintrin.h>
#include <sleef.h>

#include <cadre/kernels/builtin/columns.hpp>

namespace cadre::builtin {

template <class T>
struct Register;

#if defined(__AVX512F__)
template <> struct Register<double> { using Type = __m512d; };
template <> struct Register<float> { using Type = __m512; };
inline __m512d v_exp(__m512d x) { return Sleef_finz_expd8_u10avx512f(x); }
inline __m512d v_log(__m512d x) { return Sleef_finz_logd8_u10avx512f(x); }
inline __m512d v_sqrt(__m512d x) { return _mm512_maskz_sqrt_pd(0xff, x); }  // the plain one draws a false warning from GCC 12
inline __m512 v_exp(__m512 x) { return Sleef_finz_expf16_u10avx512f(x); }
inline __m512 v_log(__m512 x) { return Sleef_finz_logf16_u10avx512f(x); }
inline __m512d v_fused(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
inline __m512 v_fused(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
inline __m512d v_cospi(__m512d x) { return Sleef_finz_cospid8_u05avx512f(x); }
inline __m512d v_sinpi(__m512d x) { return Sleef_finz_sinpid8_u05avx512f(x); }
inline __m512d v_log_35(__m512d x) { return Sleef_finz_logd8_u35avx512f(x); }
#elif defined(__AVX2__)
template <> struct Register<double> { using Type = __m256d; };
template <> struct Register<float> { using Type = __m256; };
inline __m256d v_exp(__m256d x) { return Sleef_finz_expd4_u10avx2(x); }
inline __m256d v_log(__m256d x) { return Sleef_finz_logd4_u10avx2(x); }
inline __m256d v_sqrt(__m256d x) { return _mm256_sqrt_pd(x); }
inline __m256 v_exp(__m256 x) { return Sleef_finz_expf8_u10avx2(x); }
inline __m256 v_log(__m256 x) { return Sleef_finz_logf8_u10avx2(x); }
inline __m256d v_fused(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
inline __m256 v_fused(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
inline __m256d v_cospi(__m256d x) { return Sleef_finz_cospid4_u05avx2(x); }
inline __m256d v_sinpi(__m256d x) { return Sleef_finz_sinpid4_u05avx2(x); }
inline __m256d v_log_35(__m256d x) { return Sleef_finz_logd4_u35avx2(x); }
#else
template <> struct Register<double> { using Type = __m128d; };
template <> struct Register<float> { using Type = __m128; };
inline __m128d v_exp(__m128d x) { return Sleef_cinz_expd2_u10sse4(x); }
inline __m128d v_log(__m128d x) { return Sleef_cinz_logd2_u10sse4(x); }
inline __m128d v_sqrt(__m128d x) { return _mm_sqrt_pd(x); }
inline __m128 v_exp(__m128 x) { return Sleef_cinz_expf4_u10sse4(x); }
inline __m128 v_log(__m128 x) { return Sleef_cinz_logf4_u10sse4(x); }
inline __m128d v_fused(__m128d a, __m128d b, __m128d c) { return a * b + c; }
inline __m128 v_fused(__m128 a, __m128 b, __m128 c) { return a * b + c; }
inline __m128d v_cospi(__m128d x) { return Sleef_cinz_cospid2_u05sse4(x); }
inline __m128d v_sinpi(__m128d x) { return Sleef_cinz_sinpid2_u05sse4(x); }
inline __m128d v_log_35(__m128d x) { return Sleef_cinz_logd2_u35sse4(x); }
#endif

template <class T>
using RegisterOf = typename Register<T>::Type;
template <class T>
constexpr uint64_t kRegisterLanes = sizeof(RegisterOf<T>) / sizeof(T);

template <class T>
RegisterOf<T> load_register(const T* p) {
  RegisterOf<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
/** The first `count` lanes from p; the others 1, which is harmless to every function here. */
template <class T>
RegisterOf<T> load_register(const T* p, uint64_t count) {
  alignas(64) T lanes[kRegisterLanes<T>];
  for (uint64_t i = 0; i < kRegisterLanes<T>; ++i) lanes[i] = T{1};
  std::memcpy(lanes, p, count * sizeof(T));
  return load_register(lanes);
}
template <class T>
void store_register(T* p, RegisterOf<T> v, uint64_t count = kRegisterLanes<T>) {
  std::memcpy(p, &v, count * sizeof(T));
}

}  // namespace cadre::builtin
