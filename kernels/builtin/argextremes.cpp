/* argmin and argmax: the first of equals, the first NaN where there is one, as NumPy's. A block is searched only when it holds something better than all
   blocks before it, which is found out by lanes. */
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "at least one element", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_result kMinResults[] = {{"index", "int64, of the smallest element"}};
const cadre_result kMaxResults[] = {{"index", "int64, of the largest element"}};

/** The best so far. index -1: none. Of 64-bit integers `whole` is the value (a uint64 with its top bit flipped), of all other types `real`. */
struct Best {
  double real;
  int64_t whole, index;
  int64_t nan;  // a NaN is better than all, the first one best
};

bool is_wide(cadre_dtype t) { return !is_float(t) && t.bits == 64; }

template <bool kMax, class V>
constexpr bool beats(V a, V b) {
  return kMax ? a > b : a < b;
}

template <bool kMax>
int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  if (p->elements == 0) return refuse(p, "x is empty, and nothing has no %s: give at least one element", kMax ? "maximum" : "minimum");
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = 0.012 * static_cast<double>(p->bytes) + 0.05;
  p->accumulator_bytes = sizeof(Best);
  p->results[0] = scalar(kI64);
  return CADRE_OK;
}

void identity(const cadre_plan*, void* accumulator) { *static_cast<Best*>(accumulator) = {0, 0, -1, 0}; }

/** Whether a padded block of doubles has a NaN, or something better than `best`. */
template <bool kMax>
bool has_better(const double* v, uint64_t n, double best) {
  const Lanes bound = every(best);
  Mask found{};
  for (uint64_t i = 0; i < n; i += kLanes) {
    const Lanes e = load(v + i);
    found |= (kMax ? e > bound : e < bound) | (e != e);
  }
  for (uint64_t k = 0; k < kLanes; ++k)
    if (found[k]) return true;
  return false;
}

template <bool kMax>
void search_doubles(const cadre_chunk* c, Best& best) {
  const Column<double> x(c->inputs[0]);
  alignas(64) double room[kBlock];
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t count = std::min(kBlock, c->count - at);
    const double* v = x.load(at, count, room);
    uint64_t n = count;
    alignas(64) double pads[kBlock];
    const double* whole = n % kStep == 0 ? v : padded(v, n, pads, v[0]);
    if (best.index >= 0 && !has_better<kMax>(whole, n, best.real)) continue;
    for (uint64_t i = 0; i < count; ++i) {
      if (v[i] != v[i]) {
        best = {v[i], 0, static_cast<int64_t>(c->first + at + i), 1};
        return;
      }
      if (best.index < 0 || beats<kMax>(v[i], best.real)) best.real = v[i], best.index = static_cast<int64_t>(c->first + at + i);
    }
  }
}

template <bool kMax>
void search_words(const cadre_chunk* c, Best& best) {
  const auto* x = static_cast<const int64_t*>(c->inputs[0].data);
  const int64_t flip = is_signed(c->inputs[0].dtype) ? 0 : std::numeric_limits<int64_t>::min();
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    int64_t block = x[at] ^ flip;
    for (uint64_t i = 1; i < n; ++i) {
      const int64_t v = x[at + i] ^ flip;
      block = beats<kMax>(v, block) ? v : block;
    }
    if (best.index >= 0 && !beats<kMax>(block, best.whole)) continue;
    uint64_t i = 0;
    while ((x[at + i] ^ flip) != block) ++i;
    best.whole = block;
    best.index = static_cast<int64_t>(c->first + at + i);
  }
}

template <bool kMax>
int run(cadre_chunk* c) {
  auto& best = *static_cast<Best*>(c->accumulator);
  if (is_wide(c->inputs[0].dtype))
    search_words<kMax>(c, best);
  else
    search_doubles<kMax>(c, best);
  return CADRE_OK;
}

template <bool kMax>
void combine(const cadre_plan* p, void* into, const void* from) {
  auto& a = *static_cast<Best*>(into);
  const auto& later = *static_cast<const Best*>(from);
  if (later.index < 0 || a.nan) return;
  const bool better = is_wide(p->inputs[0].dtype) ? beats<kMax>(later.whole, a.whole) : beats<kMax>(later.real, a.real);
  if (a.index < 0 || later.nan || better) a = later;
}

int finish(cadre_finish* f) {
  *static_cast<int64_t*>(f->results[0].data) = static_cast<const Best*>(f->accumulator)->index;
  return CADRE_OK;
}

template <bool kMax>
constexpr cadre_kernel kernel(const char* name, const char* doc, const char* example) {
  return {.abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = name, .doc = doc, .accuracy = "exact; the first of equals, the first NaN", .example = example,
          .flags = 0, .passes = 1, .n_inputs = 1, .n_outputs = 0, .n_params = 0, .n_results = 1, .inputs = kInputs, .outputs = nullptr, .params = nullptr,
          .results = kMax ? kMaxResults : kMinResults, .plan = plan<kMax>, .run = run<kMax>, .identity = identity, .combine = combine<kMax>, .finish = finish};
}

}  // namespace

const cadre_kernel argmin_kernel = kernel<false>("argmin", "index of the smallest element", "cadre run argmin --in x.npy");
const cadre_kernel argmax_kernel = kernel<true>("argmax", "index of the largest element", "cadre run argmax --in x.npy");

}  // namespace cadre::builtin
