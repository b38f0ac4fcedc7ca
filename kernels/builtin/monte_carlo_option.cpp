/* monte_carlo_option: the price of a call or put on the average of an asset's price at `dates` equally spaced dates (one: European), by simulated paths.

     S(t + dt) = S(t) exp((rate - volatility^2/2) dt + volatility sqrt(dt) Z),   payoff = exp(-rate time) max(+-(mean S - strike), 0)

   Z by Box and Muller from Philox4x32-10 (Salmon et al., SC 2011), whose counter is the path and the date and whose key is the seed: a path has the same
   numbers whoever computes it. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>
#include <cadre/kernels/builtin/vector_math.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kPaths = 256;
enum { kSpot, kStrike, kTime, kRate, kVolatility, kCount, kDates, kSeed, kPut };

const cadre_param kParams[] = {{"spot", "price of the asset now", CADRE_REAL, CADRE_PARAM_DEFAULT, 100},
                               {"strike", "price at which it may be bought (sold)", CADRE_REAL, CADRE_PARAM_DEFAULT, 100},
                               {"time", "years to expiry", CADRE_REAL, CADRE_PARAM_DEFAULT, 1},
                               {"rate", "risk-free rate per year, continuously compounded", CADRE_REAL, CADRE_PARAM_DEFAULT, 0.05},
                               {"volatility", "standard deviation of the logarithm of the price over a year", CADRE_REAL, CADRE_PARAM_DEFAULT, 0.2},
                               {"paths", "simulated, 1 to 2^40", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1000000},
                               {"dates", "averaged over, 1 to 100000; 1: European", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 1},
                               {"seed", "of the random numbers", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0},
                               {"put", "1: the right to sell", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 0}};
const cadre_result kResults[] = {{"price", "mean of the discounted payoffs"}, {"standard_error", "of that mean"}};

struct Sums {
  Running payoff, square;
};

int plan(cadre_plan* p) {
  const auto range = [&](int k, int64_t lo, int64_t hi) {
    if (integer(p, k) >= lo && integer(p, k) <= hi) return CADRE_OK + 0;
    return refuse(p, "%s is %lld: %lld to %lld are possible", kParams[k].name, static_cast<long long>(integer(p, k)), static_cast<long long>(lo), static_cast<long long>(hi));
  };
  if (int bad = range(kCount, 1, int64_t{1} << 40)) return bad;
  if (int bad = range(kDates, 1, 100'000)) return bad;
  if (int bad = range(kPut, 0, 1)) return bad;
  for (int k : {kSpot, kStrike, kTime, kRate, kVolatility})
    if (!std::isfinite(real(p, k)) || (k != kRate && real(p, k) < 0)) return refuse(p, "%s is %g: it must be finite%s", kParams[k].name, real(p, k), k == kRate ? "" : " and not negative");
  p->elements = static_cast<uint64_t>(integer(p, kCount));
  p->cost_ns = 6.0 * static_cast<double>(integer(p, kDates));
  p->grain = kPaths;
  p->accumulator_bytes = sizeof(Sums);
  p->results[0] = p->results[1] = scalar(kF64);
  return CADRE_OK;
}

void identity(const cadre_plan*, void* accumulator) { *static_cast<Sums*>(accumulator) = {}; }

/** Block `block` of the streams of kPaths paths: two uniform numbers in (0, 1] each. */
void uniforms(uint64_t seed, uint64_t path, uint64_t block, double* u, double* v) {
  alignas(64) uint32_t c0[kPaths], c1[kPaths], c2[kPaths], c3[kPaths];
  for (uint64_t i = 0; i < kPaths; ++i) {
    c0[i] = static_cast<uint32_t>(path + i);
    c1[i] = static_cast<uint32_t>((path + i) >> 32);
    c2[i] = static_cast<uint32_t>(block);
    c3[i] = static_cast<uint32_t>(block >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (uint64_t i = 0; i < kPaths; ++i) {
      const uint64_t a = uint64_t{0xD2511F53u} * c0[i], b = uint64_t{0xCD9E8D57u} * c2[i];
      c0[i] = static_cast<uint32_t>(b >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<uint32_t>(b);
      c2[i] = static_cast<uint32_t>(a >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<uint32_t>(a);
    }
  // 52 bits and a half: never 0, whose logarithm would be infinite.
  for (uint64_t i = 0; i < kPaths; ++i) {
    u[i] = (static_cast<double>(c0[i]) * 0x1p20 + static_cast<double>(c1[i] >> 12) + 0.5) * 0x1p-52;
    v[i] = (static_cast<double>(c2[i]) * 0x1p20 + static_cast<double>(c3[i] >> 12) + 0.5) * 0x1p-52;
  }
}

/** Two standard normal numbers for each path, in place of its uniform ones. */
void normals(double* u, double* v) {
  constexpr uint64_t lanes = kRegisterLanes<double>;
  for (uint64_t i = 0; i < kPaths; i += lanes) {
    const RegisterOf<double> radius = v_sqrt(-2.0 * v_log(load_register(u + i))), turn = 2.0 * load_register(v + i);
    store_register(u + i, radius * v_cospi(turn));
    store_register(v + i, radius * v_sinpi(turn));
  }
}

int run(cadre_chunk* c) {
  const cadre_plan* p = c->plan;
  const uint64_t dates = static_cast<uint64_t>(integer(p, kDates)), seed = static_cast<uint64_t>(integer(p, kSeed));
  const double dt = real(p, kTime) / static_cast<double>(dates), volatility = real(p, kVolatility);
  const double drift = (real(p, kRate) - volatility * volatility / 2) * dt, spread = volatility * std::sqrt(dt);
  const double sign = integer(p, kPut) ? -1 : 1, strike = real(p, kStrike);
  constexpr uint64_t lanes = kRegisterLanes<double>;
  Sums sums{};
  alignas(64) double z[2][kPaths], logarithm[kPaths], sum[kPaths];
  for (uint64_t at = 0; at < c->count; at += kPaths) {
    const uint64_t n = std::min(kPaths, c->count - at);
    std::fill(logarithm, logarithm + kPaths, 0.0);
    std::fill(sum, sum + kPaths, 0.0);
    for (uint64_t date = 0; date < dates; ++date) {
      if (date % 2 == 0) {
        uniforms(seed, c->first + at, date / 2, z[0], z[1]);
        normals(z[0], z[1]);
      }
      for (uint64_t i = 0; i < kPaths; i += lanes) {
        const RegisterOf<double> l = load_register(logarithm + i) + (spread * load_register(z[date % 2] + i) + drift);
        store_register(logarithm + i, l);
        store_register(sum + i, load_register(sum + i) + v_exp(l));
      }
    }
    const double scale = real(p, kSpot) / static_cast<double>(dates);
    for (uint64_t i = 0; i < kPaths; ++i) {
      const double gain = sign * (sum[i] * scale - strike);
      sum[i] = i < n && gain > 0 ? gain : 0.0;
    }
    sums.payoff.add(sum_block(sum, kPaths));
    sums.square.add(dot_block(sum, sum, kPaths));
  }
  std::memcpy(c->accumulator, &sums, sizeof sums);
  return CADRE_OK;
}

void combine(const cadre_plan*, void* into, const void* from) {
  static_cast<Sums*>(into)->payoff.add(static_cast<const Sums*>(from)->payoff);
  static_cast<Sums*>(into)->square.add(static_cast<const Sums*>(from)->square);
}

/** Not the C library's, whose bits depend on the CPU. */
double exponential(double x) {
  const double one[kRegisterLanes<double>] = {x};
  return v_exp(load_register(one))[0];
}

int finish(cadre_finish* f) {
  const auto& sums = *static_cast<const Sums*>(f->accumulator);
  const double n = static_cast<double>(f->plan->elements), discount = exponential(-real(f->plan, kRate) * real(f->plan, kTime));
  const double mean = sums.payoff.value() / n, variance = n > 1 ? std::max(0.0, (sums.square.value() - n * mean * mean) / (n - 1)) : 0.0;
  *static_cast<double*>(f->results[0].data) = discount * mean;
  *static_cast<double*>(f->results[1].data) = discount * std::sqrt(variance / n);
  return CADRE_OK;
}

}  // namespace

const cadre_kernel monte_carlo_option_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "monte_carlo_option", .doc = "price of a European or Asian option by simulated paths",
    .accuracy = "statistical: standard_error tells; the paths are the same for any number of workers", .example = "cadre run monte_carlo_option --param strike=110 --param paths=10000000 --param dates=12",
    .flags = 0, .passes = 1, .n_inputs = 0, .n_outputs = 0, .n_params = 9, .n_results = 2, .inputs = nullptr, .outputs = nullptr, .params = kParams, .results = kResults,
    .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
