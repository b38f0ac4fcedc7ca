#pragma once
/* The standard normal distribution function on registers of doubles: N(d) = erfc(-d/sqrt 2)/2.

   With a = |d|/sqrt 2 and t = (a - 3)/(a + 3), erfc(a) = exp(-a^2) p(t), where p is the polynomial of degree 22 that interpolates
   exp(a^2) erfc(a) at the Chebyshev nodes of 0 <= a <= 27.3, beyond which N is 0 or 1 (computed with 50 digits; relative error of p:
   2e-16 up to a = 7, 1.1e-15 up to 27.3). SLEEF's erfc is as accurate and eight times slower. */
#include <cadre/kernels/builtin/vector_math.hpp>

namespace cadre::builtin {

using Doubles = RegisterOf<double>;
typedef int64_t Integers __attribute__((vector_size(sizeof(Doubles))));

/** A polynomial with the coefficients c[0] + c[1] t + ..., even and odd powers apart, so that two chains run side by side. */
template <int n>
inline Doubles polynomial(const double (&c)[n], Doubles t) {
  const Doubles square = t * t, zero{};
  Doubles even = zero + c[(n - 1) / 2 * 2], odd = zero + c[n / 2 * 2 - 1];
#pragma GCC unroll 16
  for (int i = (n - 1) / 2 * 2 - 2; i >= 0; i -= 2) even = v_fused(even, square, zero + c[i]);
#pragma GCC unroll 16
  for (int i = n / 2 * 2 - 3; i >= 1; i -= 2) odd = v_fused(odd, square, zero + c[i]);
  return v_fused(odd, t, even);
}

/** exp(x) for x <= 0, 0 below -708. x = n log 2 + r; the polynomial interpolates exp on |r| <= log(2)/2 within 2e-17. */
inline Doubles exp_of_negative(Doubles x) {
  static constexpr double c[] = {1, 1, 0.50000000000000189, 0.1666666666666668, 0.041666666666487953, 0.008333333333319589,
                                 0.0013888888952352863, 0.00019841269890076403, 2.4801485441561313e-05, 2.7557240887229869e-06,
                                 2.763265472252779e-07, 2.5110049204818658e-08};
  // Adding 1.5 * 2^52 leaves n, rounded to an integer, in the low bits. log 2 is split so that n times its high part is exact.
  const Doubles zero{}, magic = zero + 0x1.8p52, shifted = v_fused(x, zero + 1.4426950408889634, magic), n = shifted - magic;
  const Doubles r = v_fused(n, zero - 1.42860682030941723212e-6, v_fused(n, zero - 6.93145751953125e-1, x));
  const Doubles power = (Doubles)(((Integers)shifted + 1023) << 52);
  return x < -708.0 ? zero : polynomial(c, r) * power;
}

inline Doubles normal_cdf(Doubles d) {
  static constexpr double c[] = {
      0.17900115118138996, -0.32623356004303738, 0.24560380171232959, -0.15011593650076219, 0.071665837198051432,
      -0.024392499319144549, 0.0042691363311528844, 0.00070774644565481555, -0.00059706192811880021, 4.5255246681923342e-05,
      6.4056408462640906e-05, -1.2860263100157944e-05, -7.9774635194268815e-06, 2.1193692475825883e-06, 1.250525504049982e-06,
      -2.9289324426221767e-07, -2.3087134751205121e-07, 2.7573782979528672e-08, 4.2292822470066886e-08, 1.2726551955683039e-09,
      -5.5729763303875737e-09, -8.9346725214293697e-10, 1.815157600614037e-10};
  const Doubles zero{}, limit = zero + 27.3, distance = (d < 0.0 ? -d : d) * 0.70710678118654752440;
  const Doubles a = distance > limit ? limit : distance;
  const Doubles tail = 0.5 * exp_of_negative(-(a * a)) * polynomial(c, (a - 3.0) / (a + 3.0));
  return d > 0.0 ? 1.0 - tail : tail;
}

}  // namespace cadre::builtin
