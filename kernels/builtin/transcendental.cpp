/* sqrt, exp, log: float32 stays float32, integers give float64. */
#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/vector_math.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInput[] = {{"x", "the arguments", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};

template <int kTenthsOfNs>
int plan_function(cadre_plan* plan) {
  return plan_map(plan, kInput, real_type(plan->inputs[0].dtype), kTenthsOfNs * 0.1);
}

template <class Function>
int run_function(cadre_chunk* chunk, Function function) {
  return real_type(chunk->plan->inputs[0].dtype) == kF32 ? function(float{}) : function(double{});
}

/** out[i] = f(x[i]), a register at a time. */
template <class T, class F>
int map_registers(cadre_chunk* chunk, F f) {
  constexpr uint64_t lanes = kRegisterLanes<T>;
  const Column<T> x(chunk->inputs[0]);
  T* out = static_cast<T*>(chunk->outputs[0].data);
  alignas(64) T room[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T* from = x.load(at, n, room);
    T* to = out + at;
    uint64_t i = 0;
    for (; i + lanes <= n; i += lanes) store_register(to + i, f(load_register(from + i)));
    if (i < n) store_register(to + i, f(load_register(from + i, n - i)), n - i);
  }
  return CADRE_OK;
}

int run_sqrt(cadre_chunk* chunk) {
  return run_function(chunk, [&](auto type) {
    using T = decltype(type);
    return map_one<T>(chunk, [](T v) { return std::sqrt(v); });
  });
}

int run_exp(cadre_chunk* chunk) {
  return run_function(chunk, [&](auto type) {
    using T = decltype(type);
    return map_registers<T>(chunk, [](RegisterOf<T> v) { return v_exp(v); });
  });
}

int run_log(cadre_chunk* chunk) {
  return run_function(chunk, [&](auto type) {
    using T = decltype(type);
    return map_registers<T>(chunk, [](RegisterOf<T> v) { return v_log(v); });
  });
}

const cadre_output kRoot[] = {{"out", "square roots; NaN for negative arguments", CADRE_OUT_MAP}};
const cadre_output kExponential[] = {{"out", "e to the power of x", CADRE_OUT_MAP}};
const cadre_output kLogarithm[] = {{"out", "natural logarithms; -inf for 0, NaN for negative arguments", CADRE_OUT_MAP}};

}  // namespace

const cadre_kernel sqrt_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "sqrt", .doc = "square root of each element",
    .accuracy = "correctly rounded", .example = "cadre run sqrt --in x.npy --out y.npy", .flags = CADRE_ELEMENTWISE, .passes = 1,
    .n_inputs = 1, .n_outputs = 1, .inputs = kInput, .outputs = kRoot, .plan = plan_function<5>, .run = run_sqrt};

const cadre_kernel exp_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "exp", .doc = "exponential function of each element",
    .accuracy = "error below 1.0 units in the last place", .example = "cadre run exp --in x.npy --out y.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = kInput, .outputs = kExponential,
    .plan = plan_function<10>, .run = run_exp};

const cadre_kernel log_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "log", .doc = "natural logarithm of each element",
    .accuracy = "error below 1.0 units in the last place", .example = "cadre run log --in x.npy --out y.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .inputs = kInput, .outputs = kLogarithm,
    .plan = plan_function<12>, .run = run_log};

}  // namespace cadre::builtin
