/* standardize: (x - mean)/std in two passes, a fold for mean and standard deviation, then a map. */
#include <limits>

#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

/** Of `count` elements the mean, as high + low, and the sum of squared distances from it. The low part matters to the squares
    where the data lie far from 0: without it, merging would see the distance of two means only to the last place of the mean. */
struct Spread {
  double count, high, low, squares;
  double deviation;  // set by finish() for the second pass

  /** Chan, Golub, LeVeque (1979): `later` is another part of the same data. */
  void merge(const Spread& later) {
    if (later.count == 0) return;
    if (count == 0) {
      *this = later;
      return;
    }
    const double all = count + later.count, delta = (later.high - high) + (later.low - low);
    count = all;
    if (!std::isfinite(delta)) {  // infinities: the mean is one of them, or NaN where both signs meet
      high += later.high;
      squares = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    squares += later.squares + delta * delta * ((all - later.count) * later.count / all);
    const double move = delta * (later.count / all), sum = high + move, back = sum - high;
    low += (high - (sum - back)) + (move - back);
    high = sum;
  }
  double mean() const { return std::isfinite(high) ? high + low : high; }
};

const cadre_input kInput[] = {{"x", "the values", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_param kParams[] = {{"ddof", "the variance is the sum of squares over (n - ddof)", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0}};
const cadre_output kOutput[] = {{"out", "(x - mean)/std; float32 for float32, else float64", CADRE_OUT_MAP}};
const cadre_result kResults[] = {{"mean", "arithmetic mean; NaN for no elements"}, {"std", "standard deviation"}};

int plan(cadre_plan* plan) {
  const cadre_dtype x = plan->inputs[0].dtype;
  if (int refused = plan_map(plan, kInput, real_type(x), 0.7)) return refused;
  if (plan->pass == 0) {
    plan->accumulator_bytes = sizeof(Spread);
    plan->bytes = bytes_of(x);
    plan->cost_ns = 0.3;
  }
  plan->results[0] = plan->results[1] = scalar(kF64);
  return CADRE_OK;
}

/** A block is read twice from the cache: for its mean, then for the squares, corrected for the mean's own rounding. */
Spread spread_of(const double* v, uint64_t count, double* room) {
  uint64_t n = count;
  const double* values = padded(v, n, room, 0.0);
  const double mean = sum_block(values, n) / static_cast<double>(count);
  for (uint64_t i = count; i < n; ++i) room[i] = mean;
  if (!std::isfinite(mean)) return {static_cast<double>(count), mean, 0, std::numeric_limits<double>::quiet_NaN(), 0};
  Lanes sums[2] = {}, squares[2] = {};
  const Lanes center = every(mean);
  for (uint64_t i = 0; i < n; i += 2 * kLanes)
    for (uint64_t k = 0; k < 2; ++k) {
      const Lanes d = load(values + i + k * kLanes) - center;
      sums[k] += d;
      squares[k] = fused(d, d, squares[k]);
    }
  const double rest = total(sums[0] + sums[1]), correction = rest / static_cast<double>(count);
  return {static_cast<double>(count), mean, correction, total(squares[0] + squares[1]) - rest * correction, 0};
}

int measure(cadre_chunk* chunk) {
  const Column<double> x(chunk->inputs[0]);
  alignas(64) double room[kBlock];
  Spread spread{};
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    spread.merge(spread_of(x.load(at, n, room), n, room));
  }
  *static_cast<Spread*>(chunk->accumulator) = spread;
  return CADRE_OK;
}

int run(cadre_chunk* chunk) {
  if (chunk->pass == 0) return measure(chunk);
  const auto* spread = static_cast<const Spread*>(chunk->plan->previous);
  const double mean = spread->mean(), deviation = spread->deviation;
  if (real_type(chunk->plan->inputs[0].dtype) == kF64)
    return map_one<double>(chunk, [=](double v) { return (v - mean) / deviation; });
  return map_one<float>(chunk, [=](float v) { return static_cast<float>((static_cast<double>(v) - mean) / deviation); });
}

void identity(const cadre_plan*, void* accumulator) { *static_cast<Spread*>(accumulator) = {}; }

void combine(const cadre_plan*, void* into, const void* from) {
  static_cast<Spread*>(into)->merge(*static_cast<const Spread*>(from));
}

/** The first pass leaves the spread for the second, which alone has results. */
int finish(cadre_finish* f) {
  if (f->pass == 0) {
    Spread& measured = *static_cast<Spread*>(f->accumulator);
    const double freedom = std::max(measured.count - static_cast<double>(integer(f->plan, 0)), 0.0);
    if (measured.count == 0) measured.high = measured.squares = std::numeric_limits<double>::quiet_NaN();
    measured.deviation = std::sqrt(std::max(measured.squares, 0.0) / freedom);
    return CADRE_OK;
  }
  const Spread& spread = *static_cast<const Spread*>(f->plan->previous);
  *static_cast<double*>(f->results[0].data) = spread.mean();
  *static_cast<double*>(f->results[1].data) = spread.deviation;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel standardize_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "standardize", .doc = "values shifted and scaled to mean 0 and standard deviation 1",
    .accuracy = "mean: error below 1e-15 * max|x|; std: relative error below 1e-14; out: three roundings after those",
    .example = "cadre run standardize --in x.npy --out y.npy", .flags = CADRE_ELEMENTWISE, .passes = 2, .n_inputs = 1, .n_outputs = 1,
    .n_params = 1, .n_results = 2, .inputs = kInput, .outputs = kOutput, .params = kParams, .results = kResults, .plan = plan,
    .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
