/* quantiles: exact order statistics without sorting. A double's bits, with the sign turned, are an integer of the same order; its digits of kBits bits are
   counted from the highest down, one digit in each pass, for those elements alone that begin like an element that is sought. After the last digit the
   elements are known to the bit.

   What is sought travels from pass to pass in the accumulator: finish() leaves the prefixes in it, the next pass finds them in plan->previous. */
#include <limits>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

constexpr uint32_t kMostQuantiles = 32, kBits = 13, kPasses = 5;
constexpr uint64_t kBuckets = uint64_t{1} << kBits;

const cadre_input kInputs[] = {{"x", "at least one element", CADRE_NUMBERS, CADRE_ROWS, 1, 1}, {"q", "at most 32 probabilities from 0 to 1", CADRE_FLOATS, CADRE_WHOLE, 1, 1}};
const cadre_output kOutputs[] = {{"out", "float64, one quantile for each probability; NaN when x has one", CADRE_OUT_FINISH}};

/** An element that is sought: the one of rank `rank` (from 0) among those whose highest digits are `prefix`, which table `table` counts. */
struct Sought {
  uint64_t prefix, rank;
  uint32_t table, reserved;
};

struct Head {
  uint64_t nan, filled;
  double q[kMostQuantiles];
  uint32_t tables, reserved;
  uint64_t prefix[2 * kMostQuantiles];  // of each table
  Sought sought[2 * kMostQuantiles];    // of quantile k: 2k below, 2k + 1 above
};

uint32_t quantiles_of(const cadre_plan* p) { return static_cast<uint32_t>(p->inputs[1].shape[0]); }
const Head* before(const cadre_plan* p) { return p->pass == 0 ? nullptr : static_cast<const Head*>(p->previous); }
uint32_t tables_of(const cadre_plan* p) { return p->pass == 0 || !p->previous ? 1 : before(p)->tables; }
uint64_t* counts_of(void* accumulator) { return reinterpret_cast<uint64_t*>(static_cast<Head*>(accumulator) + 1); }
const uint64_t* counts_of(const void* accumulator) { return reinterpret_cast<const uint64_t*>(static_cast<const Head*>(accumulator) + 1); }

/** The lowest bit of the digit of a pass; the last digit is shorter. */
uint32_t shift_of(uint32_t pass) { return pass + 1 < kPasses ? 64 - kBits * (pass + 1) : 0; }
uint32_t bits_of(uint32_t pass) { return pass + 1 < kPasses ? kBits : 64 - kBits * (kPasses - 1); }

uint64_t key_of(double v) {
  uint64_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | uint64_t{1} << 63);
}
double value_of(uint64_t key) {
  const uint64_t bits = key >> 63 ? key ^ uint64_t{1} << 63 : ~key;
  double v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  if (p->elements == 0) return refuse(p, "x is empty, and nothing has no quantiles: give at least one element");
  const int64_t k = p->inputs[1].shape[0];
  if (k < 1 || k > kMostQuantiles) return refuse(p, "q has %lld probabilities: 1 to %u are possible", static_cast<long long>(k), kMostQuantiles);
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = p->pass == 0 ? 1.0 : 0.3 + 0.2 * tables_of(p);
  p->grain = std::max<uint64_t>(uint64_t{1} << 16, p->elements / 256);  // an accumulator is small beside what it counts
  p->accumulator_bytes = sizeof(Head) + tables_of(p) * kBuckets * sizeof(uint64_t);
  p->outputs[0] = vector(kF64, static_cast<uint64_t>(k));
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, sizeof(Head) + tables_of(p) * kBuckets * sizeof(uint64_t)); }

