#include <cadre/kernels/builtin/keys.hpp>

namespace cadre::builtin {
namespace {

template <class T>
int find_largest(cadre_chunk* c, const char* name) {
  using U = std::make_unsigned_t<T>;
  const T* key = static_cast<const T*>(c->inputs[0].data);
  constexpr uint64_t kMost = kMostRows - 2;
  int64_t largest = -1;
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    U high = 0;  // as unsigned numbers, negative keys are the largest
    for (uint64_t i = 0; i < n; ++i) high = std::max(high, static_cast<U>(key[at + i]));
    if (high > kMost || static_cast<T>(high) < T{0}) {
      uint64_t row = at;
      while (key[row] >= T{0} && static_cast<uint64_t>(key[row]) <= kMost) ++row;
      if (key[row] < T{0})
        refuse(c, "%s is %lld: keys are not negative", name, static_cast<long long>(key[row]));
      else
        refuse(c, "%s is %llu: keys up to %llu are possible", name, static_cast<unsigned long long>(key[row]),
               static_cast<unsigned long long>(kMost));
      return bad_row(c, c->first + row);
    }
    largest = std::max(largest, static_cast<int64_t>(high));
  }
  static_cast<LargestKey*>(c->accumulator)->key = largest;
  return CADRE_OK;
}

}  // namespace

int find_largest_key(cadre_chunk* chunk, const char* name) {
  return with_type(chunk->inputs[0].dtype, [&](auto t) -> int {
    if constexpr (std::is_integral_v<decltype(t)>) return find_largest<decltype(t)>(chunk, name);
    return CADRE_BAD_DATA;
  });
}

void no_key(const cadre_plan*, void* accumulator) { static_cast<LargestKey*>(accumulator)->key = -1; }

void larger_key(const cadre_plan*, void* into, const void* from) {
  auto* a = static_cast<LargestKey*>(into);
  a->key = std::max(a->key, static_cast<const LargestKey*>(from)->key);
}

}  // namespace cadre::builtin
