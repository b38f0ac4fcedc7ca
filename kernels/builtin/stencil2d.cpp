/* stencil2d: a 3 x 3 stencil applied again and again. A tile of the output is computed with a rim as wide as there are iterations, which loses one row and column at
   each: the neighbours' part is computed twice, and nobody waits. The numbers are those that a barrier between two iterations would give. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/columns.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "n x m", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}, {"weights", "3 x 3, the middle one for the element itself; what is 0 is not read", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutputs[] = {{"out", "n x m; float32 for float32, else float64", CADRE_OUT_MAP}};
const cadre_param kParams[] = {{"iterations", "how often, 1 to 256", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1},
                               {"mode", "beyond the edges: 0 reflect (the edge itself), 1 constant, 2 wrap", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0},
                               {"cval", "the constant of mode 1", CADRE_REAL, CADRE_PARAM_DEFAULT, 0}};
enum Mode { kReflect, kConstant, kWrap };

constexpr int64_t kMostIterations = 256;
constexpr int64_t kTileColumns = 512;

int64_t iterations_of(const cadre_plan* p) { return integer(p, 0); }
/** Rows of a tile: a rim of so many above and below shall not be most of it. */
int64_t tile_rows(const cadre_plan* p) { return std::max<int64_t>(64, 2 * iterations_of(p)); }
/** Of a tile with its rim, and the ring around that where what lies beyond the edges is put. */
int64_t room_rows(const cadre_plan* p) { return tile_rows(p) + 2 * iterations_of(p) + 2; }
int64_t room_columns(const cadre_plan* p) { return kTileColumns + 2 * iterations_of(p) + 2; }

int plan(cadre_plan* p) {
  const int64_t n = p->inputs[0].shape[0], m = p->inputs[0].shape[1];
  if (p->inputs[1].shape[0] != 3 || p->inputs[1].shape[1] != 3)
    return refuse(p, "weights is %lld x %lld: give 3 x 3", static_cast<long long>(p->inputs[1].shape[0]), static_cast<long long>(p->inputs[1].shape[1]));
  if (iterations_of(p) < 1 || iterations_of(p) > kMostIterations)
    return refuse(p, "iterations is %lld: 1 to %lld are possible; for more, let one step take what another gave", static_cast<long long>(iterations_of(p)), static_cast<long long>(kMostIterations));
  if (integer(p, 1) < 0 || integer(p, 1) > 2) return refuse(p, "mode is %lld: give 0 (reflect), 1 (constant) or 2 (wrap)", static_cast<long long>(integer(p, 1)));
  p->elements = static_cast<uint64_t>(n);
  p->grain = static_cast<uint64_t>(tile_rows(p));
  const double rim = static_cast<double>(iterations_of(p)) / static_cast<double>(tile_rows(p));
  p->cost_ns = std::max(1.0, 0.4 * static_cast<double>(m * iterations_of(p)) * (1 + rim));
  p->scratch_bytes = static_cast<uint64_t>(2 * room_rows(p) * room_columns(p)) * sizeof(double);
  p->outputs[0] = matrix(real_type(p->inputs[0].dtype), static_cast<uint64_t>(n), static_cast<uint64_t>(m));
  return CADRE_OK;
}

struct Term {
  int64_t row, column;
  double weight;
};

/** out[j] = sum of weight[k] * from[k][j], in this order. */
template <int kTerms>
void weigh(const double* const* from, const double* weight, double* __restrict__ out, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    double sum = weight[0] * from[0][j];
    for (int k = 1; k < kTerms; ++k) sum = multiply_add(weight[k], from[k][j], sum);
    out[j] = sum;
  }
}

using Weigh = void (*)(const double* const*, const double*, double* __restrict__, int64_t);
constexpr Weigh kWeigh[] = {nullptr, weigh<1>, weigh<2>, weigh<3>, weigh<4>, weigh<5>, weigh<6>, weigh<7>, weigh<8>, weigh<9>};

/** Rows [top, bottom) and columns [left, right) of the array. */
struct Region {
  int64_t top, bottom, left, right;
};

class Tile {
 public:
  Tile(const cadre_plan* p, const cadre_tensor& x, void* scratch)
      : x_(x), n_(x.shape[0]), m_(x.shape[1]), iterations_(iterations_of(p)), mode_(static_cast<Mode>(integer(p, 1))), outside_(real(p, 2)), width_(room_columns(p)),
        now_(static_cast<double*>(scratch)), next_(now_ + room_rows(p) * width_) {}

  void set_weights(const cadre_tensor& weights) {
    double w[9];
    Column<double>(weights).copy(0, 9, w);
    for (int64_t k = 0; k < 9; ++k)
      if (w[k] != 0) terms_[n_terms_++] = {k / 3 - 1, k % 3 - 1, w[k]};
  }

