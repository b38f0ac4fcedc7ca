/* spmv: a sparse matrix in CSR form (as scipy.sparse.csr_matrix: data, indices, indptr) times a vector. A row is one element of the index space. */
#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"data", "the entries, row by row", CADRE_FLOATS, CADRE_WHOLE, 1, 1},
                               {"indices", "the column of each entry", CADRE_I32 | CADRE_I64, CADRE_WHOLE, 1, 1},
                               {"indptr", "where each row begins in them, and the end: rows + 1 numbers", CADRE_I32 | CADRE_I64, CADRE_WHOLE, 1, 1},
                               {"x", "the vector", CADRE_FLOATS, CADRE_WHOLE, 1, 1}};
const cadre_output kOutput[] = {{"out", "float64, one number for each row of the matrix", CADRE_OUT_MAP}};

int plan(cadre_plan* p) {
  const int64_t entries = p->inputs[0].shape[0], ends = p->inputs[2].shape[0];
  if (p->inputs[1].shape[0] != entries)
    return refuse(p, "data has %lld entries and indices has %lld: they belong together", static_cast<long long>(entries), static_cast<long long>(p->inputs[1].shape[0]));
  if (ends < 1) return refuse(p, "indptr is empty: it has one number more than the matrix has rows");
  p->elements = static_cast<uint64_t>(ends - 1);
  const double per_row = p->elements ? static_cast<double>(entries) / static_cast<double>(p->elements) : 0;
  p->cost_ns = 2 + 1.2 * per_row;
  p->operations = 2 * per_row;
  p->bytes = 16 + static_cast<uint64_t>(12 * per_row);
  p->outputs[0] = vector(kF64, p->elements);
  return CADRE_OK;
}

template <class Value, class Index, class Offset, class X>
int multiply(cadre_chunk* c) {
  const auto* data = static_cast<const Value*>(c->inputs[0].data);
  const auto* indices = static_cast<const Index*>(c->inputs[1].data);
  const auto* ends = static_cast<const Offset*>(c->inputs[2].data) + c->first;
  const auto* x = static_cast<const X*>(c->inputs[3].data);
  const auto entries = c->plan->inputs[0].shape[0];
  const auto columns = static_cast<uint64_t>(c->plan->inputs[3].shape[0]);
  auto* out = static_cast<double*>(c->outputs[0].data);
  for (uint64_t row = 0; row < c->count; ++row) {
    const int64_t from = ends[row], to = ends[row + 1];
    if (from < 0 || to < from || to > entries) {
      refuse(c, "indptr says entries %lld to %lld, of %lld", static_cast<long long>(from), static_cast<long long>(to), static_cast<long long>(entries));
      return bad_row(c, c->first + row);
    }
    double sum = 0;
    for (int64_t k = from; k < to; ++k) {
      const auto column = static_cast<uint64_t>(static_cast<int64_t>(indices[k]));
      if (column >= columns) {
        refuse(c, "column %lld is not in 0 to %lld", static_cast<long long>(indices[k]), static_cast<long long>(columns) - 1);
        return bad_row(c, c->first + row);
      }
      sum += static_cast<double>(data[k]) * static_cast<double>(x[column]);
    }
    out[row] = sum;
  }
  return CADRE_OK;
}

template <class Value, class Index, class Offset>
int with_vector(cadre_chunk* c) {
  return c->inputs[3].dtype == kF64 ? multiply<Value, Index, Offset, double>(c) : multiply<Value, Index, Offset, float>(c);
}
template <class Value, class Index>
int with_offset(cadre_chunk* c) {
  return c->inputs[2].dtype == kI64 ? with_vector<Value, Index, int64_t>(c) : with_vector<Value, Index, int32_t>(c);
}
template <class Value>
int with_index(cadre_chunk* c) {
  return c->inputs[1].dtype == kI64 ? with_offset<Value, int64_t>(c) : with_offset<Value, int32_t>(c);
}
int run(cadre_chunk* c) { return c->inputs[0].dtype == kF64 ? with_index<double>(c) : with_index<float>(c); }

}  // namespace

const cadre_kernel spmv_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "spmv", .doc = "sparse matrix (CSR) times vector, as scipy.sparse.csr_matrix((data, indices, indptr)) @ x",
    .accuracy = "entries added in their order in float64: n u sum |data x|, u = 2^-53, n entries in the row",
    .example = "cadre run spmv --in data.npy --in indices.npy --in indptr.npy --in x.npy --out out.npy", .flags = 0, .passes = 1, .n_inputs = 4, .n_outputs = 1, .n_params = 0,
    .n_results = 0, .inputs = kInputs, .outputs = kOutput, .params = nullptr, .results = nullptr, .plan = plan, .run = run};

}  // namespace cadre::builtin
