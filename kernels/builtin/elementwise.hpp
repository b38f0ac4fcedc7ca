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

/** Where the results of a block go: straight to the output, or, where that is far bigger than the caches, into a block of its own that is then stored
    past them (a line that is written without having been read first saves a third of an axpy's memory traffic). */
template <class T>
class Sink {
 public:
  explicit Sink(const cadre_chunk* chunk) : out_(static_cast<T*>(chunk->outputs[0].data)), stream_((chunk->flags & CADRE_STREAM) != 0) {}
  Sink(const Sink&) = delete;
  ~Sink() {
    if (stream_) _mm_sfence();  // the chunk is told done by a later store
  }
  T* block(uint64_t at) { return stream_ ? room_ : out_ + at; }
  void store(uint64_t at, uint64_t n) {
    if (!stream_) return;
    T* to = out_ + at;
    const T* from = room_;
    // Up to a line's beginning as usual; files and slices begin anywhere.
    const uint64_t head = std::min<uint64_t>(n, (64 - reinterpret_cast<uintptr_t>(to) % 64) % 64 / sizeof(T));
    std::memcpy(to, from, head * sizeof(T));
    uint64_t i = head;
    for (; i + 64 / sizeof(T) <= n; i += 64 / sizeof(T)) stream_line(to + i, from + i);
    std::memcpy(to + i, from + i, (n - i) * sizeof(T));
  }

 private:
  static void stream_line(T* to, const T* from) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(__AVX2__)
    for (int half = 0; half < 2; ++half)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + half, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + half));
#else
    for (int quarter = 0; quarter < 4; ++quarter)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to) + quarter, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + quarter));
#endif
  }

  T* const out_;
  const bool stream_;
  alignas(64) T room_[kBlock];
};

/** out[i] = op(x[i]) with T arithmetic. */
template <class T, class Op>
int map_one(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]);
  Sink<T> sink(chunk);
  alignas(64) T room[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T* a = x.load(at, n, room);
    T* to = sink.block(at);
#pragma GCC ivdep  // `to` is another array than `a`, or the same element for element
    for (uint64_t i = 0; i < n; ++i) to[i] = op(a[i]);
    sink.store(at, n);
  }
  return CADRE_OK;
}

/** out[i] = op(x[i], y[i]) with T arithmetic. */
template <class T, class Op>
int map_two(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]), y(chunk->inputs[1]);
  Sink<T> sink(chunk);
  alignas(64) T room_x[kBlock], room_y[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T *a = x.load(at, n, room_x), *b = y.load(at, n, room_y);
    T* to = sink.block(at);
#pragma GCC ivdep
    for (uint64_t i = 0; i < n; ++i) to[i] = op(a[i], b[i]);
    sink.store(at, n);
  }
  return CADRE_OK;
}

}  // namespace cadre::builtin
