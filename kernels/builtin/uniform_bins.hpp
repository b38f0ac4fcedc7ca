#pragma once
/* Equal bins over [lo, hi], with NumPy's rule for values on and near the edges.

   NumPy's edges are linspace(lo, hi, bins + 1): edge(i) = fl(fl(i step) + lo), step = fl(fl(hi - lo) / bins), edge(bins) = hi, rounded to
   float32 for float32 data (np.histogram only). Value v is in bin i when edge(i) <= v < edge(i + 1); v = hi is in the last bin.

   The fast way. Let M = max(|lo|, |hi|), W = hi - lo, u = 2^-53, and p the exact (v - lo) bins / W. Then
     - v norm - lo norm, with norm = fl(bins / fl(hi - lo)), differs from p by at most 4 u bins + 4 u bins M/W: two roundings of norm, one each
       of lo norm, of v norm (where the level has no FMA) and of their difference;
     - edge(i), at exact position i, lies within 4 u bins + u bins M/W of it: step and product contribute 3 u i, the sum u (M + W),
       and in float32 another 2^-24 bins M/W (near zero: 2^-150 bins / W).
   So with c = bins (10 u + 8 u M/W [+ 2^-23 M/W + 2^-149 / W]) the bin of v is between the positions p - c and p + c, and if c < 1/4 then
   g = nearest integer of (computed p - 1/2 - c) is the bin of v or the one below: above it can not be, as p - 1/2 - c < bin + 1/2; and two below
   not, as that needs p - 1/2 - c <= bin - 3/2. One comparison, v >= edge(g + 1), decides, without a branch; a minimum puts hi into the last bin.

   Exact grids. If lo = 0 and step is a power of two with bins step = hi, edges and v / step are exact, and the integer part of v / step is
   the bin.

   Where c >= 1/4 (bins narrower than a few units in the last place) the edges themselves are doubtful, and the slow way repeats NumPy's
   operations one by one. */
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {

class UniformBins {
 public:
  /** np.histogram: one guess, corrected by one at most. np.histogramdd: binary search in the edges. They differ only where the slow way is taken. */
  enum class Rule { histogram, histogramdd };

  /** Requires check_bins() to have passed. `narrow`: edges are float32. */
  UniformBins(int64_t bins, double lo, double hi, Rule rule, bool narrow);

  /** The range, in which lo = hi has been widened. */
  double lo() const { return lo_; }
  double hi() const { return hi_; }

  /** out[i] = bin of v[i], or `bins` for what is outside or NaN. n <= kBlock; v is padded and out is written to a multiple of kStep. */
  void index(const double* v, uint64_t n, uint32_t* out) const {
    index_of([=](uint64_t i) { return load(v + i); }, n, out);
  }
  /** The same of values that are made on the way: values(i) are those of i, i + 1 ... i + kLanes - 1. */
  template <class Values>
  void index_of(Values values, uint64_t n, uint32_t* out) const {
    if (exact_)
      exact(values, n, out);
    else if (!fast_)
      slow(values, n, out);
    else if (narrow_)
      fast<true, false>(values, n, out);
    else if (origin_ == 0)
      fast<false, true>(values, n, out);
    else
      fast<false, false>(values, n, out);
  }

 private:
  template <class Values>
  void exact(Values values, uint64_t n, uint32_t* out) const;
  template <bool kNarrow, bool kFromZero, class Values>
  void fast(Values values, uint64_t n, uint32_t* out) const;
  template <class T>
  uint32_t by_guess(double v) const;
  uint32_t by_search(double v) const;
  template <class Values>
  void slow(Values values, uint64_t n, uint32_t* out) const;

  double edge(double i) const {
    const double e = i == bins_ ? hi_ : i * step_ + origin_;
    return narrow_ ? static_cast<double>(static_cast<float>(e)) : e;
  }

  double bins_, lo_, hi_;  // the range as values are compared with it
  double origin_, step_;   // of the edges
  double norm_, shift_;    // the guess: v norm - shift
  Rule rule_;
  bool narrow_, fast_, exact_;
};

/** Whether bins, lo and hi make bins; says why not in plan->message. Names are those of the parameters. lo = hi is widened by a half
    to each side, as NumPy does. */
inline int check_bins(cadre_plan* plan, const char* bins_name, int64_t bins, const char* lo_name, double lo, const char* hi_name,
                      double hi) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 2;
  if (bins < 1 || bins > kMost)
    return refuse(plan, "%s is %lld: 1 to %lld are possible", bins_name, static_cast<long long>(bins), static_cast<long long>(kMost));
  if (!std::isfinite(lo) || !std::isfinite(hi) || !std::isfinite(hi - lo))
    return refuse(plan, "%s is %g and %s is %g: the range must be finite", lo_name, lo, hi_name, hi);
  if (lo > hi) return refuse(plan, "%s is %g, above %s, which is %g: swap them", lo_name, lo, hi_name, hi);
  if (lo < hi && (hi - lo) / static_cast<double>(bins) < 0x1p-1000)
    return refuse(plan, "the range from %s = %g to %s = %g is too narrow for %lld bins: widen it", lo_name, lo, hi_name, hi,
                  static_cast<long long>(bins));
  return CADRE_OK;
}

