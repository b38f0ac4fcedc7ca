#pragma once
/* Elementwise kernels: out[i] = f(x[i], ...), computed in one type T, block by block. An output may be the same array as an input. */
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

/** out[i] = op(x[i]) with T arithmetic. */
template <class T, class Op>
int map_one(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]);
  T* out = static_cast<T*>(chunk->outputs[0].data);
  alignas(64) T room[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T* a = x.load(at, n, room);
    T* to = out + at;
#pragma GCC ivdep  // `to` is another array than `a`, or the same element for element
    for (uint64_t i = 0; i < n; ++i) to[i] = op(a[i]);
  }
  return CADRE_OK;
}

/** out[i] = op(x[i], y[i]) with T arithmetic. */
template <class T, class Op>
int map_two(cadre_chunk* chunk, Op op) {
  const Column<T> x(chunk->inputs[0]), y(chunk->inputs[1]);
  T* out = static_cast<T*>(chunk->outputs[0].data);
  alignas(64) T room_x[kBlock], room_y[kBlock];
  for (uint64_t at = 0; at < chunk->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, chunk->count - at);
    const T *a = x.load(at, n, room_x), *b = y.load(at, n, room_y);
    T* to = out + at;
#pragma GCC ivdep
    for (uint64_t i = 0; i < n; ++i) to[i] = op(a[i], b[i]);
  }
  return CADRE_OK;
}

}  // namespace cadre::builtin
