/* Lloyd's algorithm: one step of it, and all of them until the centres stay where they are. Points are taken in blocks and turned, so that a vector holds one coordinate of several points; every point
   then compares all centres at once with its neighbours in the vector. */
#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/lanes.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "one point per row", CADRE_NUMBERS, CADRE_ROWS, 2, 2},
                               {"centers", "one centre per row (k x d)", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutputs[] = {
    {"centers", "float64 (k x d): means of the points nearest to each centre; one without points stays", CADRE_OUT_FINISH, 0, 0, 0, 0},
    {"count", "int64 (k): points nearest to each centre", CADRE_OUT_FINISH, 0, 0, 0, 0},
    {"label", "int32: the nearest centre of each point", CADRE_OUT_MAP, CADRE_OUT_OPTIONAL, -1, 0, 0}};
enum { kCenters, kCount, kLabel };
const cadre_result kStepResults[] = {{"inertia", "sum of squared distances from the points to their old centres"}};
const cadre_param kParams[] = {{"max_iter", "most steps", CADRE_INTEGER, CADRE_PARAM_DEFAULT, 300},
                               {"tol", "ends when no centre moves farther than this; 0: when none moves", CADRE_REAL, CADRE_PARAM_DEFAULT, 0}};
const cadre_result kResults[] = {{"inertia", "sum of squared distances from the points to their centres"}, {"iterations", "steps that were made"}, {"shift", "how far the centre that moved most moved in the last one"}};

constexpr uint64_t kPoints = 32;  // of a block
constexpr uint64_t kVectors = kPoints / kLanes;
constexpr uint64_t kTables = 4;  // of sums: neighbours that are nearest to the same centre add to different ones

/** Where things lie in an accumulator: the inertia, steps made and the way of the last one, whether the old centres are there, counts (k), sums (k x d), old
    centres (k x d), in whose place finish() of kmeans puts the new ones. */
struct View {
  Running* inertia;
  int64_t* iterations;
  double* shift;
  int64_t *filled, *count;
  double *sum, *old;
  View(void* accumulator, uint64_t k, uint64_t d)
      : inertia(static_cast<Running*>(accumulator)),
        iterations(reinterpret_cast<int64_t*>(inertia + 1)),
        shift(reinterpret_cast<double*>(iterations + 1)),
        filled(reinterpret_cast<int64_t*>(shift + 1)),
        count(filled + 1),
        sum(reinterpret_cast<double*>(count + k)),
        old(sum + k * d) {}
};
uint64_t accumulator_bytes(uint64_t k, uint64_t d) { return 8 * (5 + k + 2 * k * d); }
uint64_t clusters(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[1].shape[0]); }
uint64_t dimensions(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[1].shape[1]); }

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const auto number = [](int64_t v) { return static_cast<long long>(v); };
  if (p->inputs[0].shape[1] != p->inputs[1].shape[1])
    return refuse(p, "X has %lld columns and centers has %lld: give points and centres of one dimension", number(p->inputs[0].shape[1]),
                  number(p->inputs[1].shape[1]));
  const uint64_t k = clusters(p), d = dimensions(p);
  if (k == 0 || d == 0)
    return refuse(p, "centers is %lld x %lld: give at least one centre of one dimension", number(p->inputs[1].shape[0]),
                  number(p->inputs[1].shape[1]));
  if (k > (uint64_t{1} << 31) - 1)
    return refuse(p, "centers has %lld rows: at most 2147483647 are possible", number(p->inputs[1].shape[0]));
  if (p->elements == 0) return refuse(p, "X has no rows: give at least one point");
  p->bytes = d * bytes_of(p->inputs[0].dtype) + (p->outputs_wanted >> kLabel & 1) * sizeof(int32_t);
  p->cost_ns = 1.5 + 0.4 * static_cast<double>(d) + 0.065 * static_cast<double>(k * (d + 1));
  p->operations = 3 * static_cast<double>(k * d);  // differences, squares, their sums
  p->grain = std::max<uint64_t>(kPoints, k);  // an accumulator is small beside the points that it stands for
  p->accumulator_bytes = accumulator_bytes(k, d);
  p->scratch_bytes = 8 * ((k * d + 7) / 8 * 8 + 2 * kPoints * d + kTables * k * (d + 1));
  p->outputs[kCenters] = matrix(kF64, k, d);
  p->outputs[kCount] = vector(kI64, k);
  p->outputs[kLabel] = vector(kI32, p->elements);
  p->results[0] = scalar(kF64);
  return CADRE_OK;
}

/** Steps, and a last pass that only says where the points belong. */
int plan_all(cadre_plan* p) {
  if (integer(p, 0) < 1) return refuse(p, "max_iter is %lld: give 1 or more", static_cast<long long>(integer(p, 0)));
  if (!(real(p, 1) >= 0)) return refuse(p, "tol is %g: give 0 or more", real(p, 1));
  if (int bad = plan(p)) return bad;
  p->results[1] = scalar(kI64);
  p->results[2] = scalar(kF64);
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) { std::memset(accumulator, 0, accumulator_bytes(clusters(p), dimensions(p))); }

