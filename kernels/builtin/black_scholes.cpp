/* black_scholes: the price of a European call without dividends.

     d1 = (log(spot/strike) + (rate + volatility^2/2) time) / (volatility sqrt(time)),   d2 = d1 - volatility sqrt(time)
     call = spot N(d1) - strike exp(-rate time) N(d2),   N: the normal distribution function

   Where volatility sqrt(time) is 0 the price is its limit, max(spot - strike exp(-rate time), 0). */
#include <cadre/kernels/builtin/elementwise.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/normal.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kLanesAtOnce = kRegisterLanes<double>;

const cadre_input kInputs[] = {{"spot", "price of the asset now", CADRE_FLOATS, CADRE_ROWS, 1, 1},
                               {"strike", "price at which the asset may be bought", CADRE_FLOATS, CADRE_ROWS, 1, 1},
                               {"time", "years to expiry", CADRE_FLOATS, CADRE_ROWS, 1, 1},
                               {"rate", "risk-free rate per year, continuously compounded", CADRE_FLOATS, CADRE_ROWS, 1, 1},
                               {"volatility", "standard deviation of the logarithm of the asset's price over a year", CADRE_FLOATS, CADRE_ROWS, 1, 1}};
const cadre_output kOutput[] = {{"out", "price of the call, float64", CADRE_OUT_MAP}};

int plan(cadre_plan* plan) { return plan_map(plan, kInputs, kF64, 6); }

/** The errors of d1 and d2 cancel to first order (spot N'(d1) = strike exp(-rate time) N'(d2)): a plain logarithm will do. */
Doubles call_price(Doubles spot, Doubles strike, Doubles time, Doubles rate, Doubles volatility) {
  const Doubles deviation = volatility * v_sqrt(time);
  const Doubles discounted = strike * v_exp(-(rate * time));
  const Doubles drift = v_fused(0.5 * volatility, volatility, rate);
  const Doubles d1 = v_fused(drift, time, v_log_35(spot / strike)) / deviation, d2 = d1 - deviation;
  const Doubles price = spot * normal_cdf(d1) - discounted * normal_cdf(d2);
  const Doubles certain = spot - discounted;
  const Doubles value = deviation == 0.0 ? (certain < 0.0 ? Doubles{} : certain) : price;
  return value == value ? value : Doubles{} + __builtin_nan("");  // which of two NaNs a sum is, the compiler chooses
}

int run(cadre_chunk* chunk) {
  const Column<double> in[] = {Column<double>(chunk->inputs[0]), Column<double>(chunk->inputs[1]), Column<double>(chunk->inputs[2]),
                               Column<double>(chunk->inputs[3]), Column<double>(chunk->inputs[4])};
  double* out = static_cast<double*>(chunk->outputs[0].data);
  alignas(64) double room[5][kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const double* v[5];
    for (int k = 0; k < 5; ++k) v[k] = in[k].load(at, n, room[k]);
    uint64_t i = 0;
    for (; i + kLanesAtOnce <= n; i += kLanesAtOnce)
      store_register(out + at + i, call_price(load_register(v[0] + i), load_register(v[1] + i), load_register(v[2] + i),
                                              load_register(v[3] + i), load_register(v[4] + i)));
    if (const uint64_t rest = n - i; rest > 0)
      store_register(out + at + i,
                     call_price(load_register(v[0] + i, rest), load_register(v[1] + i, rest), load_register(v[2] + i, rest),
                                load_register(v[3] + i, rest), load_register(v[4] + i, rest)), rest);
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel black_scholes_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "black_scholes",
    .doc = "Black-Scholes price of a European call, no dividends",
    .accuracy = "absolute error below 1e-15 * (spot + strike)",
    .example = "cadre run black_scholes --in spot.npy --in strike.npy --in time.npy --in rate.npy --in volatility.npy --out call.npy",
    .flags = CADRE_ELEMENTWISE, .passes = 1, .n_inputs = 5, .n_outputs = 1, .inputs = kInputs, .outputs = kOutput,
    .plan = plan, .run = run};

}  // namespace cadre::builtin
