/* matmul: C = A B for a chunk of A's rows.

   Each element of C is one chain of multiply_add() over k = 0, 1, ...: exactly the sum of the plain loop in that order. So a row's bits do
   not depend on the other rows of its call, as they do in libraries that treat the rows left over at an edge differently.

   A tile of kTileRows x kTileColumns elements of C stays in registers while it runs over kDepth columns of A. Its parts of A and B
   are packed: A by tiles (kPackedRows x kDepth, stays in the L2 cache), B by tiles (kDepth x kPackedColumns). Edges are padded with zeros,
   in lanes that nobody reads. */
#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/vector_math.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kDepth = 256, kPackedRows = 256, kPackedColumns = 192;

#if defined(__AVX512F__)
constexpr uint64_t kTileRows = 8, kTileRegisters = 3;  // 24 sums, 3 of B; A is read as a broadcast operand
#elif defined(__AVX2__)
constexpr uint64_t kTileRows = 4, kTileRegisters = 3;
#else
constexpr uint64_t kTileRows = 4, kTileRegisters = 2;
#endif

/** Registers of T; for uint64_t, whose arithmetic wraps, by the compiler's vectors. */
template <class T>
struct Wide {
  using Type = RegisterOf<T>;
};
template <>
struct Wide<uint64_t> {
  typedef uint64_t Type __attribute__((vector_size(sizeof(RegisterOf<double>))));
};
template <class T>
using WideOf = typename Wide<T>::Type;
template <class T>
constexpr uint64_t kTileColumns = kTileRegisters * sizeof(WideOf<T>) / sizeof(T);
static_assert(kPackedRows % kTileRows == 0 && kPackedColumns % kTileColumns<double> == 0 && kPackedColumns % kTileColumns<float> == 0);