/** turned[j][i] = rows[i][j] for the kPoints points of a block. */
template <uint64_t kD>
void turn(const double* __restrict__ rows, uint64_t d, double* __restrict__ turned) {
  if (kD) d = kD;
  for (uint64_t j = 0; j < d; ++j)
    for (uint64_t i = 0; i < kPoints; ++i) turned[j * kPoints + i] = rows[i * d + j];
}

/** Nearest centre and its squared distance for each point of a turned block. A distance that is NaN is never nearer: points with a
    NaN go to centre 0, and the inertia is NaN. */
template <uint64_t kD>
void nearest(const double* turned, const double* centers, uint64_t k, uint64_t d, int64_t* label, double* distance) {
  if (kD) d = kD;
  Lanes best[kVectors];
  Mask at[kVectors] = {};
  for (uint64_t c = 0; c < k; ++c) {
    Lanes square[kVectors] = {};
    for (uint64_t j = 0; j < d; ++j) {
      const Lanes center = every(centers[c * d + j]);
      for (uint64_t v = 0; v < kVectors; ++v) {
        const Lanes way = load(turned + j * kPoints + v * kLanes) - center;
        square[v] = j == 0 ? way * way : fused(way, way, square[v]);
      }
    }
    if (c == 0) {
      for (uint64_t v = 0; v < kVectors; ++v) best[v] = square[v];
      continue;
    }
    const Mask here = Mask{} + static_cast<int64_t>(c);
    for (uint64_t v = 0; v < kVectors; ++v) {
      const Mask nearer = square[v] < best[v];
      best[v] = nearer ? square[v] : best[v];
      at[v] = nearer ? here : at[v];
    }
  }
  std::memcpy(label, at, sizeof at);
  std::memcpy(distance, best, sizeof best);
}

/** Adds each point to the sums of its centre, in one table after the other. */
template <uint64_t kD>
void add_points(const double* rows, uint64_t n, uint64_t d, const int64_t* label, double* sums, uint64_t table) {
  if (kD) d = kD;
  for (uint64_t i = 0; i < n; ++i) {
    double* to = sums + (i % kTables) * table + static_cast<uint64_t>(label[i]) * (d + 1);
    const double* from = rows + i * d;
    for (uint64_t j = 0; j < d; ++j) to[j] += from[j];
    to[d] += 1;
  }
}

template <uint64_t kD>
int run_dimension(cadre_chunk* c, int32_t* labels) {
  const uint64_t k = clusters(c->plan), d = kD ? kD : dimensions(c->plan), table = k * (d + 1);
  auto* centers = static_cast<double*>(c->scratch);
  double *turned = centers + (k * d + 7) / 8 * 8, *room = turned + kPoints * d, *sums = room + kPoints * d;
  if (c->plan->previous)
    std::memcpy(centers, View(const_cast<void*>(c->plan->previous), k, d).old, k * d * sizeof(double));
  else
    Column<double>(c->inputs[1]).copy(0, k * d, centers);
  std::fill(sums, sums + kTables * table, 0.0);
  alignas(64) int64_t label[kPoints];
  alignas(64) double distance[kPoints];
  const Column<double> x(c->inputs[0]);
  Running inertia{};
  for (uint64_t at = 0; at < c->count; at += kPoints) {
    const uint64_t n = std::min(kPoints, c->count - at);
    const double* rows = x.load(at * d, n * d, room);
    if (n < kPoints) {
      if (rows != room) std::memcpy(room, rows, n * d * sizeof(double));
      std::fill(room + n * d, room + kPoints * d, 0.0);
      rows = room;
    }
    turn<kD>(rows, d, turned);
    nearest<kD>(turned, centers, k, d, label, distance);
    std::fill(distance + n, distance + kPoints, 0.0);
    inertia.add(sum_block(distance, kPoints));
    add_points<kD>(rows, n, d, label, sums, table);
    if (labels)
      for (uint64_t i = 0; i < n; ++i) labels[at + i] = static_cast<int32_t>(label[i]);
  }
  const View out(c->accumulator, k, d);
  *out.inertia = inertia;
  *out.filled = 1;
  std::memcpy(out.old, centers, k * d * sizeof(double));
  for (uint64_t m = 0; m < k; ++m) {
    double* row = sums + m * (d + 1);
    for (uint64_t t = 1; t < kTables; ++t)
      for (uint64_t j = 0; j <= d; ++j) row[j] += row[t * table + j];
    std::memcpy(out.sum + m * d, row, d * sizeof(double));
    out.count[m] = static_cast<int64_t>(row[d]);
  }
  return CADRE_OK;
}