int run(cadre_chunk* c) {
  auto& head = *static_cast<Head*>(c->accumulator);
  uint64_t* counts = counts_of(c->accumulator);
  const uint32_t quantiles = quantiles_of(c->plan), shift = shift_of(c->pass), tables = tables_of(c->plan);
  Column<double>(c->inputs[1]).copy(0, quantiles, head.q);
  head.filled = 1;
  for (uint32_t k = 0; k < quantiles; ++k)
    if (!(head.q[k] >= 0 && head.q[k] <= 1)) {
      refuse(c, "q[%u] is %g: probabilities are from 0 to 1", k, head.q[k]);
      return bad_row(c, k);
    }
  const Column<double> x(c->inputs[0]);
  alignas(64) double room[kBlock];
  alignas(64) uint64_t key[kBlock];
  uint64_t nan = 0;
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    const double* v = x.load(at, n, room);
    for (uint64_t i = 0; i < n; ++i) {
      nan += v[i] != v[i];
      key[i] = key_of(v[i]);
    }
    if (c->pass == 0) {
      for (uint64_t i = 0; i < n; ++i) ++counts[key[i] >> shift];
      continue;
    }
    const uint32_t above = shift + bits_of(c->pass);
    const uint64_t digits = (uint64_t{1} << bits_of(c->pass)) - 1;
    for (uint32_t t = 0; t < tables; ++t) {
      const uint64_t prefix = before(c->plan)->prefix[t];
      uint64_t* table = counts + t * kBuckets;
      for (uint64_t i = 0; i < n; ++i)
        if (key[i] >> above == prefix) ++table[key[i] >> shift & digits];
    }
  }
  head.nan = nan;
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  auto& a = *static_cast<Head*>(into);
  const auto& b = *static_cast<const Head*>(from);
  a.nan += b.nan;
  if (b.filled) {
    std::memcpy(a.q, b.q, sizeof a.q);
    a.filled = 1;
  }
  for (uint64_t i = 0; i < tables_of(p) * kBuckets; ++i) counts_of(into)[i] += counts_of(from)[i];
}

/** np.quantile's: the lower element at floor(q (n - 1)), the upper one behind it. */
void seek(Head& head, uint32_t quantiles, uint64_t n) {
  for (uint32_t k = 0; k < quantiles; ++k) {
    const auto below = static_cast<uint64_t>(head.q[k] * static_cast<double>(n - 1));
    head.sought[2 * k] = {0, std::min(below, n - 1), 0, 0};
    head.sought[2 * k + 1] = {0, std::min(below + 1, n - 1), 0, 0};
  }
}

/** NumPy's for an array of probabilities, infinities included: it takes the way between two neighbours even where none of it is gone, and inf - inf and
    0 * inf are NaN. */
double between(double a, double b, double t) {
  const double way = b - a;
  return t >= 0.5 ? b - way * (1 - t) : a + way * t;
}

int finish(cadre_finish* f) {
  auto& head = *static_cast<Head*>(f->accumulator);
  const uint64_t* counts = counts_of(f->accumulator);
  const uint32_t quantiles = quantiles_of(f->plan), bits = bits_of(f->pass);
  if (const Head* last = before(f->plan))
    std::memcpy(head.sought, last->sought, sizeof head.sought);
  else
    seek(head, quantiles, f->plan->elements);
  head.tables = 0;
  for (uint32_t s = 0; s < 2 * quantiles; ++s) {
    Sought& one = head.sought[s];
    const uint64_t* table = counts + one.table * kBuckets;
    uint64_t digit = 0;
    while (digit + 1 < kBuckets && one.rank >= table[digit]) one.rank -= table[digit++];
    one.prefix = one.prefix << bits | digit;
    uint32_t t = 0;
    while (t < head.tables && head.prefix[t] != one.prefix) ++t;
    if (t == head.tables) head.prefix[head.tables++] = one.prefix;
    one.table = t;
  }
  if (f->pass + 1 < kPasses || !f->outputs[0].data) return CADRE_OK;
  auto* out = static_cast<double*>(f->outputs[0].data);
  for (uint32_t k = 0; k < quantiles; ++k) {
    const double most = static_cast<double>(f->plan->elements - 1), position = head.q[k] * most;
    const double t = position >= most ? position + 1 : position - std::floor(position);  // at the end NumPy counts from -1: it decides about the zero's sign
    out[k] = head.nan ? std::numeric_limits<double>::quiet_NaN() : between(value_of(head.sought[2 * k].prefix), value_of(head.sought[2 * k + 1].prefix), t);
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel quantiles_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "quantiles", .doc = "quantiles, as np.quantile(x, q)",
    .accuracy = "exact elements; interpolated between two of them as NumPy does, which makes NaN where one of the two is infinite; integers as float64", .example = "cadre run quantiles --in x.npy --in q.npy --out out.npy",
    .flags = 0, .passes = kPasses, .n_inputs = 2, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = kInputs, .outputs = kOutputs, .params = nullptr, .results = nullptr,
    .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
