/* clip: min(max(x, lo), hi), as np.clip does it. NaN passes; where lo > hi, hi wins. */
#include <limits>

#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInput[] = {{"x", "the values", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_param kParams[] = {{"lo", "nothing is below it", CADRE_REAL, CADRE_PARAM_OPTIONAL},
                               {"hi", "nothing is above it", CADRE_REAL, CADRE_PARAM_OPTIONAL}};
const cadre_output kOutput[] = {{"out", "clipped values, of x's type; float64 for integers with a bound that is no whole number",
                                 CADRE_OUT_MAP}};

bool keeps_integers(const cadre_value& bound) { return !bound.present || bound.real == std::floor(bound.real); }

/** Integers stay integers where the bounds are whole numbers; an infinite bound, like a fraction, is a real one. */
cadre_dtype out_type(const cadre_plan* plan) {
  const cadre_dtype x = plan->inputs[0].dtype;
  if (is_float(x)) return x;
  for (int i = 0; i < 2; ++i)
    if (!keeps_integers(plan->params[i]) || (plan->params[i].present && std::isinf(plan->params[i].real))) return kF64;
  return x;
}

int plan(cadre_plan* plan) {
  if (!plan->params[0].present && !plan->params[1].present) return refuse(plan, "neither lo nor hi is given: give one or both");
  return plan_map(plan, kInput, out_type(plan), 0.05);
}

/** A whole bound in an integer type; one beyond the type's range becomes its end. */
template <class T>
T saturated(double bound) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(bound);
  if (bound <= static_cast<double>(Limits::min())) return Limits::min();
  if (bound >= static_cast<double>(Limits::max())) return Limits::max();
  return static_cast<T>(bound);
}

template <class T>
int clip(cadre_chunk* chunk) {
  const cadre_value &lo = chunk->plan->params[0], &hi = chunk->plan->params[1];
  if constexpr (std::is_floating_point_v<T>)
    if ((lo.present && std::isnan(lo.real)) || (hi.present && std::isnan(hi.real)))
      return map_one<T>(chunk, [](T) { return std::numeric_limits<T>::quiet_NaN(); });
  const T low = saturated<T>(lo.real), high = saturated<T>(hi.real);
  if (!hi.present) return map_one<T>(chunk, [low](T v) { return v < low ? low : v; });
  if (!lo.present) return map_one<T>(chunk, [high](T v) { return v > high ? high : v; });
  return map_one<T>(chunk, [low, high](T v) {
    const T raised = v < low ? low : v;
    return raised > high ? high : raised;
  });
}

int run(cadre_chunk* chunk) {
  return with_type(out_type(chunk->plan), [&](auto type) { return clip<decltype(type)>(chunk); });
}

}  // namespace

const cadre_kernel clip_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "clip", .doc = "values limited to lo and hi, element by element",
    .accuracy = "exact; bounds are taken as float64, for float32 data rounded to float32", .example = "cadre run clip --in x.npy --param lo=0 --param hi=1 --out y.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 1, .n_outputs = 1, .n_params = 2, .inputs = kInput, .outputs = kOutput,
    .params = kParams, .plan = plan, .run = run};

}  // namespace cadre::builtin
