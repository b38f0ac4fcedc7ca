/* sort, by runs (sorted_runs.hpp): all of it on keys, unsigned integers of the order of the values. */
#include <bit>
#include <limits>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/sorted_runs.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "what is sorted", CADRE_NUMBERS, CADRE_WHOLE, 1, 1}};
const cadre_output kOutputs[] = {{"out", "the type of x", CADRE_OUT_MAP}};

constexpr uint64_t kRun = uint64_t{1} << 17;   // elements that are sorted at once: they and their copy stay near the core
constexpr uint64_t kPart = uint64_t{1} << 19;  // places of a chunk of the second pass: finding its parts is little beside sorting them

uint64_t length_of(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[0].shape[0]); }
uint64_t runs_of(const cadre_plan* p) { return (length_of(p) + kRun - 1) / kRun; }

template <uint64_t kBytes>
struct Unsigned;
template <> struct Unsigned<1> { using Type = uint8_t; };
template <> struct Unsigned<2> { using Type = uint16_t; };
template <> struct Unsigned<4> { using Type = uint32_t; };
template <> struct Unsigned<8> { using Type = uint64_t; };
template <class T>
using Key = typename Unsigned<sizeof(T)>::Type;

/** Keys of the order of their values; every NaN has the highest, as in NumPy. */
template <class T>
Key<T> key_of(T v) {
  using K = Key<T>;
  constexpr K kSign = static_cast<K>(K{1} << (8 * sizeof(K) - 1));
  K bits;
  std::memcpy(&bits, &v, sizeof bits);
  if constexpr (std::is_floating_point_v<T>) {
    if (v != v) return std::numeric_limits<K>::max();
    return bits & kSign ? static_cast<K>(~bits) : static_cast<K>(bits | kSign);
  }
  return std::is_signed_v<T> ? static_cast<K>(bits ^ kSign) : bits;
}
template <class T>
T value_of(Key<T> key) {
  using K = Key<T>;
  constexpr K kSign = static_cast<K>(K{1} << (8 * sizeof(K) - 1));
  K bits = key;
  if constexpr (std::is_floating_point_v<T>) {
    if (key == std::numeric_limits<K>::max()) return std::numeric_limits<T>::quiet_NaN();
    bits = key & kSign ? static_cast<K>(key ^ kSign) : static_cast<K>(~key);
  } else if (std::is_signed_v<T>) {
    bits = static_cast<K>(key ^ kSign);
  }
  T v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

int plan(cadre_plan* p) {
  const uint64_t n = length_of(p), size = bytes_of(p->inputs[0].dtype);
  p->elements = n;
  p->bytes = 2 * size;
  p->cost_ns = 1 + 1.4 * static_cast<double>(size);
  p->grain = p->pass == 0 ? kRun : kPart;
  if (p->pass == 0) {
    p->scratch_bytes = 2 * kRun * size;
    p->carried = p->inputs[0];
    return CADRE_OK;
  }
  p->scratch_bytes = 2 * std::min(kPart, std::max<uint64_t>(n, 1)) * size + 4 * (runs_of(p) + 1) * sizeof(uint64_t);
  p->outputs[0] = p->inputs[0];
  return CADRE_OK;
}

/** Writes elements [first, first + count) of the array of sorted runs. */
template <class T>
void sort_runs(cadre_chunk* c) {
  const uint64_t n = length_of(c->plan), end = c->first + c->count;
  const T* x = static_cast<const T*>(c->inputs[0].data);
  T* out = static_cast<T*>(c->outputs[0].data);
  auto* keys = static_cast<Key<T>*>(c->scratch);
  for (uint64_t run = c->first / kRun * kRun; run < end; run += kRun) {
    const uint64_t length = std::min(kRun, n - run);
    for (uint64_t i = 0; i < length; ++i) keys[i] = key_of(x[run + i]);
    const Key<T>* sorted = sort_by_key(keys, keys + kRun, length, [](Key<T> key) { return key; });
    for (uint64_t i = std::max(run, c->first); i < std::min(run + length, end); ++i) out[i - c->first] = value_of<T>(sorted[i - run]);
  }
}

/** Writes places [first, first + count) of the sorted array. */
template <class T>
void gather(cadre_chunk* c) {
  const uint64_t n = length_of(c->plan);
  T* out = static_cast<T*>(c->outputs[0].data);
  auto* bounds = static_cast<uint64_t*>(c->scratch);
  const auto key = [](T v) { return key_of(v); };
  const SortedRuns runs(static_cast<const T*>(c->inputs[1].data), n, kRun, key);
  runs.gather(c->first, c->count, kPart, bounds, reinterpret_cast<Key<T>*>(bounds + 4 * runs_of(c->plan)), key, [](Key<T> kept) { return kept; },
              [&](uint64_t at, const Key<T>* sorted, uint64_t some) {
                for (uint64_t i = 0; i < some; ++i) out[at - c->first + i] = value_of<T>(sorted[i]);
              });
}

int run(cadre_chunk* c) {
  if (c->count == 0) return CADRE_OK;
  with_type(c->inputs[0].dtype, [&](auto type) {
    using T = decltype(type);
    if (c->pass == 0)
      sort_runs<T>(c);
    else
      gather<T>(c);
  });
  return CADRE_OK;
}

}  // namespace

const cadre_kernel sort_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "sort", .doc = "sorted copy, as np.sort(x); NaN last, -0 before 0", .accuracy = "exact; every NaN comes out as the same quiet one",
    .example = "cadre run sort --in x.npy --out out.npy", .flags = 0, .passes = 2, .n_inputs = 1, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = kInputs, .outputs = kOutputs,
    .params = nullptr, .results = nullptr, .plan = plan, .run = run};

}  // namespace cadre::builtin
