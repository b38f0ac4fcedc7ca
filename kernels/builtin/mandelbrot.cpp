/* mandelbrot: z -> z^2 + c from 0, how often until |z| > 2.

   Four vectors of points go side by side, which hides the latency of their multiplications, and are looked at every kStride steps: a point that has
   left never comes back (|z| > 2 and |z| >= |c| make |z^2 + c| > |z|; infinities and NaN count as away), so a step too many counts nothing. While nobody
   leaves, strides are made without looking at all; one in which somebody has left is made again, step by step. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kVectors = 4, kPoints = kVectors * kLanes, kStride = 8;
enum { kWidth, kHeight, kXLo, kXHi, kYLo, kYHi, kIterations };

const cadre_param kParams[] = {{"width", "points along x, 1 to 1000000", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1024},
                               {"height", "points along y, 1 to 1000000", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1024},
                               {"x_lo", "left", CADRE_REAL, CADRE_PARAM_DEFAULT, -2.0},
                               {"x_hi", "right", CADRE_REAL, CADRE_PARAM_DEFAULT, 0.5},
                               {"y_lo", "first row", CADRE_REAL, CADRE_PARAM_DEFAULT, -1.25},
                               {"y_hi", "last row", CADRE_REAL, CADRE_PARAM_DEFAULT, 1.25},
                               {"iterations", "at most, 1 to 1000000000", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 256}};
const cadre_output kOutput[] = {{"out", "int32, height x width: steps until |z| > 2, or iterations", CADRE_OUT_MAP}};

int plan(cadre_plan* p) {
  for (int k : {kWidth, kHeight, kIterations}) {
    const int64_t most = k == kIterations ? 1'000'000'000 : 1'000'000;
    if (integer(p, k) < 1 || integer(p, k) > most)
      return refuse(p, "%s is %lld: 1 to %lld are possible", kParams[k].name, static_cast<long long>(integer(p, k)), static_cast<long long>(most));
  }
  for (int k : {kXLo, kXHi, kYLo, kYHi})
    if (!std::isfinite(real(p, k))) return refuse(p, "%s is %g: it must be finite", kParams[k].name, real(p, k));
  p->elements = static_cast<uint64_t>(integer(p, kHeight));
  p->bytes = static_cast<uint64_t>(integer(p, kWidth)) * sizeof(int32_t);
  p->cost_ns = static_cast<double>(integer(p, kWidth)) * (1 + 0.008 * static_cast<double>(integer(p, kIterations)));
  p->outputs[0] = matrix(kI32, p->elements, static_cast<uint64_t>(integer(p, kWidth)));
  return CADRE_OK;
}

/** np.linspace(lo, hi, n)[i] */
double place(double lo, double hi, uint64_t n, uint64_t i) {
  if (n > 1 && i == n - 1) return hi;
  return n > 1 ? static_cast<double>(i) * ((hi - lo) / static_cast<double>(n - 1)) + lo : lo;
}

bool any_of(const Mask& m) {
  int64_t any = 0;
  for (uint64_t k = 0; k < kLanes; ++k) any |= m[k];
  return any != 0;
}

/** Steps of kPoints points with real parts x and one imaginary part. */
void steps(const double* x, double y, int64_t iterations, int64_t* out) {
  Lanes cx[kVectors], zx[kVectors], zy[kVectors];
  Mask count[kVectors];
  const Lanes cy = every(y), bound = every(4.0);
  for (uint64_t v = 0; v < kVectors; ++v) cx[v] = load(x + v * kLanes), zx[v] = zy[v] = Lanes{}, count[v] = Mask{};
  bool quiet = false;  // nobody has left in the last stride
  for (int64_t done = 0; done < iterations;) {
    const int64_t some = std::min<int64_t>(iterations - done, kStride);
    if (quiet && some == static_cast<int64_t>(kStride)) {
      Lanes ahead_x[kVectors], ahead_y[kVectors], last_x[kVectors], last_y[kVectors];
      for (uint64_t v = 0; v < kVectors; ++v) ahead_x[v] = zx[v], ahead_y[v] = zy[v];
      for (uint64_t s = 0; s < kStride; ++s)
#pragma GCC unroll 4
        for (uint64_t v = 0; v < kVectors; ++v) {
          last_x[v] = ahead_x[v], last_y[v] = ahead_y[v];
          const Lanes xx = ahead_x[v] * ahead_x[v], yy = ahead_y[v] * ahead_y[v], xy = ahead_x[v] * ahead_y[v];
          ahead_x[v] = (xx - yy) + cx[v];
          ahead_y[v] = (xy + xy) + cy;
        }
      // Who was there until now is there at the beginning of the last step, or somebody has left.
      Mask left{};
      for (uint64_t v = 0; v < kVectors; ++v) left |= (count[v] == done) & ~(last_x[v] * last_x[v] + last_y[v] * last_y[v] <= bound);
      if (!any_of(left)) {
        for (uint64_t v = 0; v < kVectors; ++v) {
          count[v] += (count[v] == done) & static_cast<int64_t>(kStride);
          zx[v] = ahead_x[v], zy[v] = ahead_y[v];
        }
        done += some;
        continue;
      }
    }
    for (int64_t s = 0; s < some; ++s)
#pragma GCC unroll 4
      for (uint64_t v = 0; v < kVectors; ++v) {
        const Lanes xx = zx[v] * zx[v], yy = zy[v] * zy[v], xy = zx[v] * zy[v];
        count[v] -= (xx + yy <= bound);  // -1 where the point is still there
        zx[v] = (xx - yy) + cx[v];
        zy[v] = (xy + xy) + cy;
      }
    Mask there{}, left{};
    for (uint64_t v = 0; v < kVectors; ++v) {
      there |= count[v] == done + some;
      left |= (count[v] >= done) & (count[v] < done + some);
    }
    done += some;
    quiet = !any_of(left);
    if (!any_of(there)) break;
  }
  __builtin_memcpy(out, count, sizeof count);
}

int run(cadre_chunk* c) {
  const uint64_t width = static_cast<uint64_t>(integer(c->plan, kWidth)), height = static_cast<uint64_t>(integer(c->plan, kHeight));
  auto* out = static_cast<int32_t*>(c->outputs[0].data);
  for (uint64_t row = 0; row < c->count; ++row) {
    const double y = place(real(c->plan, kYLo), real(c->plan, kYHi), height, c->first + row);
    for (uint64_t at = 0; at < width; at += kPoints) {
      alignas(64) double x[kPoints];
      alignas(64) int64_t count[kPoints];
      for (uint64_t i = 0; i < kPoints; ++i) x[i] = at + i < width ? place(real(c->plan, kXLo), real(c->plan, kXHi), width, at + i) : 4.0;
      steps(x, y, integer(c->plan, kIterations), count);
      for (uint64_t i = 0; i < kPoints && at + i < width; ++i) out[row * width + at + i] = static_cast<int32_t>(count[i]);
    }
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel mandelbrot_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "mandelbrot", .doc = "steps of z^2 + c until |z| > 2, over a grid of points c",
    .accuracy = "that of the recurrence in float64, each operation rounded; the same bits on all levels", .example = "cadre run mandelbrot --param width=2048 --param height=2048 --out steps.npy",
    .flags = 0, .passes = 1, .n_inputs = 0, .n_outputs = 1, .n_params = 7, .n_results = 0, .inputs = nullptr, .outputs = kOutput, .params = kParams, .plan = plan, .run = run};

}  // namespace cadre::builtin