  /** Computes what `out` covers; row() has it then. */
  void compute(Region out) {
    origin_row_ = out.top - iterations_ - 1;
    origin_column_ = out.left - iterations_ - 1;
    Region region = around(out, iterations_);
    read(region);
    for (int64_t left = iterations_; left-- > 0;) {
      if (mode_ != kWrap) surround(region);
      region = around(out, left);
      step(region);
      std::swap(now_, next_);
    }
  }
  const double* row(int64_t r, int64_t column) const { return at(now_, r, column); }

 private:
  double* at(double* room, int64_t r, int64_t c) const { return room + (r - origin_row_) * width_ + (c - origin_column_); }

  /** With a rim, which ends at the array's edges unless that wraps. */
  Region around(const Region& out, int64_t rim) const {
    const Region wide{out.top - rim, out.bottom + rim, out.left - rim, out.right + rim};
    if (mode_ == kWrap) return wide;
    return {std::max<int64_t>(wide.top, 0), std::min(wide.bottom, n_), std::max<int64_t>(wide.left, 0), std::min(wide.right, m_)};
  }

  void read(const Region& region) const {
    const Column<double> values(x_);
    for (int64_t r = region.top; r < region.bottom; ++r) {
      const int64_t from = (r % n_ + n_) % n_;
      for (int64_t c = region.left; c < region.right;) {
        const int64_t column = (c % m_ + m_) % m_, some = std::min(region.right - c, m_ - column);
        values.copy(static_cast<uint64_t>(from * m_ + column), static_cast<uint64_t>(some), at(now_, r, c));
        c += some;
      }
    }
  }

  /** Puts what lies beyond the array's edges where the region ends at them; rows first, so that the corners come of themselves. */
  void surround(const Region& region) const {
    const auto line = [&](int64_t row, int64_t edge) {
      for (int64_t c = region.left; c < region.right; ++c) *at(now_, row, c) = mode_ == kReflect ? *at(now_, edge, c) : outside_;
    };
    if (region.top == 0) line(-1, 0);
    if (region.bottom == n_) line(n_, n_ - 1);
    const int64_t top = region.top == 0 ? -1 : region.top, bottom = region.bottom == n_ ? n_ + 1 : region.bottom;
    for (int64_t r = top; r < bottom; ++r) {
      if (region.left == 0) *at(now_, r, -1) = mode_ == kReflect ? *at(now_, r, 0) : outside_;
      if (region.right == m_) *at(now_, r, m_) = mode_ == kReflect ? *at(now_, r, m_ - 1) : outside_;
    }
  }

  void step(const Region& region) const {
    double weight[9];
    const double* from[9];
    for (int k = 0; k < n_terms_; ++k) weight[k] = terms_[k].weight;
    for (int64_t r = region.top; r < region.bottom; ++r) {
      double* out = at(next_, r, region.left);
      for (int k = 0; k < n_terms_; ++k) from[k] = at(now_, r + terms_[k].row, region.left + terms_[k].column);
      if (n_terms_ > 0)
        kWeigh[n_terms_](from, weight, out, region.right - region.left);
      else
        std::fill(out, out + (region.right - region.left), 0.0);
    }
  }

  const cadre_tensor& x_;
  const int64_t n_, m_, iterations_;
  const Mode mode_;
  const double outside_;
  const int64_t width_;
  double *now_, *next_;
  Term terms_[9];
  int n_terms_ = 0;
  int64_t origin_row_ = 0, origin_column_ = 0;
};

int run(cadre_chunk* c) {
  const int64_t m = c->inputs[0].shape[1], first = static_cast<int64_t>(c->first), end = first + static_cast<int64_t>(c->count), rows = tile_rows(c->plan);
  Tile tile(c->plan, c->inputs[0], c->scratch);
  tile.set_weights(c->inputs[1]);
  for (int64_t top = first; top < end; top += rows)
    for (int64_t left = 0; left < m; left += kTileColumns) {
      const Region out{top, std::min(top + rows, end), left, std::min(left + kTileColumns, m)};
      tile.compute(out);
      with_type(c->outputs[0].dtype, [&](auto type) {
        using T = decltype(type);
        for (int64_t r = out.top; r < out.bottom; ++r) {
          const double* from = tile.row(r, left);
          T* to = static_cast<T*>(c->outputs[0].data) + (r - first) * m + left;
          for (int64_t j = 0; j < out.right - left; ++j) to[j] = static_cast<T>(from[j]);
        }
      });
    }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel stencil2d_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "stencil2d", .doc = "a 3 x 3 stencil, again and again, as scipy.ndimage.correlate(x, weights, mode=mode, cval=cval)",
    .accuracy = "each iteration in float64, the sum of an element: at most 10 u of the sum of its terms' magnitudes, u = 2^-53", .example = "cadre run stencil2d --in x.npy --in weights.npy --param iterations=10 --out out.npy",
    .flags = 0, .passes = 1, .n_inputs = 2, .n_outputs = 1, .n_params = 3, .n_results = 0, .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = nullptr, .plan = plan, .run = run};

}  // namespace cadre::builtin
