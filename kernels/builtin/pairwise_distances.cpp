/* pairwise_distances: from every row of X to every row of Y. Rows of Y are turned, a block at a time, so that one coordinate of many of them is one vector. */
#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "n x d, points", CADRE_NUMBERS, CADRE_ROWS, 2, 2}, {"Y", "m x d, points", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutput[] = {{"out", "float64, n x m Euclidean distances", CADRE_OUT_MAP}};
constexpr uint64_t kPoints = 128, kRows = 32;

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t d = p->inputs[0].shape[1], m = p->inputs[1].shape[0];
  if (p->inputs[1].shape[1] != d)
    return refuse(p, "X has %lld columns and Y has %lld: give points of one dimension", static_cast<long long>(d), static_cast<long long>(p->inputs[1].shape[1]));
  p->operations = 3 * static_cast<double>(m) * static_cast<double>(d);  // differences, squares, their sums
  p->cost_ns = 1 + static_cast<double>(m) * (0.6 + 0.12 * static_cast<double>(d));
  p->bytes = 8 * static_cast<uint64_t>(m + d);
  p->grain = kRows;
  p->scratch_bytes = sizeof(double) * static_cast<uint64_t>(d) * (2 * kPoints + kRows);
  p->outputs[0] = matrix(kF64, p->elements, static_cast<uint64_t>(m));
  return CADRE_OK;
}

int run(cadre_chunk* c) {
  const auto d = static_cast<uint64_t>(c->plan->inputs[0].shape[1]), m = static_cast<uint64_t>(c->plan->inputs[1].shape[0]);
  const Column<double> xs(c->inputs[0]), ys(c->inputs[1]);
  auto* out = static_cast<double*>(c->outputs[0].data);
  auto *turned = static_cast<double*>(c->scratch), *room = turned + d * kPoints, *rows = room + d * kPoints;
  for (uint64_t row = 0; row < c->count; row += kRows) {
    const uint64_t some = std::min(kRows, c->count - row);
    xs.copy(row * d, some * d, rows);
    for (uint64_t at = 0; at < m; at += kPoints) {
      const uint64_t n = std::min(kPoints, m - at);
      const double* y = ys.load(at * d, n * d, room);
      for (uint64_t k = 0; k < d; ++k)
        for (uint64_t j = 0; j < n; ++j) turned[k * kPoints + j] = y[j * d + k];
      for (uint64_t r = 0; r < some; ++r) {
        alignas(64) double square[kPoints] = {};
        for (uint64_t k = 0; k < d; ++k) {
          const double x = rows[r * d + k];
          for (uint64_t j = 0; j < kPoints; ++j) {
            const double way = x - turned[k * kPoints + j];
            square[j] += way * way;
          }
        }
        double* to = out + (row + r) * m + at;
        for (uint64_t j = 0; j < n; ++j) to[j] = std::sqrt(square[j]);
      }
    }
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel pairwise_distances_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "pairwise_distances", .doc = "distances of all rows of X to all rows of Y, as scipy.spatial.distance.cdist(X, Y)",
    .accuracy = "relative error below (d/2 + 2) u, u = 2^-53; the same bits on all levels", .example = "cadre run pairwise_distances --in X.npy --in Y.npy --out out.npy", .flags = 0,
    .passes = 1, .n_inputs = 2, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = kInputs, .outputs = kOutput, .params = nullptr, .results = nullptr, .plan = plan, .run = run};

}  // namespace cadre::builtin
