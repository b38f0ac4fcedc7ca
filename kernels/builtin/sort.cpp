/* sort, in two passes. The first sorts runs of kRun elements each. In the second a chunk finds what belongs to its places: by ranks, it looks for the two keys between which
   they lie in all runs at once, takes those parts of the runs and sorts them. All of it on keys, unsigned integers of the same order, by their digits.

   Nothing depends on how values are distributed; equal keys are given to places in the order of runs. */
#include <bit>
#include <limits>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

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

/** Sorts n keys by digits of 8 or 11 bits, the lowest first; digits that all keys share are left out. Returns where the result is: `a` or `b`. */
template <class K>
K* sort_keys(K* a, K* b, uint64_t n) {
  constexpr int kBits = sizeof(K) == 1 ? 8 : sizeof(K) == 2 ? 8 : 11;
  constexpr int kDigits = (8 * sizeof(K) + kBits - 1) / kBits;
  constexpr uint64_t kBuckets = uint64_t{1} << kBits;
  uint32_t count[kDigits][kBuckets] = {};
  for (uint64_t i = 0; i < n; ++i)
    for (int d = 0; d < kDigits; ++d) ++count[d][a[i] >> (d * kBits) & (kBuckets - 1)];
  for (int d = 0; d < kDigits; ++d) {
    const int shift = d * kBits;
    uint32_t* at = count[d];
    if (n == 0 || at[a[0] >> shift & (kBuckets - 1)] == n) continue;
    uint32_t before = 0;
    for (uint64_t k = 0; k < kBuckets; ++k) {
      const uint32_t here = at[k];
      at[k] = before;
      before += here;
    }
    for (uint64_t i = 0; i < n; ++i) b[at[a[i] >> shift & (kBuckets - 1)]++] = a[i];
    std::swap(a, b);
  }
  return a;
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
    const Key<T>* sorted = sort_keys(keys, keys + kRun, length);
    for (uint64_t i = std::max(run, c->first); i < std::min(run + length, end); ++i) out[i - c->first] = value_of<T>(sorted[i - run]);
  }
}

/** Elements of a sorted run with a key of `most` at the most, of which there are between a and b. */
template <class T>
uint64_t count_up_to(const T* run, uint64_t a, uint64_t b, Key<T> most) {
  while (a < b) {
    const uint64_t middle = a + (b - a) / 2;
    if (key_of(run[middle]) <= most)
      a = middle + 1;
    else
      b = middle;
  }
  return a;
}

/** For each run, how many of its elements are among the `rank` first of all. lo gets them; hi and at are room. All are as many as there are runs. */
template <class T>
void split(const T* runs, uint64_t n, uint64_t n_runs, uint64_t rank, uint64_t* lo, uint64_t* hi, uint64_t* at) {
  using K = Key<T>;
  const auto length = [&](uint64_t r) { return std::min(kRun, n - r * kRun); };
  for (uint64_t r = 0; r < n_runs; ++r) lo[r] = 0, hi[r] = length(r);
  // Keys below `least` are certainly fewer than `rank`, those up to `most` at least as many; lo and hi count each run's elements below them.
  K least = 0, most = std::numeric_limits<K>::max();
  while (least < most) {
    const K middle = static_cast<K>(least + (most - least) / 2);
    uint64_t up_to = 0;  // elements with a key of `middle` at most
    for (uint64_t r = 0; r < n_runs; ++r) up_to += at[r] = count_up_to(runs + r * kRun, lo[r], hi[r], middle);
    const bool enough = up_to >= rank;
    bool open = false;
    for (uint64_t r = 0; r < n_runs; ++r) {
      (enough ? hi[r] : lo[r]) = at[r];
      open |= lo[r] < hi[r];
    }
    if (enough)
      most = middle;
    else
      least = static_cast<K>(middle + 1);
    if (!open) break;
  }
  // What is left between lo and hi are equals of the key at this rank: the first runs give theirs first.
  uint64_t taken = 0;
  for (uint64_t r = 0; r < n_runs; ++r) taken += lo[r];
  for (uint64_t r = 0; r < n_runs; ++r) {
    const uint64_t more = std::min(hi[r] - lo[r], rank - taken);
    lo[r] += more;
    taken += more;
  }
}

/** Writes places [first, first + count) of the sorted array. */
template <class T>
void gather(cadre_chunk* c) {
  const uint64_t n = length_of(c->plan), n_runs = runs_of(c->plan);
  const T* runs = static_cast<const T*>(c->inputs[1].data);
  T* out = static_cast<T*>(c->outputs[0].data);
  auto* from = static_cast<uint64_t*>(c->scratch);
  uint64_t *to = from + n_runs, *room = to + n_runs;
  auto* keys = reinterpret_cast<Key<T>*>(room + 2 * n_runs);
  split(runs, n, n_runs, c->first, from, room, room + n_runs);
  for (uint64_t at = c->first, end = c->first + c->count; at < end;) {
    const uint64_t some = std::min(kPart, end - at);
    split(runs, n, n_runs, at + some, to, room, room + n_runs);
    uint64_t filled = 0;
    for (uint64_t r = 0; r < n_runs; ++r)
      for (uint64_t i = from[r]; i < to[r]; ++i) keys[filled++] = key_of(runs[r * kRun + i]);
    const Key<T>* sorted = sort_keys(keys, keys + some, some);
    for (uint64_t i = 0; i < some; ++i) out[at - c->first + i] = value_of<T>(sorted[i]);
    std::swap(from, to);
    at += some;
  }
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
