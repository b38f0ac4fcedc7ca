#pragma once
/* Vectors of doubles as wide as the level's registers, and sums over blocks of doubles whose order is fixed: it depends on the
   number of elements, never on where they lie. Loads are unaligned; a last, shorter block is padded and goes through the same code. */
#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include <cadre/kernels/builtin/columns.hpp>

namespace cadre::builtin {

#if defined(__AVX512F__)
constexpr uint64_t kLanes = 8;
#elif defined(__AVX__)
constexpr uint64_t kLanes = 4;
#else
constexpr uint64_t kLanes = 2;
#endif

typedef double Lanes __attribute__((vector_size(8 * kLanes)));
typedef int64_t Mask __attribute__((vector_size(8 * kLanes)));  // of a comparison: each lane 0 or -1

/** Blocks are padded to a multiple of this: four vectors of the widest level. */
constexpr uint64_t kStep = 32;
static_assert(kBlock % kStep == 0);

inline Lanes load(const double* p) {
  Lanes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(double* p, Lanes v) { __builtin_memcpy(p, &v, sizeof v); }
inline Lanes every(double v) { return v - Lanes{}; }

/** a*b + c as multiply_add() rounds it. */
inline Lanes fused(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}

inline Lanes root(Lanes a) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_pd(0xff, a);  // as the plain one, whose undefined operand GCC 12 warns of
#elif defined(__AVX__)
  return _mm256_sqrt_pd(a);
#else
  return _mm_sqrt_pd(a);
#endif
}

/** The sum of the lanes, by halves. */
inline double total(Lanes v) {
  double part[kLanes];
  store(part, v);
  for (uint64_t half = kLanes / 2; half > 0; half /= 2)
    for (uint64_t i = 0; i < half; ++i) part[i] += part[i + half];
  return part[0];
}

/** Block v of n elements (n <= kBlock) with `pad` behind it up to a multiple of kStep, to which n is raised: v itself when
    nothing is missing, else in `room`, which has kBlock elements and may hold v already. */
inline const double* padded(const double* v, uint64_t& n, double* room, double pad) {
  if (n % kStep == 0) return v;
  if (v != room) __builtin_memcpy(room, v, n * sizeof(double));
  for (; n % kStep != 0; ++n) room[n] = pad;
  return room;
}

/** Sum of a padded block. Of n elements each lane adds n / (4 kLanes), so the rounding error is below
    (n / (4 kLanes) + 5) u sum|v|, u = 2^-53: at most 133 u for a block of 1024 at level v2, 37 u at v4. */
inline double sum_block(const double* v, uint64_t n) {
  Lanes a{}, b{}, c{}, d{};
  for (uint64_t i = 0; i < n; i += 4 * kLanes) {
    a += load(v + i);
    b += load(v + i + kLanes);
    c += load(v + i + 2 * kLanes);
    d += load(v + i + 3 * kLanes);
  }
  return total((a + b) + (c + d));
}

/** Sum of products of two padded blocks, likewise. */
inline double dot_block(const double* x, const double* y, uint64_t n) {
  Lanes a{}, b{}, c{}, d{};
  for (uint64_t i = 0; i < n; i += 4 * kLanes) {
    a = fused(load(x + i), load(y + i), a);
    b = fused(load(x + i + kLanes), load(y + i + kLanes), b);
    c = fused(load(x + i + 2 * kLanes), load(y + i + 2 * kLanes), c);
    d = fused(load(x + i + 3 * kLanes), load(y + i + 3 * kLanes), d);
  }
  return total((a + b) + (c + d));
}

/** A running sum of block sums that carries its own rounding error (Knuth's two-sum): the error of adding any number of
    blocks stays near one rounding. Lies in accumulators; zero bytes are the empty sum. */
struct Running {
  double sum, rest;

  void add(double v) {
    const double s = sum + v, t = s - sum;
    rest += (sum - (s - t)) + (v - t);
    sum = s;
  }
  void add(const Running& later) {
    add(later.sum);
    rest += later.rest;
  }
  /** Infinities and NaN spoil `rest`, not `sum`. */
  double value() const { return std::isfinite(sum) ? sum + rest : sum; }
};

}  // namespace cadre::builtin
