/* Count, mean and the central moments. Each block of 1024 elements is in the L1 cache when it is read twice: once for its mean m, once for the powers of
   x - m, corrected for the rounding of m. Blocks and chunks are merged by the formulas of Chan, Golub and LeVeque for the second moment
   and of Pebay (Sandia report SAND2008-6212) for the third and fourth. */
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/** Of n elements: their mean as high + low, and the sums of the powers of their distances from it. */
struct Moments {
  double n, high, low, m2, m3, m4;
  double plain;  // plain sum: says whether a mean that is not finite is an infinity

  void merge(const Moments& b) {
    if (b.n == 0) return;
    if (n == 0) {
      *this = b;
      return;
    }
    const double all = n + b.n, delta = (b.high - high) + (b.low - low), r = delta / all, r2 = r * r;
    m4 += b.m4 + delta * r * r2 * n * b.n * (n * n - n * b.n + b.n * b.n) + 6 * r2 * (n * n * b.m2 + b.n * b.n * m2) +
          4 * r * (n * b.m3 - b.n * m3);
    m3 += b.m3 + delta * r2 * n * b.n * (n - b.n) + 3 * r * (n * b.m2 - b.n * m2);
    m2 += b.m2 + delta * r * n * b.n;
    const double move = r * b.n, sum = high + move, t = sum - high;
    low += (high - (sum - t)) + (move - t);
    high = sum;
    plain += b.plain;
    n = all;
  }
};

const cadre_input kInputs[] = {{"x", "the sample", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kResults[] = {{"count", "number of elements"},
                                 {"mean", "NaN for no elements"},
                                 {"variance", "mean squared distance from the mean (ddof 0)"},
                                 {"skewness", "biased; NaN for constant data"},
                                 {"kurtosis", "Fisher's (0 for a normal distribution), biased; NaN for constant data"}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = 0.3;
  p->accumulator_bytes = sizeof(Moments);
  p->results[0] = scalar(kI64);
  for (int i = 1; i < 5; ++i) p->results[i] = scalar(kF64);
  return CADRE_OK;
}

Moments block_moments(const double* v, uint64_t count, double* room) {
  uint64_t n = count;
  v = padded(v, n, room, 0.0);
  const double sum = sum_block(v, n), m = sum / static_cast<double>(count);
  for (uint64_t i = count; i < n; ++i) room[i] = m;  // the padding lies in room, and now contributes nothing
  Lanes s1[2] = {}, s2[2] = {}, s3[2] = {}, s4[2] = {};
  for (uint64_t i = 0; i < n; i += 2 * kLanes)
    for (uint64_t k = 0; k < 2; ++k) {
      const Lanes d = load(v + i + k * kLanes) - m, d2 = d * d;
      s1[k] += d;
      s2[k] += d2;
      s3[k] = fused(d2, d, s3[k]);
      s4[k] = fused(d2, d2, s4[k]);
    }
  const double m1 = total(s1[0] + s1[1]), m2 = total(s2[0] + s2[1]), m3 = total(s3[0] + s3[1]), m4 = total(s4[0] + s4[1]);
  const double e = m1 / static_cast<double>(count), e2 = e * e;  // how far the true mean lies from m
  return {
      static_cast<double>(count), m, e, m2 - m1 * e, m3 - 3 * e * m2 + 2 * m1 * e2, m4 - 4 * e * m3 + 6 * e2 * m2 - 3 * m1 * e * e2, sum};
}

int run(cadre_chunk* c) {
  Moments all{};
  const Column<double> x(c->inputs[0]);
  alignas(64) double room[kBlock];
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    all.merge(block_moments(x.load(at, n, room), n, room));
  }
  std::memcpy(c->accumulator, &all, sizeof all);
  return CADRE_OK;
}

void identity(const cadre_plan*, void* accumulator) { std::memset(accumulator, 0, sizeof(Moments)); }
void combine(const cadre_plan*, void* into, const void* from) { static_cast<Moments*>(into)->merge(*static_cast<const Moments*>(from)); }

int finish(cadre_finish* f) {
  const Moments& a = *static_cast<const Moments*>(f->accumulator);
  double mean = a.n > 0 ? a.high + a.low : kNaN;
  if (a.n > 0 && !std::isfinite(mean)) mean = a.plain / a.n;
  const double variance = a.n > 0 ? a.m2 / a.n : kNaN;
  const double scale = 1e-15 * mean;  // SciPy's test for constant data
  const bool constant = variance <= scale * scale;
  *static_cast<int64_t*>(f->results[0].data) = static_cast<int64_t>(a.n);
  *static_cast<double*>(f->results[1].data) = mean;
  *static_cast<double*>(f->results[2].data) = variance;
  *static_cast<double*>(f->results[3].data) = constant ? kNaN : a.m3 / a.n / (variance * std::sqrt(variance));
  *static_cast<double*>(f->results[4].data) = constant ? kNaN : a.m4 / a.n / (variance * variance) - 3;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel moments_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "moments",
    .doc = "count, mean, variance, skewness and kurtosis",
    .accuracy = "mean: 140 u mean|x|, u = 2^-53; variance: relative 160 u + (140 u mean|x| / std)^2, for any length",
    .example = "cadre run moments --in x.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 1,
    .n_outputs = 0,
    .n_params = 0,
    .n_results = 5,
    .inputs = kInputs,
    .outputs = nullptr,
    .params = nullptr,
    .results = kResults,
    .plan = plan,
    .run = run,
    .identity = identity,
    .combine = combine,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
