/* add, multiply, divide: NumPy's types and wrapping. axpy: a*x + y. */
#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kPair[] = {{"x", "left operand", CADRE_NUMBERS, CADRE_ROWS, 1, 1},
                             {"y", "right operand, as long as x", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};

cadre_dtype pair_type(const cadre_plan* plan) { return promoted(plan->inputs[0].dtype, plan->inputs[1].dtype); }

int plan_promoted(cadre_plan* plan) { return plan_map(plan, kPair, pair_type(plan), 0.05); }

/** Integers wrap: the arithmetic is done on the unsigned type, at least `unsigned` wide (uint16 * uint16 would overflow int). */
template <class T, class Op>
T wrapping(T a, T b, Op op) {
  if constexpr (std::is_floating_point_v<T>) {
    return op(a, b);
  } else {
    using U = std::common_type_t<std::make_unsigned_t<T>, std::conditional_t<(sizeof(T) > 1), unsigned, uint8_t>>;
    return static_cast<T>(op(static_cast<U>(a), static_cast<U>(b)));
  }
}

int run_add(cadre_chunk* chunk) {
  return with_type(pair_type(chunk->plan), [&](auto type) {
    using T = decltype(type);
    return map_two<T>(chunk, [](T a, T b) { return wrapping(a, b, [](auto p, auto q) { return p + q; }); });
  });
}

int run_multiply(cadre_chunk* chunk) {
  return with_type(pair_type(chunk->plan), [&](auto type) {
    using T = decltype(type);
    return map_two<T>(chunk, [](T a, T b) { return wrapping(a, b, [](auto p, auto q) { return p * q; }); });
  });
}

cadre_dtype quotient_type(const cadre_plan* plan) { return real_type(pair_type(plan)); }

int plan_divide(cadre_plan* plan) { return plan_map(plan, kPair, quotient_type(plan), 0.6); }

int run_divide(cadre_chunk* chunk) {
  const auto divide = [](auto a, auto b) { return a / b; };  // IEEE: x/0 is an infinity, 0/0 NaN
  return quotient_type(chunk->plan) == kF32 ? map_two<float>(chunk, divide) : map_two<double>(chunk, divide);
}

const cadre_input kAxpyInputs[] = {{"x", "what is scaled", CADRE_NUMBERS, CADRE_ROWS, 1, 1},
                                   {"y", "what is added, as long as x", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_param kAxpyParams[] = {{"a", "the factor", CADRE_REAL, CADRE_PARAM_DEFAULT, 1.0}};

cadre_dtype axpy_type(const cadre_plan* plan) {
  return plan->inputs[0].dtype == kF32 && plan->inputs[1].dtype == kF32 ? kF32 : kF64;
}

int plan_axpy(cadre_plan* plan) {
  if (axpy_type(plan) == kF64) plan->operations = 2;
  return plan_map(plan, kAxpyInputs, axpy_type(plan), 0.05);
}

template <class T>
int axpy(cadre_chunk* chunk) {
  const T a = static_cast<T>(real(chunk->plan, 0, 1.0));
  return map_two<T>(chunk, [a](T x, T y) { return multiply_add(a, x, y); });
}

int run_axpy(cadre_chunk* chunk) { return axpy_type(chunk->plan) == kF32 ? axpy<float>(chunk) : axpy<double>(chunk); }

const cadre_output kSum[] = {{"out", "x + y, in NumPy's common type of both", CADRE_OUT_MAP}};
const cadre_output kProduct[] = {{"out", "x * y, in NumPy's common type of both", CADRE_OUT_MAP}};
const cadre_output kQuotient[] = {{"out", "x / y; float64 for integers", CADRE_OUT_MAP}};
const cadre_output kAxpyOut[] = {{"out", "a*x + y; float32 when both inputs are, else float64", CADRE_OUT_MAP}};

}  // namespace

const cadre_kernel add_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "add", .doc = "sum of two arrays, element by element",
    .accuracy = "floating point: correctly rounded; integers: exact modulo 2^bits",
    .example = "cadre run add --in x.npy --in y.npy --out z.npy", .flags = CADRE_ELEMENTWISE, .passes = 1,
    .n_inputs = 2, .n_outputs = 1, .inputs = kPair, .outputs = kSum, .plan = plan_promoted, .run = run_add};

const cadre_kernel multiply_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "multiply", .doc = "product of two arrays, element by element",
    .accuracy = "floating point: correctly rounded; integers: exact modulo 2^bits",
    .example = "cadre run multiply --in x.npy --in y.npy --out z.npy", .flags = CADRE_ELEMENTWISE, .passes = 1,
    .n_inputs = 2, .n_outputs = 1, .inputs = kPair, .outputs = kProduct, .plan = plan_promoted, .run = run_multiply};

const cadre_kernel divide_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "divide", .doc = "quotient of two arrays, element by element",
    .accuracy = "correctly rounded; integers of 64 bits are rounded to float64 first, as in NumPy; x/0 is inf, -inf or nan",
    .example = "cadre run divide --in x.npy --in y.npy --out z.npy", .flags = CADRE_ELEMENTWISE, .passes = 1,
    .n_inputs = 2, .n_outputs = 1, .inputs = kPair, .outputs = kQuotient, .plan = plan_divide, .run = run_divide};

const cadre_kernel axpy_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "axpy", .doc = "a*x + y, element by element",
    .accuracy = "correctly rounded (one rounding) on v3 and v4; product and sum are rounded each on v2",
    .example = "cadre run axpy --in x.npy --in y.npy --param a=2 --out z.npy", .flags = CADRE_ELEMENTWISE, .passes = 1,
    .n_inputs = 2, .n_outputs = 1, .n_params = 1, .inputs = kAxpyInputs, .outputs = kAxpyOut, .params = kAxpyParams,
    .plan = plan_axpy, .run = run_axpy};

}  // namespace cadre::builtin
