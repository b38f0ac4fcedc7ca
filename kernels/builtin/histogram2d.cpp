#include <cadre/kernels/builtin/counting.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/uniform_bins.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"x", "first coordinates", CADRE_NUMBERS, CADRE_ROWS, 1, 1},
                               {"y", "second coordinates, as many", CADRE_NUMBERS, CADRE_ROWS, 1, 1}};
const cadre_output kOutputs[] = {{"out", "int64 counts (bins_x x bins_y)", CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 1}};
const cadre_param kParams[] = {{"bins_x", "number of bins along x, all of one width", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0},
                               {"bins_y", "number of bins along y", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0},
                               {"lo_x", "left edge along x", CADRE_REAL, CADRE_PARAM_REQUIRED, 0},
                               {"hi_x", "right edge along x, included", CADRE_REAL, CADRE_PARAM_REQUIRED, 0},
                               {"lo_y", "left edge along y", CADRE_REAL, CADRE_PARAM_REQUIRED, 0},
                               {"hi_y", "right edge along y, included", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
const cadre_result kResults[] = {{"outside", "points outside the range in x or y, or NaN in either"}};

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t bins_x = integer(p, 0), bins_y = integer(p, 1);
  if (int bad = check_bins(p, "bins_x", bins_x, "lo_x", real(p, 2), "hi_x", real(p, 3))) return bad;
  if (int bad = check_bins(p, "bins_y", bins_y, "lo_y", real(p, 4), "hi_y", real(p, 5))) return bad;
  const uint64_t rows = static_cast<uint64_t>(bins_x) * static_cast<uint64_t>(bins_y);
  if (rows >= kMostRows)
    return refuse(p, "bins_x * bins_y is %llu: at most %llu bins are possible", static_cast<unsigned long long>(rows),
                  static_cast<unsigned long long>(kMostRows - 1));
  p->bytes = bytes_of(p->inputs[0].dtype) + bytes_of(p->inputs[1].dtype);
  p->cost_ns = rows <= 65536 ? 1.0 : 5;
  p->scatter.rows = rows;
  p->scatter.hidden = 1;
  p->scratch_bytes = Counter::scratch_bytes(rows + 1);
  p->outputs[0] = matrix(kI64, static_cast<uint64_t>(bins_x), static_cast<uint64_t>(bins_y));
  p->results[0] = scalar(kI64);
  return CADRE_OK;
}

int run(cadre_chunk* c) {
  constexpr auto kRule = UniformBins::Rule::histogramdd;
  const cadre_plan* p = c->plan;
  const UniformBins along_x(integer(p, 0), real(p, 2), real(p, 3), kRule, false);
  const UniformBins along_y(integer(p, 1), real(p, 4), real(p, 5), kRule, false);
  const uint32_t bins_x = static_cast<uint32_t>(integer(p, 0)), bins_y = static_cast<uint32_t>(integer(p, 1)), outside = bins_x * bins_y;
  const Column<double> x(c->inputs[0]), y(c->inputs[1]);
  alignas(64) double room[kBlock];
  alignas(64) uint32_t ix[kBlock], iy[kBlock];
  Counter count(c->scatter, c->count, c->scratch);
  for (uint64_t at = 0; at < c->count; at += kBlock) {
    const uint64_t n = std::min(kBlock, c->count - at);
    uint64_t whole = n, again = n;
    along_x.index(padded(x.load(at, n, room), whole, room, 0.0), whole, ix);
    along_y.index(padded(y.load(at, n, room), again, room, 0.0), again, iy);
    uint32_t* index = count.room();
    if (!index) return CADRE_FULL;
    for (uint64_t i = 0; i < n; ++i) {
      const uint32_t bin = ix[i] * bins_y + iy[i];
      index[i] = (ix[i] == bins_x) | (iy[i] == bins_y) ? outside : bin;
    }
    count.add(index, n);
  }
  count.finish();
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  *static_cast<int64_t*>(f->results[0].data) = static_cast<const int64_t*>(f->columns[0])[f->plan->scatter.rows];
  return CADRE_OK;
}

}  // namespace

const cadre_kernel histogram2d_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "histogram2d",
    .doc = "counts per cell of a grid, as np.histogram2d(x, y, (bins_x, bins_y), ((lo_x, hi_x), (lo_y, hi_y)))[0]",
    .accuracy = "exact: NumPy's edges, each point in the cell whose edges enclose it",
    .example =
        "cadre run histogram2d --in x.npy --in y.npy --param bins_x=64 --param bins_y=32 --param lo_x=0 --param hi_x=1 "
        "--param lo_y=0 --param hi_y=1 --out out.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 2,
    .n_outputs = 1,
    .n_params = 6,
    .n_results = 1,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = kParams,
    .results = kResults,
    .plan = plan,
    .run = run,
    .identity = nullptr,
    .combine = nullptr,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
