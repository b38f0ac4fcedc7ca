/* min and max. Floating-point minima are found by lanes, NaN beside them: the comparison x < m is false for a NaN, so that m alone would
   forget it. */
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "at least one element", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kMinResults[] = {{"min", "int64, uint64 or float64; NaN when there is one"}};
const cadre_result kMaxResults[] = {{"max", "int64, uint64 or float64; NaN when there is one"}};

union Accumulator {
  double real;
  int64_t integer;
  uint64_t natural;
};

template <bool kMax, class V>
inline V better(V a, V b) {
  if constexpr (kMax)
    return a > b ? a : b;
  else
    return a < b ? a : b;
}

/** What loses against everything. */
template <bool kMax, class T>
constexpr T worst() {
  using L = std::numeric_limits<T>;
  if constexpr (L::has_infinity)
    return kMax ? -L::infinity() : L::infinity();
  else
    return kMax ? L::min() : L::max();
}

/** Calls f with the accumulator's member that inputs of type t use. */
template <class F>
void with_member(cadre_dtype t, Accumulator& a, F&& f) {
  if (is_float(t))
    f(a.real);
  else if (is_signed(t))
    f(a.integer);
  else
    f(a.natural);
}

template <bool kMax>
int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  if (p->elements == 0) return refuse(p, "x is empty, and nothing has no %s: give at least one element", kMax ? "maximum" : "minimum");
  const cadre_dtype t = p->inputs[0].dtype;
  p->bytes = bytes_of(t);
  p->cost_ns = 0.012 * static_cast<double>(p->bytes) + 0.02;
  p->accumulator_bytes = sizeof(Accumulator);
  p->results[0] = scalar(is_float(t) ? kF64 : is_signed(t) ? kI64 : kU64);
  return CADRE_OK;
}

template <bool kMax>
void identity(const cadre_plan* p, void* accumulator) {
  with_member(p->inputs[0].dtype, *static_cast<Accumulator*>(accumulator),
              [](auto& m) { m = worst<kMax, std::remove_reference_t<decltype(m)>>(); });
}

template <bool kMax>
double real_extreme(const cadre_tensor& in, uint64_t count) {
  const Column<double> x(in);
  alignas(64) double room[kBlock];
  const Lanes start = every(worst<kMax, double>());
  Lanes best[4] = {start, start, start, start};
  Mask nan{};
  for (uint64_t at = 0; at < count; at += kBlock) {
    uint64_t n = std::min(kBlock, count - at);
    const double* v = padded(x.load(at, n, room), n, room, worst<kMax, double>());
    for (uint64_t i = 0; i < n; i += 4 * kLanes)
      for (uint64_t k = 0; k < 4; ++k) {
        const Lanes e = load(v + i + k * kLanes);
        best[k] = better<kMax>(e, best[k]);
        nan |= e != e;
      }
  }
  const Lanes all = better<kMax>(better<kMax>(best[0], best[1]), better<kMax>(best[2], best[3]));
  double result = all[0];
  for (uint64_t i = 0; i < kLanes; ++i) {
    if (nan[i]) return std::numeric_limits<double>::quiet_NaN();
    result = better<kMax>(double(all[i]), result);
  }
  return result;
}

template <bool kMax, class T>
T integer_extreme(const T* x, uint64_t n) {
  T best = worst<kMax, T>();
  for (uint64_t i = 0; i < n; ++i) best = better<kMax>(x[i], best);
  return best;
}

template <bool kMax>
int run(cadre_chunk* c) {
  const cadre_tensor& in = c->inputs[0];
  Accumulator out;
  with_member(in.dtype, out, [&](auto& m) {
    with_type(in.dtype, [&](auto t) {
      using T = decltype(t);
      if constexpr (std::is_floating_point_v<T>)
        m = static_cast<std::remove_reference_t<decltype(m)>>(real_extreme<kMax>(in, c->count));
      else
        m = static_cast<std::remove_reference_t<decltype(m)>>(integer_extreme<kMax>(static_cast<const T*>(in.data), c->count));
    });
  });
  std::memcpy(c->accumulator, &out, sizeof out);
  return CADRE_OK;
}

template <bool kMax>
void combine(const cadre_plan* p, void* into, const void* from) {
  Accumulator later = *static_cast<const Accumulator*>(from), &a = *static_cast<Accumulator*>(into);
  with_member(p->inputs[0].dtype, a, [&](auto& m) {
    std::remove_reference_t<decltype(m)> b;
    std::memcpy(&b, &later, sizeof b);
    if (b != b)
      m = b;
    else if (m == m)
      m = better<kMax>(b, m);
  });
}

int finish(cadre_finish* f) {
  std::memcpy(f->results[0].data, f->accumulator, sizeof(Accumulator));
  return CADRE_OK;
}

template <bool kMax>
constexpr cadre_kernel extreme_kernel(const char* name, const char* doc, const char* example) {
  return {.abi = CADRE_KERNEL_ABI,
          .size = sizeof(cadre_kernel),
          .name = name,
          .doc = doc,
          .accuracy = "exact; NaN when any element is NaN",
          .example = example,
          .flags = 0,
          .passes = 1,
          .n_inputs = 1,
          .n_outputs = 0,
          .n_params = 0,
          .n_results = 1,
          .inputs = kInputs,
          .outputs = nullptr,
          .params = nullptr,
          .results = kMax ? kMaxResults : kMinResults,
          .plan = plan<kMax>,
          .run = run<kMax>,
          .identity = identity<kMax>,
          .combine = combine<kMax>,
          .finish = finish,
          .state = nullptr};
}

}  // namespace

const cadre_kernel min_kernel = extreme_kernel<false>("min", "the smallest element", "cadre run min --in x.npy");
const cadre_kernel max_kernel = extreme_kernel<true>("max", "the largest element", "cadre run max --in x.npy");

}  // namespace cadre::builtin
