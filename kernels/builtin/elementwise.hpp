#pragma once
/* Elementwise kernels: out[i] = f(x[i], ...), computed in one type T, block by block. An output may be the same array as an input. */
#include <immintrin.h>

#include <cadre/kernels/builtin/columns.hpp>

namespace cadre::builtin {

/** Plans a map with one 1-d output. `compute_ns` is the arithmetic for one element; memory is estimated here (50 GB/s a core). */
inline int plan_map(cadre_plan* plan, const cadre_input* inputs, cadre_dtype out, double compute_ns) {
  if (int refused = plan_rows(plan, inputs)) return refused;
  plan->bytes = bytes_of(out);
  for (uint32_t i = 0; i < plan->n_inputs; ++i)
    if (inputs[i].role == CADRE_ROWS) plan->bytes += bytes_of(plan->inputs[i].dtype);
  plan->cost_ns = std::max(compute_ns, static_cast<double>(plan->bytes) / 50);
  plan->outputs[0] = vector(out, plan->elements);
  return CADRE_OK;
}

/** Where results go: into the output, or, where that is far bigger than the caches, past them, a line at a time (a line that is written without having
    been read first saves a quarter of an axpy's memory traffic). */
template <class T>
class Sink {
 public:
  explicit Sink(const cadre_chunk* chunk) : out_(static_cast<T*>(chunk->outputs[0].data)), stream_((chunk->flags & CADRE_STREAM) != 0) {}
  Sink(const Sink&) = delete;
  ~Sink() {
    if (stream_) _mm_sfence();  // the chunk is told done by a later store
  }
  /** out[at + i] = f(i) for i in [0, n). What f reads is another array than the output, or the same element for element. */
  template <class F>
  void fill(uint64_t at, uint64_t n, F f) const {
    T* to = out_ + at;
    if (!stream_) {
#pragma GCC ivdep
      for (uint64_t i = 0; i < n; ++i) to[i] = f(i);
      return;
    }
    // Up to a line's beginning as usual: files and slices begin anywhere.
    uint64_t i = 0;
    for (; i < n && reinterpret_cast<uintptr_t>(to + i) % 64 != 0; ++i) to[i] = f(i);
    constexpr uint64_t kLine = 64 / sizeof(T);
    for (; i + kLine <= n; i += kLine) {
      alignas(64) T line[kLine];
      for (uint64_t k = 0; k < kLine; ++k) line[k] = f(i + k);
      stream_line(to + i, line);
    }
    for (; i < n; ++i) to[i] = f(i);
  }

 private:
  static void stream_line(T* to, const T* from) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_load_si512(from));
#elif defined(__AVX2__)
    for (int half = 0; half < 2; ++half)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + half, _mm256_load_si256(reinterpret_cast<const __m256i*>(from) + half));
#else
    for (int quarter = 0; quarter < 4; ++quarter)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to) + quarter, _mm_load_si128(reinterpret_cast<const __m128i*>(from) + quarter));
#endif
  }

  T* const out_;
  const bool stream_;
};

/** out[i] = op(x[i]) with T arithmetic. */
template <class T, class Op>
int map_one(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]);
  const Sink<T> sink(chunk);
  alignas(64) T room[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T* a = x.load(at, n, room);
    sink.fill(at, n, [a, op](uint64_t i) { return op(a[i]); });
  }
  return CADRE_OK;
}

/** out[i] = op(x[i], y[i]) with T arithmetic. */
template <class T, class Op>
int map_two(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]), y(chunk->inputs[1]);
  const Sink<T> sink(chunk);
  alignas(64) T room_x[kBlock], room_y[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T *a = x.load(at, n, room_x), *b = y.load(at, n, room_y);
    sink.fill(at, n, [a, b, op](uint64_t i) { return op(a[i], b[i]); });
  }
  return CADRE_OK;
}

}  // namespace cadre::builtin
