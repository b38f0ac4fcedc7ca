/* dot and norm. The norm neither overflows nor underflows where the result does not: blocks whose sum of squares leaves the safe range are
   summed again, scaled by a power of two, into a sum of their own (as in Blue's algorithm, ACM TOMS 4, 1978). */
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kDotInputs[] = {{"x", "the first vector", CADRE_NUMBERS, CADRE_ROWS, 1, 1},
                                  {"y", "the second, as long", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kDotResults[] = {{"dot", "int64, uint64 or float64"}};

union Product {
  Running real;
  uint64_t integer;  // modulo 2^64
};

/** Integers stay integers where NumPy's do: uint64 with a signed type has no common integer type. */
cadre_dtype dot_type(const cadre_plan* p) {
  const cadre_dtype t = promoted(p->inputs[0].dtype, p->inputs[1].dtype);
  return is_float(t) ? kF64 : is_signed(t) ? kI64 : kU64;
}

int dot_plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kDotInputs)) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype) + bytes_of(p->inputs[1].dtype);
  p->cost_ns = 0.01 * static_cast<double>(p->bytes) + 0.05;
  if (dot_type(p) == kF64) p->operations = 2;
  p->accumulator_bytes = sizeof(Product);
  p->results[0] = scalar(dot_type(p));
  return CADRE_OK;
}

int dot_run(cadre_chunk* c) {
  Product out{};
  if (is_float(dot_type(c->plan))) {
    const Column<double> x(c->inputs[0]), y(c->inputs[1]);
    alignas(64) double x_room[kBlock], y_room[kBlock];
    for (uint64_t at = 0; at < c->count; at += kBlock) {
      uint64_t n = std::min(kBlock, c->count - at), ny = n;
      const double* u = padded(x.load(at, n, x_room), n, x_room, 0.0);
      const double* v = padded(y.load(at, ny, y_room), ny, y_room, 0.0);
      out.real.add(dot_block(u, v, n));
    }
  } else {
    const Column<uint64_t> x(c->inputs[0]), y(c->inputs[1]);
    alignas(64) uint64_t x_room[kBlock], y_room[kBlock];
    for (uint64_t at = 0; at < c->count; at += kBlock) {
      const uint64_t n = std::min(kBlock, c->count - at);
      const uint64_t *u = x.load(at, n, x_room), *v = y.load(at, n, y_room);
      for (uint64_t i = 0; i < n; ++i) out.integer += u[i] * v[i];
    }
  }
  std::memcpy(c->accumulator, &out, sizeof out);
  return CADRE_OK;
}

void dot_identity(const cadre_plan*, void* accumulator) { std::memset(accumulator, 0, sizeof(Product)); }

void dot_combine(const cadre_plan* p, void* into, const void* from) {
  auto* a = static_cast<Product*>(into);
  const auto* b = static_cast<const Product*>(from);
  if (is_float(dot_type(p)))
    a->real.add(b->real);
  else
    a->integer += b->integer;
}

int dot_finish(cadre_finish* f) {
  const auto* a = static_cast<const Product*>(f->accumulator);
  if (is_float(dot_type(f->plan)))
    *static_cast<double*>(f->results[0].data) = a->real.value();
  else
    *static_cast<uint64_t*>(f->results[0].data) = a->integer;
  return CADRE_OK;
}

const cadre_input kNormInputs[] = {{"x", "the vector", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kNormResults[] = {{"norm", "float64"}};

constexpr double kLow = 0x1p-900, kHigh = 0x1p960;  // sums of squares of a block that are kept as they are
constexpr double kDown = 0x1p-600, kUp = 0x1p600;   // factors of the elements outside

struct Squares {
  Running middle;  // sum of x^2
  Running big;     // sum of (x kDown)^2
  Running small;   // sum of (x kUp)^2
  double special;  // 0, infinity or NaN, as the elements had
};

int norm_plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kNormInputs)) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = 0.01 * static_cast<double>(p->bytes) + 0.04;
  p->accumulator_bytes = sizeof(Squares);
  p->results[0] = scalar(kF64);
  return CADRE_OK;
}

/** A block whose plain sum of squares is 0, tiny, huge, infinite or NaN. Squares of at most 1024 elements that sum to less than kLow or more
    than kHigh: scaled, they neither vanish nor overflow beside the largest of them. */