const cadre_input kInputs[] = {{"A", "left matrix (m x k)", CADRE_NUMBERS, CADRE_ROWS, 2, 2},
                               {"B", "right matrix (k x n)", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutput[] = {{"out", "the product (m x n), in NumPy's common type of both", CADRE_OUT_MAP}};

cadre_dtype out_type(const cadre_plan* plan) { return promoted(plan->inputs[0].dtype, plan->inputs[1].dtype); }
/** Integers of all sizes are computed modulo 2^64, of which the smaller types are the low part. */
uint64_t computed_bytes(const cadre_plan* plan) { return out_type(plan) == kF32 ? 4 : 8; }

int plan(cadre_plan* plan) {
  if (int refused = plan_rows(plan, kInputs)) return refused;
  const cadre_shape &a = plan->inputs[0], &b = plan->inputs[1];
  if (a.shape[1] != b.shape[0])
    return refuse(plan, "A has %lld columns and B has %lld rows: they must be equal", static_cast<long long>(a.shape[1]),
                  static_cast<long long>(b.shape[0]));
  const uint64_t m = plan->elements, k = static_cast<uint64_t>(a.shape[1]), n = static_cast<uint64_t>(b.shape[1]);
  const cadre_dtype out = out_type(plan);
  plan->outputs[0] = matrix(out, m, n);
  plan->bytes = k * bytes_of(a.dtype) + n * bytes_of(out);
  plan->cost_ns = static_cast<double>(k) * static_cast<double>(n) * (is_float(out) ? 0.025 : 0.1) + 1;
  if (out == kF64) plan->operations = 2 * static_cast<double>(k) * static_cast<double>(n);
  // Every chunk packs all of B once: enough rows that this is little, but eight chunks where there are rows for them.
  plan->grain = std::clamp<uint64_t>((m / 8 + 7) / 8 * 8, 8, kPackedRows);
  plan->scratch_bytes = kDepth * (kPackedRows + kPackedColumns) * computed_bytes(plan);
  return CADRE_OK;
}

/** `rows` rows of A from `row` on, columns [depth, depth + deep), tile by tile: kTileRows elements of one column lie together. */
template <class T>
void pack_a(const Column<T>& a, uint64_t stride, uint64_t row, uint64_t rows, uint64_t depth, uint64_t deep, T* packed) {
  alignas(64) T room[kDepth];
  for (uint64_t r = 0; r < rows; r += kTileRows, packed += deep * kTileRows) {
    if (r + kTileRows > rows) std::fill(packed, packed + deep * kTileRows, T{});
    for (uint64_t i = 0; i < std::min(kTileRows, rows - r); ++i) {
      const T* from = a.load((row + r + i) * stride + depth, deep, room);
      for (uint64_t d = 0; d < deep; ++d) packed[d * kTileRows + i] = from[d];
    }
  }
}

/** `deep` rows of B from `depth` on, columns [column, column + columns), tile by tile: kTileColumns elements of one row lie together. */
template <class T>
void pack_b(const Column<T>& b, uint64_t stride, uint64_t depth, uint64_t deep, uint64_t column, uint64_t columns, T* packed) {
  constexpr uint64_t width = kTileColumns<T>;
  alignas(64) T room[kPackedColumns];
  for (uint64_t d = 0; d < deep; ++d) {
    const T* from = b.load((depth + d) * stride + column, columns, room);
    uint64_t c = 0;
    for (; c + width <= columns; c += width) std::memcpy(packed + c * deep + d * width, from + c, width * sizeof(T));
    if (c == columns) continue;
    T* to = packed + c * deep + d * width;
    for (uint64_t j = 0; j < width; ++j) to[j] = c + j < columns ? from[c + j] : T{};
  }
}

using builtin::v_fused;
inline WideOf<uint64_t> v_fused(WideOf<uint64_t> a, WideOf<uint64_t> b, WideOf<uint64_t> c) { return a * b + c; }

template <class T>
WideOf<T> load_wide(const T* p) {
  WideOf<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/** c (kTileRows rows, `stride` apart) += a tile of A times a tile of B. The loops over the tile are unrolled, so that `sum` is registers. */
template <class T>
void multiply_tile(const T* a, const T* b, uint64_t deep, T* c, uint64_t stride) {
  using V = WideOf<T>;
  constexpr uint64_t lanes = sizeof(V) / sizeof(T);
  V sum[kTileRows][kTileRegisters];
#pragma GCC unroll 8
  for (uint64_t i = 0; i < kTileRows; ++i)
#pragma GCC unroll 3
    for (uint64_t j = 0; j < kTileRegisters; ++j) sum[i][j] = load_wide(c + i * stride + j * lanes);
#pragma GCC unroll 1
  for (uint64_t d = 0; d < deep; ++d, a += kTileRows, b += kTileColumns<T>) {
    V row[kTileRegisters];
#pragma GCC unroll 3
    for (uint64_t j = 0; j < kTileRegisters; ++j) row[j] = load_wide(b + j * lanes);
#pragma GCC unroll 8
    for (uint64_t i = 0; i < kTileRows; ++i) {
      const V each = a[i] - V{};
#pragma GCC unroll 3
      for (uint64_t j = 0; j < kTileRegisters; ++j) sum[i][j] = v_fused(each, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (uint64_t i = 0; i < kTileRows; ++i)
#pragma GCC unroll 3
    for (uint64_t j = 0; j < kTileRegisters; ++j) {
      const V v = sum[i][j];
      std::memcpy(c + i * stride + j * lanes, &v, sizeof v);
    }
}

/** The same for a tile of which rows x columns elements exist, stored as Out. */
template <class T, class Out>
void multiply_at(const T* a, const T* b, uint64_t deep, Out* c, uint64_t stride, uint64_t rows, uint64_t columns) {
  constexpr uint64_t width = kTileColumns<T>;
  if constexpr (std::is_same_v<T, Out>)
    if (rows == kTileRows && columns == width) return multiply_tile(a, b, deep, c, stride);
  alignas(64) T tile[kTileRows * width] = {};
  for (uint64_t i = 0; i < rows; ++i)
    for (uint64_t j = 0; j < columns; ++j) tile[i * width + j] = static_cast<T>(c[i * stride + j]);
  multiply_tile(a, b, deep, tile, width);
  for (uint64_t i = 0; i < rows; ++i)
    for (uint64_t j = 0; j < columns; ++j) c[i * stride + j] = static_cast<Out>(tile[i * width + j]);
}

template <class T, class Out>
int multiply(cadre_chunk* chunk) {
  const Column<T> a(chunk->inputs[0]), b(chunk->inputs[1]);
  const uint64_t m = chunk->count, k = static_cast<uint64_t>(chunk->inputs[0].shape[1]), n = static_cast<uint64_t>(chunk->inputs[1].shape[1]);
  Out* c = static_cast<Out*>(chunk->outputs[0].data);
  T* packed_a = static_cast<T*>(chunk->scratch);
  T* packed_b = packed_a + kDepth * kPackedRows;
  std::fill(c, c + m * n, Out{});
  for (uint64_t r = 0; r < m; r += kPackedRows) {
    const uint64_t rows = std::min(kPackedRows, m - r);
    for (uint64_t d = 0; d < k; d += kDepth) {
      const uint64_t deep = std::min(kDepth, k - d);
      pack_a(a, k, r, rows, d, deep, packed_a);
      for (uint64_t p = 0; p < n; p += kPackedColumns) {
        const uint64_t columns = std::min(kPackedColumns, n - p);
        pack_b(b, n, d, deep, p, columns, packed_b);
        for (uint64_t j = 0; j < columns; j += kTileColumns<T>)
          for (uint64_t i = 0; i < rows; i += kTileRows)
            multiply_at(packed_a + i * deep, packed_b + j * deep, deep, c + (r + i) * n + p + j, n, std::min(kTileRows, rows - i),
                        std::min(kTileColumns<T>, columns - j));
      }
    }
  }
  return CADRE_OK;
}

int run(cadre_chunk* chunk) {
  return with_type(out_type(chunk->plan), [&](auto type) {
    using Out = decltype(type);
    return multiply<std::conditional_t<std::is_floating_point_v<Out>, Out, uint64_t>, Out>(chunk);
  });
}

}  // namespace

const cadre_kernel matmul_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "matmul", .doc = "product of two matrices",
    .accuracy = "floating point: each element within k * eps * sum|A||B|, one rounding per term on v3 and v4; integers: exact modulo 2^bits",
    .example = "cadre run matmul --in A.npy --in B.npy --out C.npy", .passes = 1, .n_inputs = 2, .n_outputs = 1, .inputs = kInputs,
    .outputs = kOutput, .plan = plan, .run = run};

}  // namespace cadre::builtin
