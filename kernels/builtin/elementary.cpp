/* subtract, abs, scale, polynomial. */
#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

/* ---- subtract ---- */
const cadre_input kPair[] = {{"x", "left operand", CADRE_NUMBERS, CADRE_ROWS, 1, 1},
                             {"y", "right operand, as long as x", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kDifference[] = {{"out", "x - y, in NumPy's common type of both", CADRE_OUT_MAP}};

cadre_dtype pair_type(const cadre_plan* plan) { return promoted(plan->inputs[0].dtype, plan->inputs[1].dtype); }
int plan_subtract(cadre_plan* plan) { return plan_map(plan, kPair, pair_type(plan), 0.05); }

int run_subtract(cadre_chunk* chunk) {
  return with_type(pair_type(chunk->plan), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_floating_point_v<T>)
      return map_two<T>(chunk, [](T a, T b) { return a - b; });
    else
      return map_two<T>(chunk, [](T a, T b) { return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); });
  });
}

/* ---- abs ---- */
const cadre_input kOne[] = {{"x", "the values", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kMagnitude[] = {{"out", "|x|, of x's type; the lowest integer stays as it is, as in NumPy", CADRE_OUT_MAP}};

int plan_abs(cadre_plan* plan) { return plan_map(plan, kOne, plan->inputs[0].dtype, 0.05); }

int run_abs(cadre_chunk* chunk) {
  return with_type(chunk->inputs[0].dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_floating_point_v<T>)
      return map_one<T>(chunk, [](T v) { return std::fabs(v); });
    else if constexpr (std::is_signed_v<T>)
      return map_one<T>(chunk, [](T v) { return v < 0 ? static_cast<T>(0 - static_cast<uint64_t>(v)) : v; });
    else
      return map_one<T>(chunk, [](T v) { return v; });
  });
}

/* ---- scale ---- */
const cadre_param kFactor[] = {{"factor", "what the values are multiplied by", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
const cadre_output kScaled[] = {{"out", "factor * x; float32 for float32, else float64", CADRE_OUT_MAP}};

int plan_scale(cadre_plan* plan) { return plan_map(plan, kOne, real_type(plan->inputs[0].dtype), 0.05); }

int run_scale(cadre_chunk* chunk) {
  const double factor = real(chunk->plan, 0);
  if (real_type(chunk->inputs[0].dtype) == kF32) return map_one<float>(chunk, [f = static_cast<float>(factor)](float v) { return f * v; });
  return map_one<double>(chunk, [factor](double v) { return factor * v; });
}

/* ---- polynomial ---- */
const cadre_input kArguments[] = {{"x", "where", CADRE_NUMBERS, CADRE_ROWS, 1, 1}, {"c", "coefficients, that of x^0 first", CADRE_NUMBERS, CADRE_WHOLE, 1, 1}};
const cadre_output kValue[] = {{"out", "c[0] + c[1] x + c[2] x^2 ..., float64", CADRE_OUT_MAP}};
constexpr uint64_t kMostCoefficients = 1024;

int plan_polynomial(cadre_plan* plan) {
  const uint64_t n = static_cast<uint64_t>(plan->inputs[1].shape[0]);
  if (n < 1 || n > kMostCoefficients) return refuse(plan, "c has %llu coefficients: 1 to %llu are possible", static_cast<unsigned long long>(n), static_cast<unsigned long long>(kMostCoefficients));
  plan->operations = 2 * static_cast<double>(n - 1);
  return plan_map(plan, kArguments, kF64, 0.1 * static_cast<double>(n));
}

/** Horner, product and sum rounded each, as np.polynomial.polynomial.polyval. */
int run_polynomial(cadre_chunk* chunk) {
  const uint64_t n = static_cast<uint64_t>(chunk->plan->inputs[1].shape[0]);
  alignas(64) double c[kMostCoefficients];
  Column<double>(chunk->inputs[1]).copy(0, n, c);
  const Column<double> x(chunk->inputs[0]);
  auto* out = static_cast<double*>(chunk->outputs[0].data);
  alignas(64) double room[kBlock], value[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t m = std::min(kBlock, chunk->count - at);
    const double* v = x.load(at, m, room);
    for (uint64_t i = 0; i < m; ++i) value[i] = c[n - 1] + v[i] * 0.0;
    for (uint64_t k = n - 1; k-- > 0;)
      for (uint64_t i = 0; i < m; ++i) value[i] = c[k] + value[i] * v[i];
    std::memcpy(out + at, value, m * sizeof(double));
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel subtract_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "subtract", .doc = "difference of two arrays, element by element",
    .accuracy = "floating point: correctly rounded; integers: exact modulo 2^bits", .example = "cadre run subtract --in x.npy --in y.npy --out z.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 2, .n_outputs = 1, .inputs = kPair, .outputs = kDifference, .plan = plan_subtract, .run = run_subtract};

const cadre_kernel abs_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "abs", .doc = "absolute value of each element", .accuracy = "exact",
    .example = "cadre run abs --in x.npy --out y.npy", .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = kOne,
    .outputs = kMagnitude, .plan = plan_abs, .run = run_abs};

const cadre_kernel scale_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "scale", .doc = "each element times a factor", .accuracy = "correctly rounded",
    .example = "cadre run scale --in x.npy --param factor=2 --out y.npy", .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .n_params = 1,
    .inputs = kOne, .outputs = kScaled, .params = kFactor, .plan = plan_scale, .run = run_scale};

const cadre_kernel polynomial_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "polynomial", .doc = "a polynomial of each element, as np.polynomial.polynomial.polyval(x, c)",
    .accuracy = "Horner's: 2 n u sum |c[k] x^k|, u = 2^-53, n coefficients", .example = "cadre run polynomial --in x.npy --in c.npy --out y.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 2, .n_outputs = 1, .inputs = kArguments, .outputs = kValue, .plan = plan_polynomial, .run = run_polynomial};

}  // namespace cadre::builtin
