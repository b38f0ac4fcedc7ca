/* The functions of math.hpp: one set of bits on every width, close to the truth. */
#include <cadre/kernels/math.hpp>
#include <cadre/kernels/plugin/support.h>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {

typedef double D2 __attribute__((vector_size(16)));
typedef double D4 __attribute__((vector_size(32)));
typedef double D8 __attribute__((vector_size(64)));
typedef float F4 __attribute__((vector_size(16)));
typedef float F8 __attribute__((vector_size(32)));
typedef float F16 __attribute__((vector_size(64)));

#pragma GCC diagnostic ignored "-Wpsabi"
#define SSE __attribute__((target("sse4.2")))
#define AVX __attribute__((target("avx")))
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f")))

/** f over all arguments, a register at a time. */
#define OVER(TARGET, V, T, name, variant)                                                 \
  extern "C" TARGET V variant(V);                                                          \
  TARGET void name(const T* x, T* y, std::size_t n) {                                      \
    constexpr std::size_t lanes = sizeof(V) / sizeof(T);                                   \
    for (std::size_t i = 0; i + lanes <= n; i += lanes) {                                  \
      V v;                                                                                 \
      std::memcpy(&v, x + i, sizeof v);                                                    \
      v = variant(v);                                                                      \
      std::memcpy(y + i, &v, sizeof v);                                                    \
    }                                                                                      \
  }
