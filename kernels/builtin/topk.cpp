/* topk: the k largest elements and where they are. Each type has integers of its order (keys), so that one heap serves all; a chunk's elements are compared
   with the worst that is kept, a block at a time. */
#include <limits>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "the values", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"values", "the k largest, the largest first; NaN is larger than all, as in np.sort", CADRE_OUT_FINISH},
                                 {"index", "int64, where they are; of equals the first come first", CADRE_OUT_FINISH}};
const cadre_param kParams[] = {{"k", "how many, 1 to 100000, not more than there are", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0}};

struct Entry {
  uint64_t key;
  int64_t index;
  /** Whether this one is kept rather than the other. */
  bool operator<(const Entry& other) const { return key != other.key ? key > other.key : index < other.index; }
};
struct Kept {
  uint64_t count;
  Entry* entries() { return reinterpret_cast<Entry*>(this + 1); }
  const Entry* entries() const { return reinterpret_cast<const Entry*>(this + 1); }
};

uint64_t k_of(const cadre_plan* p) { return static_cast<uint64_t>(integer(p, 0)); }

template <class T>
uint64_t key_of(T v) {
  if constexpr (std::is_floating_point_v<T>) {
    if (v != v) return std::numeric_limits<uint64_t>::max();
    const double wide = static_cast<double>(v) + 0.0;  // -0.0 equals 0.0
    uint64_t bits;
    std::memcpy(&bits, &wide, sizeof bits);
    return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | uint64_t{1} << 63);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(v)) ^ uint64_t{1} << 63;
  } else {
    return v;
  }
}
template <class T>
T value_of(uint64_t key) {
  if constexpr (std::is_floating_point_v<T>) {
    if (key == std::numeric_limits<uint64_t>::max()) return std::numeric_limits<T>::quiet_NaN();
    const uint64_t bits = key >> 63 ? key ^ uint64_t{1} << 63 : ~key;
    double wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return static_cast<T>(wide);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(static_cast<int64_t>(key ^ uint64_t{1} << 63));
  } else {
    return static_cast<T>(key);
  }
}

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t k = integer(p, 0);
  if (k < 1 || k > 100'000 || static_cast<uint64_t>(k) > p->elements)
    return refuse(p, "k is %lld: 1 to %llu are possible", static_cast<long long>(k), static_cast<unsigned long long>(std::min<uint64_t>(p->elements, 100'000)));
  p->bytes = bytes_of(p->inputs[0].dtype);
  p->cost_ns = 0.5;
  p->grain = std::max<uint64_t>(1, static_cast<uint64_t>(k) * 16);  // an accumulator is small beside what it stands for
  p->accumulator_bytes = sizeof(Kept) + static_cast<uint64_t>(k) * sizeof(Entry);
  p->outputs[0] = vector(p->inputs[0].dtype, static_cast<uint64_t>(k));
  p->outputs[1] = vector(kI64, static_cast<uint64_t>(k));
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, p->accumulator_bytes); }

/** Keeps an entry if it is one of the k best; the heap's top is the worst of them. */
void keep(Kept& kept, uint64_t k, const Entry& entry) {
  Entry* e = kept.entries();
  if (kept.count == k) {
    if (!(entry < e[0])) return;
    std::pop_heap(e, e + k);
    e[k - 1] = entry;
  } else {
    e[kept.count++] = entry;
  }
  std::push_heap(e, e + kept.count);
}

template <class T>
void keep_chunk(const cadre_chunk* c, Kept& kept, uint64_t k) {
  const T* x = static_cast<const T*>(c->inputs[0].data);
  alignas(64) uint64_t key[kBlock];
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    uint64_t largest = 0;
    for (uint64_t i = 0; i < n; ++i) {
      key[i] = key_of(x[at + i]);
      largest = key[i] > largest ? key[i] : largest;
    }
    if (kept.count == k && largest <= kept.entries()[0].key) continue;
    for (uint64_t i = 0; i < n; ++i)
      if (kept.count < k || key[i] > kept.entries()[0].key) keep(kept, k, {key[i], static_cast<int64_t>(c->first + at + i)});
  }
}

int run(cadre_chunk* c) {
  auto& kept = *static_cast<Kept*>(c->accumulator);
  with_type(c->inputs[0].dtype, [&](auto type) { keep_chunk<decltype(type)>(c, kept, k_of(c->plan)); });
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  const auto& later = *static_cast<const Kept*>(from);
  for (uint64_t i = 0; i < later.count; ++i) keep(*static_cast<Kept*>(into), k_of(p), later.entries()[i]);
}

int finish(cadre_finish* f) {
  auto& kept = *static_cast<Kept*>(f->accumulator);
  Entry* e = kept.entries();
  std::sort(e, e + kept.count);
  with_type(f->plan->inputs[0].dtype, [&](auto type) {
    using T = decltype(type);
    if (auto* values = static_cast<T*>(f->outputs[0].data))
      for (uint64_t i = 0; i < kept.count; ++i) values[i] = value_of<T>(e[i].key);
  });
  if (auto* index = static_cast<int64_t*>(f->outputs[1].data))
    for (uint64_t i = 0; i < kept.count; ++i) index[i] = e[i].index;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel topk_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "topk", .doc = "the k largest elements and their indices", .accuracy = "exact; of equals the first",
    .example = "cadre run topk --in x.npy --param k=10 --out values=values.npy --out index=index.npy", .flags = 0, .passes = 1, .n_inputs = 1, .n_outputs = 2, .n_params = 1, .n_results = 0,
    .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = nullptr, .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