inline UniformBins::UniformBins(int64_t bins, double lo, double hi, Rule rule, bool narrow)
    : bins_(static_cast<double>(bins)), rule_(rule), narrow_(narrow) {
  if (lo == hi) {
    lo -= 0.5;
    hi += 0.5;
  }
  origin_ = lo;
  step_ = (hi - lo) / bins_;
  norm_ = bins_ / (hi - lo);
  lo_ = narrow ? static_cast<double>(static_cast<float>(lo)) : lo;
  hi_ = narrow ? static_cast<double>(static_cast<float>(hi)) : hi;
  const double relative = std::max(std::fabs(lo), std::fabs(hi)) / (hi - lo);
  const double c = bins_ * (0x1p-53 * (10 + 8 * relative) + (narrow ? 0x1p-23 * relative + 0x1p-149 / (hi - lo) : 0.0));
  shift_ = lo * norm_ + (0.5 + c);
  fast_ = c < 0.25;
  int exponent;
  exact_ = lo == 0 && std::frexp(step_, &exponent) == 0.5 && step_ * bins_ == hi &&
           (!narrow || (bins_ <= 0x1p24 && step_ >= 0x1p-100 && hi < 0x1p100));
}

template <class Values>
void UniformBins::exact(Values values, uint64_t n, uint32_t* out) const {
  typedef int32_t Half __attribute__((vector_size(4 * kLanes)));
  const Lanes last = every(bins_ - 1), outside = every(bins_);
  const double norm = norm_, hi = hi_;
  for (uint64_t i = 0; i < n; i += kLanes) {
    const Lanes x = values(i);
    Lanes bin = x * norm;
    bin = bin < last ? bin : last;
    bin = (x >= 0.0) & (x <= hi) ? bin : outside;
    const Half whole = __builtin_convertvector(bin, Half);
    __builtin_memcpy(out + i, &whole, sizeof whole);
  }
}

template <bool kNarrow, bool kFromZero, class Values>
void UniformBins::fast(Values values, uint64_t n, uint32_t* out) const {
  typedef uint32_t Half __attribute__((vector_size(4 * kLanes)));
  typedef float Floats __attribute__((vector_size(4 * kLanes)));
  typedef uint64_t Words __attribute__((vector_size(8 * kLanes)));
  // Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low half of the word.
  constexpr double kMagic = 0x1.8p52;
  const Lanes norm = every(norm_), minus_shift = every(-shift_), last = every(kMagic + (bins_ - 1)), outside = every(kMagic + bins_);
  const double lo = lo_, hi = hi_, origin = origin_, step = step_;
  for (uint64_t i = 0; i < n; i += kLanes) {
    const Lanes x = values(i), guess = fused(x, norm, minus_shift) + kMagic;
    Lanes edge = (guess - (kMagic - 1)) * step;
    if constexpr (!kFromZero) edge += origin;
    if constexpr (kNarrow) edge = __builtin_convertvector(__builtin_convertvector(edge, Floats), Lanes);
    Lanes bin = x >= edge ? guess + 1.0 : guess;
    bin = bin < last ? bin : last;
    bin = (x >= lo) & (x <= hi) ? bin : outside;
    const Half low = __builtin_convertvector(reinterpret_cast<Words>(bin), Half);
    __builtin_memcpy(out + i, &low, sizeof low);
  }
}

/** np.histogram, operation by operation, in the type of its data. */
template <class T>
uint32_t UniformBins::by_guess(double v) const {
  if (!(v >= lo_ && v <= hi_)) return static_cast<uint32_t>(bins_);
  const T position = (static_cast<T>(v) - static_cast<T>(origin_)) * static_cast<T>(norm_);
  double bin = std::min(std::trunc(static_cast<double>(position)), bins_ - 1);
  if (v < edge(bin)) bin = std::max(bin - 1, 0.0);
  if (v >= edge(bin + 1) && bin != bins_ - 1) bin += 1;
  return static_cast<uint32_t>(bin);
}

/** np.searchsorted(edges, v, "right") - 1, the last edge included. */
inline uint32_t UniformBins::by_search(double v) const {
  if (!(v >= lo_ && v <= hi_)) return static_cast<uint32_t>(bins_);
  uint64_t low = 0, high = static_cast<uint64_t>(bins_);  // edge(low) <= v, and v < edge(high) or v == hi
  while (high - low > 1) {
    const uint64_t middle = (low + high) / 2;
    (v >= edge(static_cast<double>(middle)) ? low : high) = middle;
  }
  return static_cast<uint32_t>(low);
}

template <class Values>
void UniformBins::slow(Values values, uint64_t n, uint32_t* out) const {
  double v[kBlock];
  for (uint64_t i = 0; i < n; i += kLanes) store(v + i, values(i));
  for (uint64_t i = 0; i < n; ++i)
    out[i] = rule_ == Rule::histogramdd ? by_search(v[i]) : narrow_ ? by_guess<float>(v[i]) : by_guess<double>(v[i]);
}

}  // namespace cadre::builtin
