#include <cadre/kernels/plugin/support.h>

#include <Random123/philox.h>
#include <immintrin.h>

#include <cstring>

namespace {

template <class From, class To>
void convert(const void* data, uint64_t n, To* to) {
  const From* from = static_cast<const From*>(data);
  for (uint64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

template <class To>
void convert_integer(cadre_dtype type, const void* data, uint64_t n, To* to) {
  const bool natural = type.code == CADRE_UINT;
  switch (type.bits) {
    case 8: return natural ? convert<uint8_t>(data, n, to) : convert<int8_t>(data, n, to);
    case 16: return natural ? convert<uint16_t>(data, n, to) : convert<int16_t>(data, n, to);
    case 32: return natural ? convert<uint32_t>(data, n, to) : convert<int32_t>(data, n, to);
    default: return natural ? convert<uint64_t>(data, n, to) : convert<int64_t>(data, n, to);
  }
}

}  // namespace

void cadre_to_double(cadre_dtype from, const void* data, uint64_t n, double* to) {
  if (from.code != CADRE_FLOAT) return convert_integer(from, data, n, to);
  from.bits == 64 ? convert<double>(data, n, to) : convert<float>(data, n, to);
}

void cadre_to_int64(cadre_dtype from, const void* data, uint64_t n, int64_t* to) { convert_integer(from, data, n, to); }

namespace {

// Stores as wide as the CPU has them: those of 16 bytes take a quarter of the time of a loop with an exp in it.
using Lines = void (*)(char* to, const char* from, uint64_t lines);
void lines_of_16(char* to, const char* from, uint64_t lines) {
  for (uint64_t k = 0; k < 4 * lines; ++k) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + k, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + k));
}
__attribute__((target("avx"))) void lines_of_32(char* to, const char* from, uint64_t lines) {
  for (uint64_t k = 0; k < 2 * lines; ++k) _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + k, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + k));
}
__attribute__((target("avx512f"))) void lines_of_64(char* to, const char* from, uint64_t lines) {
  for (uint64_t k = 0; k < lines; ++k) _mm512_stream_si512(reinterpret_cast<__m512i*>(to) + k, _mm512_loadu_si512(from + 64 * k));
}

}  // namespace

void cadre_stream(void* to, const void* from, uint64_t bytes) {
  auto* t = static_cast<char*>(to);
  const auto* f = static_cast<const char*>(from);
  // Whole lines only: a line that is written half past the caches is read first.
  uint64_t head = (64 - reinterpret_cast<uintptr_t>(t) % 64) % 64;
  if (head > bytes) head = bytes;
  std::memcpy(t, f, head);
  static const Lines lines = __builtin_cpu_supports("avx512f") ? lines_of_64 : __builtin_cpu_supports("avx") ? lines_of_32 : lines_of_16;
  const uint64_t whole = (bytes - head) / 64;
  lines(t + head, f + head, whole);
  const uint64_t at = head + 64 * whole;
  std::memcpy(t + at, f + at, bytes - at);
}

void cadre_stream_end(void) { _mm_sfence(); }

void cadre_random_block(uint64_t seed, uint64_t element, uint64_t block, uint32_t words[4]) {
  const philox4x32_ctr_t counter = {{static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32), static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32)}};
  const philox4x32_key_t key = {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  const philox4x32_ctr_t out = philox4x32(counter, key);
  std::memcpy(words, out.v, sizeof out.v);
}
