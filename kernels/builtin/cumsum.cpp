/* cumsum in two passes: sums of blocks, whose running sum is taken by finish(), then each block from what lies before it. A chunk that begins within a block, as
   --chunk may have it, adds up what comes before it there once more. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "what is added up", CADRE_NUMBERS, CADRE_WHOLE, 1, 1}};
const cadre_output kOutputs[] = {{"out", "out[i] = x[0] + ... + x[i]; int64 or uint64, which wrap, for integers, else the type of x", CADRE_OUT_MAP}};

constexpr uint64_t kBlocks = 4096;  // at most

uint64_t block_of(const cadre_plan* p) {
  const uint64_t n = static_cast<uint64_t>(p->inputs[0].shape[0]), even = (n + kBlocks - 1) / kBlocks;
  return std::max<uint64_t>((even + kBlock - 1) / kBlock * kBlock, 32 * kBlock);
}
uint64_t blocks_of(const cadre_plan* p) { return (p->elements + block_of(p) - 1) / block_of(p); }

/** A sum of reals or of integers. */
struct Total {
  Running real;
  uint64_t whole;

  void add(const Total& later) {
    real.add(later.real);
    whole += later.whole;
  }
};

uint64_t bytes_of_table(const cadre_plan* p) { return std::max<uint64_t>(blocks_of(p), 1) * sizeof(Total); }

int plan(cadre_plan* p) {
  const cadre_dtype x = p->inputs[0].dtype;
  p->elements = static_cast<uint64_t>(p->inputs[0].shape[0]);
  p->grain = block_of(p);
  p->bytes = bytes_of(x);
  p->cost_ns = 0.2;
  if (p->pass == 0) {
    p->accumulator_bytes = bytes_of_table(p);
  } else {
    p->outputs[0] = vector(is_float(x) ? x : is_signed(x) ? kI64 : kU64, p->elements);
    p->bytes += bytes_of(p->outputs[0].dtype);
    p->cost_ns = 1;
  }
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, bytes_of_table(p)); }

/** Adds elements [from, to) to `total`. */
void add(const cadre_tensor& x, uint64_t from, uint64_t to, Total& total) {
  if (is_float(x.dtype)) {
    alignas(64) double room[kBlock];
    const Column<double> values(x);
    for (uint64_t at = from; at < to; at += kBlock) {
      uint64_t n = std::min(kBlock, to - at);
      const double* v = values.load(at, n, room);
      v = padded(v, n, room, 0.0);
      total.real.add(sum_block(v, n));
    }
    return;
  }
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const T* v = static_cast<const T*>(x.data);
    for (uint64_t i = from; i < to; ++i) total.whole += static_cast<uint64_t>(v[i]);
  });
}

/** Writes the sums up to each of the elements [first, end) of the block that begins at `block`; `before` is the sum of all before the block. It is added up as in the first
    pass, by steps of kBlock, and within a step one element after the other. */
template <class T>
void sums_of_reals(const cadre_tensor& x, uint64_t block, uint64_t first, uint64_t end, Total before, T* out) {
  const Column<double> values(x);
  alignas(64) double room[kBlock];
  for (uint64_t at = block; at < end; at += kBlock) {
    const uint64_t most = std::min(kBlock, static_cast<uint64_t>(x.shape[0]) - at);
    uint64_t n = most;
    const double* v = values.load(at, n, room);
    if (at + most > first) {
      double sum = before.real.value();
      for (uint64_t i = 0; i < most && at + i < end; ++i) {
        sum += v[i];
        if (at + i >= first) out[at + i - first] = static_cast<T>(sum);
      }
    }
    v = padded(v, n, room, 0.0);
    before.real.add(sum_block(v, n));
  }
}

template <class T>
void sums_of_integers(const T* v, uint64_t block, uint64_t first, uint64_t end, uint64_t sum, uint64_t* out) {
  for (uint64_t i = block; i < first; ++i) sum += static_cast<uint64_t>(v[i]);
  for (uint64_t i = first; i < end; ++i) out[i - first] = sum += static_cast<uint64_t>(v[i]);
}

int run(cadre_chunk* c) {
  const uint64_t block = block_of(c->plan), end = c->first + c->count;
  const cadre_tensor& x = c->inputs[0];
  if (c->pass == 0) {
    auto* table = static_cast<Total*>(c->accumulator);
    for (uint64_t at = c->first; at < end;) {
      const uint64_t next = std::min(end, (at / block + 1) * block);
      add(x, at, next, table[at / block]);
      at = next;
    }
    return CADRE_OK;
  }
  const auto* before = static_cast<const Total*>(c->plan->previous);
  for (uint64_t at = c->first; at < end;) {
    const uint64_t b = at / block, next = std::min(end, (b + 1) * block);
    if (x.dtype == kF64)
      sums_of_reals(x, b * block, at, next, before[b], static_cast<double*>(c->outputs[0].data) + (at - c->first));
    else if (x.dtype == kF32)
      sums_of_reals(x, b * block, at, next, before[b], static_cast<float*>(c->outputs[0].data) + (at - c->first));
    else
      with_type(x.dtype, [&](auto type) {
        sums_of_integers(static_cast<const decltype(type)*>(x.data), b * block, at, next, before[b].whole, static_cast<uint64_t*>(c->outputs[0].data) + (at - c->first));
      });
    at = next;
  }
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  for (uint64_t i = 0; i < blocks_of(p); ++i) static_cast<Total*>(into)[i].add(static_cast<const Total*>(from)[i]);
}

/** In the place of each block's sum, that of all blocks before it. */
int finish(cadre_finish* f) {
  if (f->pass == 1) return CADRE_OK;
  auto* table = static_cast<Total*>(f->accumulator);
  Total sum{};
  for (uint64_t i = 0; i < blocks_of(f->plan); ++i) {
    const Total before = sum;
    sum.add(table[i]);
    table[i] = before;
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel cumsum_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "cumsum", .doc = "running sum, as np.cumsum(x)",
    .accuracy = "integers: exact modulo 2^64; reals are added up in float64: |error of out[i]| <= 1100 u sum |x[0..i]|, u = 2^-53, for any number of them",
    .example = "cadre run cumsum --in x.npy --out out.npy", .flags = 0, .passes = 2, .n_inputs = 1, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = kInputs, .outputs = kOutputs, .params = nullptr,
    .results = nullptr, .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
