/* two_point_counts: how many pairs of points lie how far apart. Row i stands for the pairs (i, j), j > i; blocks of kRows rows meet blocks of columns that
   stay in the first cache, turned so that one coordinate of many points is one vector. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/uniform_bins.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kRows = 64, kMostDimensions = 8;
constexpr uint64_t kColumns = 512;  // of three coordinates, with their distances and bins: half of a first cache of 32 KiB
static_assert(kColumns <= kBlock && kColumns % kStep == 0);
constexpr uint64_t kTables = 4;  // a pair's neighbours often fall into one bin: counted in one table they would wait for each other

const cadre_input kInputs[] = {{"X", "points, one per row, 1 to 8 coordinates", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutputs[] = {{"out", "int64, pairs per bin", CADRE_OUT_FINISH}};
const cadre_param kParams[] = {{"bins", "number of bins, all of one width, at most 100000", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0},
                               {"lo", "left edge of the first bin", CADRE_REAL, CADRE_PARAM_DEFAULT, 0},
                               {"hi", "right edge of the last bin, which includes it", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
const cadre_result kResults[] = {{"outside", "pairs nearer than lo, farther apart than hi, or with a NaN"}};

uint64_t bins_of(const cadre_plan* p) { return static_cast<uint64_t>(integer(p, 0)); }

int plan(cadre_plan* p) {
  const int64_t n = p->inputs[0].shape[0], d = p->inputs[0].shape[1];
  if (d < 1 || d > static_cast<int64_t>(kMostDimensions)) return refuse(p, "X has %lld columns: points of 1 to 8 coordinates are possible", static_cast<long long>(d));
  if (int bad = check_bins(p, "bins", integer(p, 0), "lo", real(p, 1), "hi", real(p, 2))) return bad;
  if (integer(p, 0) > 100000) return refuse(p, "bins is %lld: at most 100000 are possible", static_cast<long long>(integer(p, 0)));
  p->elements = static_cast<uint64_t>(n);
  p->grain = kRows;
  p->cost_ns = std::max(1.0, 0.5 * static_cast<double>(n) * (0.9 + 0.05 * static_cast<double>(d)));
  p->accumulator_bytes = (bins_of(p) + 1) * sizeof(int64_t);
  p->scratch_bytes = kTables * (bins_of(p) + 1) * sizeof(uint32_t);
  p->outputs[0] = vector(kI64, bins_of(p));
  p->results[0] = scalar(kI64);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, (bins_of(p) + 1) * sizeof(int64_t)); }

/** out[j]: distance of point p to column j, coordinate after coordinate. */
template <uint64_t d>
void distances(const double (*turned)[kColumns], const double* p, uint64_t m, double* __restrict out) {
  for (uint64_t j = 0; j < m; ++j) {
    double square = (turned[0][j] - p[0]) * (turned[0][j] - p[0]);
    for (uint64_t k = 1; k < d; ++k) square += (turned[k][j] - p[k]) * (turned[k][j] - p[k]);
    out[j] = std::sqrt(square);
  }
}
using Distances = void (*)(const double (*)[kColumns], const double*, uint64_t, double*);
constexpr Distances kDistances[kMostDimensions] = {distances<1>, distances<2>, distances<3>, distances<4>, distances<5>, distances<6>, distances<7>, distances<8>};

int run(cadre_chunk* c) {
  const uint64_t n = c->plan->elements, d = static_cast<uint64_t>(c->plan->inputs[0].shape[1]), bins = bins_of(c->plan);
  const UniformBins place(integer(c->plan, 0), real(c->plan, 1), real(c->plan, 2), UniformBins::Rule::histogram, false);
  const Column<double> points(c->inputs[0]);
  auto* tables = static_cast<uint32_t*>(c->scratch);
  auto* total = static_cast<int64_t*>(c->accumulator);
  std::memset(tables, 0, kTables * (bins + 1) * sizeof(uint32_t));
  uint64_t counted = 0;
  const auto empty_tables = [&] {
    for (uint64_t t = 0; t < kTables; ++t)
      for (uint64_t b = 0; b <= bins; ++b) total[b] += tables[t * (bins + 1) + b], tables[t * (bins + 1) + b] = 0;
    counted = 0;
  };
  alignas(64) double rows[kRows * kMostDimensions], room[kColumns * kMostDimensions], turned[kMostDimensions][kColumns], distance[kColumns];
  alignas(64) uint32_t index[kColumns];
  const Distances distances_of = kDistances[d - 1];
  for (uint64_t row = c->first; row < c->first + c->count; row += kRows) {
    const uint64_t some = std::min(kRows, c->first + c->count - row);
    points.copy(row * d, some * d, rows);
    for (uint64_t at = row + 1; at < n; at += kColumns) {
      const uint64_t m = std::min(kColumns, n - at);
      const double* v = points.load(at * d, m * d, room);
      for (uint64_t k = 0; k < d; ++k)
        for (uint64_t j = 0; j < m; ++j) turned[k][j] = v[j * d + k];
      for (uint64_t r = 0; r < some; ++r) {
        const uint64_t skip = row + r + 1 > at ? row + r + 1 - at : 0;  // pairs that another row counts
        if (skip >= m) continue;
        const double* p = rows + r * d;
        distances_of(turned, p, m, distance);
        uint64_t whole = m;
        padded(distance, whole, distance, 0.0);
        place.index(distance, m, index);
        for (uint64_t j = skip; j < m; ++j) ++tables[j % kTables * (bins + 1) + index[j]];
        if ((counted += m) > (uint64_t{1} << 31)) empty_tables();
      }
    }
  }
  empty_tables();
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  auto* a = static_cast<int64_t*>(into);
  const auto* b = static_cast<const int64_t*>(from);
  for (uint64_t i = 0; i <= bins_of(p); ++i) a[i] += b[i];
}

int finish(cadre_finish* f) {
  const auto* total = static_cast<const int64_t*>(f->accumulator);
  if (f->outputs[0].data) std::memcpy(f->outputs[0].data, total, bins_of(f->plan) * sizeof(int64_t));
  *static_cast<int64_t*>(f->results[0].data) = total[bins_of(f->plan)];
  return CADRE_OK;
}

}  // namespace

const cadre_kernel two_point_counts_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "two_point_counts", .doc = "pairs of points by distance, as np.histogram(scipy.spatial.distance.pdist(X), bins, (lo, hi))[0]",
    .accuracy = "exact counts of distances that are computed in float64, each operation rounded; the same on all levels", .example = "cadre run two_point_counts --in X.npy --param bins=50 --param hi=1 --out pairs.npy",
    .flags = 0, .passes = 1, .n_inputs = 1, .n_outputs = 1, .n_params = 3, .n_results = 1, .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = kResults,
    .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