/** `labels`: null where they are not wanted. */
int run_with(cadre_chunk* c, void* labels) {
  auto* to = static_cast<int32_t*>(labels);
  switch (dimensions(c->plan)) {
    case 1: return run_dimension<1>(c, to);
    case 2: return run_dimension<2>(c, to);
    case 3: return run_dimension<3>(c, to);
    case 4: return run_dimension<4>(c, to);
    default: return run_dimension<0>(c, to);
  }
}
int run_step(cadre_chunk* c) { return run_with(c, c->outputs[kLabel].data); }
int run(cadre_chunk* c) { return run_with(c, c->pass == 1 ? c->outputs[kLabel].data : nullptr); }

void combine(const cadre_plan* p, void* into, const void* from) {
  const uint64_t k = clusters(p), d = dimensions(p);
  const View a(into, k, d), b(const_cast<void*>(from), k, d);
  a.inertia->add(*b.inertia);
  for (uint64_t i = 0; i < k; ++i) a.count[i] += b.count[i];
  for (uint64_t i = 0; i < k * d; ++i) a.sum[i] += b.sum[i];
  if (!*a.filled) std::memcpy(a.old, b.old, k * d * sizeof(double));
  *a.filled |= *b.filled;
}

double moved_center(const View& a, uint64_t i, uint64_t d) { return a.count[i / d] ? a.sum[i] / static_cast<double>(a.count[i / d]) : a.old[i]; }

int finish_step(cadre_finish* f) {
  const uint64_t k = clusters(f->plan), d = dimensions(f->plan);
  const View a(f->accumulator, k, d);
  auto* centers = static_cast<double*>(f->outputs[kCenters].data);
  std::memcpy(f->outputs[kCount].data, a.count, k * sizeof(int64_t));
  for (uint64_t i = 0; i < k * d; ++i) centers[i] = moved_center(a, i, d);
  *static_cast<double*>(f->results[0].data) = a.inertia->value();
  return CADRE_OK;
}

int finish(cadre_finish* f) {
  const uint64_t k = clusters(f->plan), d = dimensions(f->plan);
  void* const previous = f->plan->previous ? const_cast<void*>(f->plan->previous) : f->accumulator;  // the first step has none, and does not look
  const View a(f->accumulator, k, d), before(previous, k, d);
  if (f->pass == 0) {
    double farthest = 0;
    for (uint64_t c = 0; c < k; ++c) {
      double square = 0;
      for (uint64_t i = c * d; i < (c + 1) * d; ++i) {
        const double center = moved_center(a, i, d), way = center - a.old[i];
        square += way * way;
        a.old[i] = center;
      }
      if (farthest == farthest && !(square <= farthest)) farthest = square;  // NaN stays, and ends it
    }
    *a.shift = std::sqrt(farthest);
    *a.iterations = f->plan->previous ? *before.iterations + 1 : 1;
    f->again = *a.shift > real(f->plan, 1) && *a.iterations < integer(f->plan, 0);
    return CADRE_OK;
  }
  std::memcpy(f->outputs[kCenters].data, before.old, k * d * sizeof(double));
  std::memcpy(f->outputs[kCount].data, a.count, k * sizeof(int64_t));
  *static_cast<double*>(f->results[0].data) = a.inertia->value();
  *static_cast<int64_t*>(f->results[1].data) = *before.iterations;
  *static_cast<double*>(f->results[2].data) = *before.shift;
  return CADRE_OK;
}

}  // namespace

const cadre_kernel kmeans_step_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "kmeans_step",
    .doc = "one step of k-means: assigns each point to its nearest centre, the lowest of equals, and moves centres to the means",
    .accuracy =
        "squared distances: relative error (d + 2) u, u = 2^-53, nearer than which centres are ties; means: chunk length * u of mean|x|",
    .example = "cadre run kmeans_step --in X.npy --in centers.npy --out centers=new.npy --out count=count.npy",
    .flags = 0,
    .passes = 1,
    .n_inputs = 2,
    .n_outputs = 3,
    .n_params = 0,
    .n_results = 1,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = nullptr,
    .results = kStepResults,
    .plan = plan,
    .run = run_step,
    .identity = identity,
    .combine = combine,
    .finish = finish_step,
    .state = nullptr};

const cadre_kernel kmeans_kernel = {
    .abi = CADRE_KERNEL_ABI,
    .size = sizeof(cadre_kernel),
    .name = "kmeans",
    .doc = "k-means by Lloyd's algorithm from the given centres, as sklearn.cluster.KMeans(k, init=centers, n_init=1, algorithm='lloyd')",
    .accuracy = "each step that of kmeans_step; with tol = 0 ends where a further step would change nothing, or after max_iter",
    .example = "cadre run kmeans --in X.npy --in centers.npy --out centers=new.npy --out count=count.npy --out label=label.npy",
    .flags = 0,
    .passes = 2,
    .n_inputs = 2,
    .n_outputs = 3,
    .n_params = 2,
    .n_results = 3,
    .inputs = kInputs,
    .outputs = kOutputs,
    .params = kParams,
    .results = kResults,
    .plan = plan_all,
    .run = run,
    .identity = identity,
    .combine = combine,
    .finish = finish,
    .state = nullptr};

}  // namespace cadre::builtin
