#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

union Accumulator {
  Running real;
  uint64_t integer;  // modulo 2^64: for signed inputs too
};

const cadre_input kInputs[] = {{"x", "what is summed", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kResults[] = {{"sum", "int64, uint64 or float64"}};

cadre_dtype sum_type(cadre_dtype t) { return is_float(t) ? kF64 : is_signed(t) ? kI64 : kU64; }

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = 0.01 * static_cast<double>(p->bytes) + 0.02;
  p->accumulator_bytes = sizeof(Accumulator);
  p->results[0] = scalar(sum_type(p->inputs[0].dtype));
  return CADRE_OK;
}

template <class T>
uint64_t integer_sum(const T* x, uint64_t n) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < n; ++i) sum += static_cast<uint64_t>(x[i]);
  return sum;
}

int run(cadre_chunk* c) {
  Accumulator out{};
  const cadre_tensor& in = c->inputs[0];
  if (is_float(in.dtype)) {
    const Column<double> x(in);
    alignas(64) double room[kBlock];
    for (uint64_t at = 0; at < c->count; at += kBlock) {
      uint64_t n = std::min(kBlock, c->count - at);
      const double* v = padded(x.load(at, n, room), n, room, 0.0);
      out.real.add(sum_block(v, n));
    }
  } else {
    out.integer = with_type(in.dtype, [&](auto t) -> uint64_t {
      if constexpr (std::is_integral_v<decltype(t)>) return integer_sum(static_cast<const decltype(t)*>(in.data), c->count);
      return 0;
    });
  }
  std::memcpy(c->accumulator, &out, sizeof out);
  return CADRE_OK;
}

void identity(const cadre_plan*, void* accumulator) { std::memset(accumulator, 0, sizeof(Accumulator)); }

void combine(const cadre_plan* p, void* into, const void* from) {
  auto* a = static_cast<Accumulator*>(into);
  const auto* b = static_cast<const Accumulator*>(from);
  if (is_float(p->inputs[0].dtype))
    a->real.add(b->real);
  else
    a->integer += b->integer;
}

int finish(cadre_finish* f) {
  const auto* a = static_cast<const Accumulator*>(f->accumulator);
  if (is_float(f->plan->inputs[0].dtype))
    *static_cast<double*>(f->results[0].data) = a->real.value();
  else
    *static_cast<uint64_t*>(f->results[0].data) = a->integer;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel sum_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "sum",
    .doc = "the sum of all elements: integers in int64 or uint64, modulo 2^64; floating point in float64",
    .accuracy =
        "integers exact modulo 2^64; else |error| <= 135 u sum|x|, u = 2^-53, for any length (blocks of 1024 by lanes, then compensated)",
    .example = "cadre run sum --in x.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 1,
    .n_outputs = 0,
    .n_params = 0,
    .n_results = 1,
    .inputs = kInputs,
    .outputs = nullptr,
    .params = nullptr,
    .results = kResults,
    .plan = plan,
    .run = run,
    .identity = identity,
    .combine = combine,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