#define ALL(fn)                                                                                                                  \
  OVER(SSE, D2, double, sse_##fn, _ZGVbN2v_cadre_##fn) OVER(AVX, D4, double, avx_##fn, _ZGVcN4v_cadre_##fn)                         \
  OVER(AVX2, D4, double, avx2_##fn, _ZGVdN4v_cadre_##fn) OVER(AVX512, D8, double, avx512_##fn, _ZGVeN8v_cadre_##fn)                 \
  OVER(SSE, F4, float, sse_f_##fn, _ZGVbN4v_cadre_##fn##f) OVER(AVX, F8, float, avx_f_##fn, _ZGVcN8v_cadre_##fn##f)                 \
  OVER(AVX2, F8, float, avx2_f_##fn, _ZGVdN8v_cadre_##fn##f) OVER(AVX512, F16, float, avx512_f_##fn, _ZGVeN16v_cadre_##fn##f)
CADRE_MATH_ONE(ALL)

template <class T>
struct Widths {
  using Over = void (*)(const T*, T*, std::size_t);
  const char* name;
  T (*scalar)(T);
  Over sse, avx, avx2, avx512;
};

long double exp10_l(long double v) { return powl(10, v); }
#define DOUBLES(f) {#f, cadre::f, sse_##f, avx_##f, avx2_##f, avx512_##f},
#define FLOATS(f) {#f, cadre::f, sse_f_##f, avx_f_##f, avx2_f_##f, avx512_f_##f},
const Widths<double> kDoubles[] = {CADRE_MATH_ONE(DOUBLES)};
const Widths<float> kFloats[] = {CADRE_MATH_ONE(FLOATS)};

template <class T>
std::vector<T> arguments() {
  using L = std::numeric_limits<T>;
  std::vector<T> x{0, T(-0.0), 1, -1, 2, T(0.5), L::infinity(), -L::infinity(), L::quiet_NaN(), -L::quiet_NaN(), L::max(), L::lowest(), L::min(), L::denorm_min(), 1000, -1000};
  std::uint64_t state = 1;
  while (x.size() < 4096) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const T u = static_cast<T>(static_cast<double>(state >> 11) * 0x1p-53);
    x.push_back(x.size() % 3 == 0 ? u : x.size() % 3 == 1 ? (u - T(0.5)) * 40 : std::ldexp(u - T(0.5), static_cast<int>(state % 200) - 100));
  }
  return x;
}

/** The bits, with all NaN alike: math.hpp makes them so behind these functions. */
template <class T>
bool same(T a, T b) { return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

template <class T>
void expect_one_set_of_bits(const Widths<T>& f) {
  const std::vector<T> x = arguments<T>();
  std::vector<std::pair<const char*, typename Widths<T>::Over>> widths{{"sse", f.sse}};
  if (__builtin_cpu_supports("avx")) widths.emplace_back("avx", f.avx);
  if (__builtin_cpu_supports("avx2")) widths.emplace_back("avx2", f.avx2);
  if (__builtin_cpu_supports("avx512f")) widths.emplace_back("avx512", f.avx512);
  for (const auto& [width, over] : widths) {
    std::vector<T> y(x.size());
    over(x.data(), y.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(same(y[i], f.scalar(x[i]))) << f.name << " of " << x[i] << ": " << y[i] << " on " << width << ", " << f.scalar(x[i]) << " scalar";
  }
}

TEST(Math, HasTheSameBitsAtEveryWidth) {
  for (const auto& f : kDoubles) expect_one_set_of_bits(f);
  for (const auto& f : kFloats) expect_one_set_of_bits(f);
}

TEST(Math, HasOneNaN) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double v : {nan, -nan, std::nan("7")}) {
    for (double made : {cadre::exp(v), cadre::log(-1.0), cadre::pow(-1.5, 0.5), cadre::asin(2.0), cadre::hypot(v, 1.0)}) {
      std::uint64_t bits;
      std::memcpy(&bits, &made, sizeof bits);
      EXPECT_EQ(bits, 0x7ff8000000000000u);
    }
  }
}

/** SLEEF's bounds: 1.0 ulp, 1.5 for erfc; of a ulp that may be half of this one above a power of two. */
TEST(Math, IsWithinItsBounds) {
  struct Case {
    const char* name;
    double (*ours)(double);
    long double (*truth)(long double);
    double lo, hi, bound;
  };
  const Case cases[] = {
      {"exp", cadre::exp, expl, -700, 700, 1}, {"exp2", cadre::exp2, exp2l, -1000, 1000, 1}, {"exp10", cadre::exp10, exp10_l, -300, 300, 1.1}, {"expm1", cadre::expm1, expm1l, -2, 2, 1},
      {"log", cadre::log, logl, 1e-9, 1e3, 1}, {"log2", cadre::log2, log2l, 1e-9, 1e3, 1}, {"log10", cadre::log10, log10l, 1e-9, 1e3, 1}, {"log1p", cadre::log1p, log1pl, -0.9, 9, 1},
      {"sin", cadre::sin, sinl, -100, 100, 1}, {"cos", cadre::cos, cosl, -100, 100, 1}, {"tan", cadre::tan, tanl, -1.5, 1.5, 1}, {"asin", cadre::asin, asinl, -1, 1, 1},
      {"acos", cadre::acos, acosl, -1, 1, 1}, {"atan", cadre::atan, atanl, -9, 9, 1}, {"sinh", cadre::sinh, sinhl, -9, 9, 1}, {"cosh", cadre::cosh, coshl, -9, 9, 1}, {"tanh", cadre::tanh, tanhl, -9, 9, 1},
      {"asinh", cadre::asinh, asinhl, -9, 9, 1}, {"acosh", cadre::acosh, acoshl, 1, 99, 1}, {"atanh", cadre::atanh, atanhl, -0.9, 0.9, 1}, {"cbrt", cadre::cbrt, cbrtl, -99, 99, 1},
      {"erf", cadre::erf, erfl, -5, 5, 1}, {"erfc", cadre::erfc, erfcl, -5, 20, 1.5}, {"tgamma", cadre::tgamma, tgammal, 0.1, 100, 1}};
  for (const Case& c : cases) {
    for (int i = 0; i <= 20000; ++i) {
      const double x = c.lo + (c.hi - c.lo) * i / 20000, y = c.ours(x);
      const long double truth = c.truth(x);
      const double ulp = std::nextafter(std::fabs(static_cast<double>(truth)), INFINITY) - std::fabs(static_cast<double>(truth));
      ASSERT_LE(std::fabs(static_cast<double>((y - truth) / ulp)), c.bound) << c.name << " of " << x;
    }
  }
}

TEST(Math, MinimaAndSelectionsAreNumPys) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(cadre::min(nan, 1.0)) && std::isnan(cadre::min(1.0, nan)) && std::isnan(cadre::max(nan, 1.0)) && std::isnan(cadre::max(1.0, nan)));
  EXPECT_EQ(cadre::clip(5.0, 0.0, 1.0), 1.0);
  EXPECT_EQ(cadre::sign(-3.0), -1.0);
  EXPECT_EQ(cadre::abs(-3), 3);
  EXPECT_EQ(cadre::where(true, 1.0, 2.0), 1.0);
}

/* The first known answer of Random123 for philox4x32 with 10 rounds: counter and key 0; and the second: all bits set. */
TEST(Random, IsPhiloxByItsKnownAnswers) {
  std::uint32_t words[4];
  cadre_random_block(0, 0, 0, words);
  EXPECT_EQ(words[0], 0x6627e8d5u);
  EXPECT_EQ(words[1], 0xe169c58du);
  EXPECT_EQ(words[2], 0xbc57ac4cu);
  EXPECT_EQ(words[3], 0x9b00dbd8u);
  const std::uint64_t ones = ~std::uint64_t{0};
  cadre_random_block(ones, ones, ones, words);
  EXPECT_EQ(words[0], 0x408f276du);
  EXPECT_EQ(words[1], 0x41c83b0eu);
  EXPECT_EQ(words[2], 0xa20bc7c6u);
  EXPECT_EQ(words[3], 0x6d5451fdu);
}

}  // namespace
