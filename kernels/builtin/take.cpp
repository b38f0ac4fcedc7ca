/* take: out[i] = x[index[i]]. A negative index counts from the end, as in NumPy. */
#include <limits>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "what is taken from", CADRE_NUMBERS, CADRE_WHOLE, 1, 1},
                               {"index", "places in x, -len(x) to len(x) - 1; the negative ones count from the end", CADRE_INTEGERS,
                                CADRE_ROWS, 1, 1}};
const cadre_output kOutput[] = {{"out", "x[index[i]], of x's type and index's length", CADRE_OUT_MAP}};

int plan(cadre_plan* plan) {
  if (int refused = plan_rows(plan, kInputs)) return refused;
  const uint64_t element = bytes_of(plan->inputs[0].dtype);
  plan->bytes = bytes_of(plan->inputs[1].dtype) + element + 64;  // a cache line for each element taken
  const bool in_cache = static_cast<uint64_t>(plan->inputs[0].shape[0]) * element < (1u << 20);
  plan->cost_ns = in_cache ? 0.6 : 5;
  plan->outputs[0] = vector(plan->inputs[0].dtype, plan->elements);
  return CADRE_OK;
}

/** Loads a block of indexes and turns the negative ones; false when one is out of range. */
template <class Index>
bool load_places(const Index* index, uint64_t n, int64_t length, uint64_t* places) {
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < n; ++i) {
    int64_t at = static_cast<int64_t>(index[i]);
    if constexpr (std::is_signed_v<Index>)
      at += at < 0 ? length : 0;
    // What is still negative, or a uint64 beyond int64, is above every length as an unsigned number.
    places[i] = static_cast<uint64_t>(at);
    wrong |= static_cast<uint64_t>(at) >= static_cast<uint64_t>(length);
  }
  return wrong == 0;
}

template <class Index>
int report(cadre_chunk* chunk, const Index* index, const uint64_t* places, uint64_t at, uint64_t length) {
  uint64_t i = 0;
  while (places[i] < length) ++i;
  const auto n = static_cast<unsigned long long>(length);
  if constexpr (std::is_signed_v<Index>)
    refuse(chunk, "index %lld is out of range for x of length %llu", static_cast<long long>(index[i]), n);
  else
    refuse(chunk, "index %llu is out of range for x of length %llu", static_cast<unsigned long long>(index[i]), n);
  return bad_row(chunk, chunk->first + at + i);
}

/** Word: an unsigned integer of the element's size. Loads from random places take long and are independent: the more of them under way the
    better, so the lines are asked for kAhead elements before their use. In steps so short that indexes are read between them, not for long at a time. */
template <class Word, class Index>
int take(cadre_chunk* chunk) {
  constexpr uint64_t kStep = 16, kAhead = 3 * kStep, kRing = kAhead + kStep;
  const Word* x = static_cast<const Word*>(chunk->inputs[0].data);
  const Index* index = static_cast<const Index*>(chunk->inputs[1].data);
  Word* out = static_cast<Word*>(chunk->outputs[0].data);
  const int64_t length = chunk->inputs[0].shape[0];
  const uint64_t count = chunk->count;
  alignas(64) uint64_t ring[kRing] = {};
  const auto ask = [&](uint64_t from) -> int {
    if (from >= count) return CADRE_OK;
    const uint64_t n = std::min(kStep, count - from);
    uint64_t* places = ring + from % kRing;
    if (!load_places(index + from, n, length, places)) return report(chunk, index + from, places, from, static_cast<uint64_t>(length));
    for (uint64_t i = 0; i < n; ++i) __builtin_prefetch(x + places[i]);
    return CADRE_OK;
  };
  for (uint64_t from = 0; from < kAhead; from += kStep)
    if (int refused = ask(from)) return refused;
  for (uint64_t at = 0; at < count; at += kStep) {
    if (int refused = ask(at + kAhead)) return refused;
    const uint64_t n = std::min(kStep, count - at);
    const uint64_t* places = ring + at % kRing;
    for (uint64_t i = 0; i < n; ++i) out[at + i] = x[places[i]];
  }
  return CADRE_OK;
}

int run(cadre_chunk* chunk) {
  return with_type(chunk->inputs[1].dtype, [&](auto type) -> int {
    using Index = decltype(type);
    if constexpr (std::is_integral_v<Index>) {
      switch (bytes_of(chunk->inputs[0].dtype)) {
        case 1: return take<uint8_t, Index>(chunk);
        case 2: return take<uint16_t, Index>(chunk);
        case 4: return take<uint32_t, Index>(chunk);
        default: return take<uint64_t, Index>(chunk);
      }
    }
    return refuse(chunk, "index must be of an integer type");
  });
}

}  // namespace

const cadre_kernel take_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "take", .doc = "elements of x at the given places",
    .accuracy = "exact", .example = "cadre run take --in x.npy --in index.npy --out y.npy", .passes = 1, .n_inputs = 2, .n_outputs = 1,
    .inputs = kInputs, .outputs = kOutput, .plan = plan, .run = run};

}  // namespace cadre::builtin