void add_scaled(Squares& out, const double* v, uint64_t n, double sum) {
  bool infinite = false, nan = false;
  for (uint64_t i = 0; i < n; ++i) {
    infinite |= std::isinf(v[i]);
    nan |= std::isnan(v[i]);
  }
  if (nan)
    out.special = std::numeric_limits<double>::quiet_NaN();
  else if (infinite)
    out.special += std::numeric_limits<double>::infinity();
  if (nan || infinite) return;
  alignas(64) double scaled[kBlock];
  const double factor = sum > 1 ? kDown : kUp;
  for (uint64_t i = 0; i < n; ++i) scaled[i] = v[i] * factor;
  (sum > 1 ? out.big : out.small).add(dot_block(scaled, scaled, n));
}

int norm_run(cadre_chunk* c) {
  Squares out{};
  const Column<double> x(c->inputs[0]);
  alignas(64) double room[kBlock];
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    uint64_t n = std::min(kBlock, c->count - at);
    const double* v = padded(x.load(at, n, room), n, room, 0.0);
    const double sum = dot_block(v, v, n);
    if (sum >= kLow && sum <= kHigh)
      out.middle.add(sum);
    else
      add_scaled(out, v, n, sum);
  }
  std::memcpy(c->accumulator, &out, sizeof out);
  return CADRE_OK;
}

void norm_identity(const cadre_plan*, void* accumulator) { std::memset(accumulator, 0, sizeof(Squares)); }

void norm_combine(const cadre_plan*, void* into, const void* from) {
  auto* a = static_cast<Squares*>(into);
  const auto* b = static_cast<const Squares*>(from);
  a->middle.add(b->middle);
  a->big.add(b->big);
  a->small.add(b->small);
  a->special += b->special;
}

int norm_finish(cadre_finish* f) {
  const Squares& a = *static_cast<const Squares*>(f->accumulator);
  const double middle = a.middle.value(), big = a.big.value(), small = a.small.value();
  double norm = a.special;
  if (norm == 0) {  // a smaller class is scaled to the larger one; what then underflows is below its last bit
    if (big > 0)
      norm = std::sqrt(big + middle * kDown * kDown) * kUp;
    else if (middle > 0)
      norm = std::sqrt(middle + small * kDown * kDown);
    else
      norm = std::sqrt(small) * kDown;
  }
  *static_cast<double*>(f->results[0].data) = norm;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel dot_kernel = {.abi = CADRE_KERNEL_ABI,
                                 .size = sizeof(cadre_kernel),
                                 .name = "dot",
                                 .doc = "the sum of x[i] * y[i]: integers in int64 or uint64, modulo 2^64; everything else in float64",
                                 .accuracy = "integers exact modulo 2^64; else |error| <= 136 u sum|x y|, u = 2^-53, for any length",
                                 .example = "cadre run dot --in x.npy --in y.npy",
                                 .flags = 0,
                                 .passes = 1,
                                 .n_inputs = 2,
                                 .n_outputs = 0,
                                 .n_params = 0,
                                 .n_results = 1,
                                 .inputs = kDotInputs,
                                 .outputs = nullptr,
                                 .params = nullptr,
                                 .results = kDotResults,
                                 .plan = dot_plan,
                                 .run = dot_run,
                                 .identity = dot_identity,
                                 .combine = dot_combine,
                                 .finish = dot_finish,
                                 .state = nullptr};

const cadre_kernel norm_kernel = {.abi = CADRE_KERNEL_ABI,
                                  .size = sizeof(cadre_kernel),
                                  .name = "norm",
                                  .doc = "the Euclidean norm, without overflow or underflow on the way",
                                  .accuracy = "relative error <= 70 u, u = 2^-53, for any length",
                                  .example = "cadre run norm --in x.npy",
                                  .flags = 0,
                                  .passes = 1,
                                  .n_inputs = 1,
                                  .n_outputs = 0,
                                  .n_params = 0,
                                  .n_results = 1,
                                  .inputs = kNormInputs,
                                  .outputs = nullptr,
                                  .params = nullptr,
                                  .results = kNormResults,
                                  .plan = norm_plan,
                                  .run = norm_run,
                                  .identity = norm_identity,
                                  .combine = norm_combine,
                                  .finish = norm_finish,
                                  .state = nullptr};

}  // namespace cadre::builtin
