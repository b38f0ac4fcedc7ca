/* two_point_counts: how many pairs of points lie how far apart, by cells and within them by brute force, in three passes.

   Points are sorted by the cell of space that they lie in, along a Hilbert curve, on which neighbours are near each other (a Z-order's jumps made five times as many
   stretches meet): the first two passes (sorted_runs.hpp) leave their rows in that order, and the boxes that stretches of them fill. In the third, row i stands for the
   pairs (i, j), j > i, of the sorted rows: stretches whose boxes are too far from that of a few rows, or too near them, for any bin are counted without a look at their
   points. Of the others, points that no such box rules out are collected, turned so that one coordinate of many points is one vector, and meet these rows one by one
   while they are in the first cache.

   Boxes leave out nothing that would be counted: subtraction, squares and sums are monotone as they are rounded, so that the square of the least distance of two boxes,
   computed by the same operations in the same order, is never above that of two of their points, as computed; likewise the greatest. The counts are those of brute force. */
#include <immintrin.h>

#include <bit>
#include <limits>

#include <cadre/kernels/builtin/kernel_list.hpp>
#include <cadre/kernels/builtin/sorted_runs.hpp>
#include <cadre/kernels/builtin/uniform_bins.hpp>

namespace cadre::builtin {
namespace {

constexpr uint64_t kMostDimensions = 8;
constexpr uint64_t kRun = uint64_t{1} << 16, kPart = uint64_t{1} << 17;  // points that are sorted at once: they and their copy stay near the core
constexpr uint64_t kRows = 64, kFewRows = 32;  // that meet others together, where most pairs count and where few do
constexpr uint64_t kColumns = 512;             // that are collected: of three coordinates, with their bins, half of a first cache of 32 KiB
constexpr uint64_t kStride = kColumns + 16;    // from one coordinate to the next: not 4 KiB, at which a load waits for a store that it only resembles
constexpr uint64_t kStretch = 64, kGroup = 8;  // points that share a box, boxes that share one
constexpr uint64_t kMostStretches = uint64_t{1} << 17;  // more points: longer ones
static_assert(kColumns <= kBlock && kStretch <= kColumns && kStretch % kLanes == 0);

const cadre_input kInputs[] = {{"X", "points, one per row, 1 to 8 coordinates", CADRE_NUMBERS, CADRE_WHOLE, 2, 2}};
const cadre_output kOutputs[] = {{"out", "int64, pairs per bin", CADRE_OUT_FINISH}};
const cadre_param kParams[] = {{"bins", "number of bins, all of one width, at most 100000", CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0},
                               {"lo", "left edge of the first bin", CADRE_REAL, CADRE_PARAM_DEFAULT, 0},
                               {"hi", "right edge of the last bin, which includes it", CADRE_REAL, CADRE_PARAM_REQUIRED, 0}};
const cadre_result kResults[] = {{"outside", "pairs nearer than lo, farther apart than hi, or with a NaN"}};

uint64_t points_of(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[0].shape[0]); }
uint64_t dimensions_of(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[0].shape[1]); }
uint64_t bins_of(const cadre_plan* p) { return static_cast<uint64_t>(integer(p, 0)); }
uint64_t runs_of(const cadre_plan* p) { return (points_of(p) + kRun - 1) / kRun; }
UniformBins place_of(const cadre_plan* p) { return {integer(p, 0), real(p, 1), real(p, 2), UniformBins::Rule::histogram, false}; }

/* ---- in order of cells ---- */

/** A point, by the number of its row, and its place on the curve. */
struct Place {
  uint64_t key, row;
};
constexpr auto kKey = [](const Place& p) { return p.key; };

/** Cells are an eighth as wide as the bins reach, half as wide in more than three dimensions, or as wide as the digits of a key need to cover twice the middle nine tenths of a
    sample of the points, of which there are some 32^d times as many as points. What lies beyond shares the outermost cells.

    The curve is J. Skilling's (Programming the Hilbert curve, AIP Conf. Proc. 707, 2004, AxestoTranspose). */
class Curve {
 public:
  Curve(const cadre_plan* p, const Column<double>& points) : d_(dimensions_of(p)), bits_(std::min({uint64_t{32}, 64 / d_, static_cast<uint64_t>(std::bit_width(points_of(p))) / d_ + 5})) {
    constexpr uint64_t kSample = 512;
    const uint64_t n = points_of(p), some = std::min(n, kSample);
    const double cells = static_cast<double>(uint64_t{1} << bits_);
    width_ = std::max(place_of(p).hi() / (d_ <= 3 ? 8 : 2), 0x1p-1000);
    double middle[kMostDimensions];
    for (uint64_t k = 0; k < d_; ++k) {
      double sample[kSample];
      uint64_t known = 0;
      for (uint64_t i = 0; i < some; ++i) {
        points.copy(i * n / some * d_ + k, 1, sample + known);
        known += std::isfinite(sample[known]);
      }
      std::sort(sample, sample + known);
      const double low = known ? sample[known / 20] : 0, high = known ? sample[known - 1 - known / 20] : 0;
      middle[k] = low / 2 + high / 2;
      width_ = std::max(width_, std::min(2 * (high / cells - low / cells), 0x1p+1000));
    }
    for (uint64_t k = 0; k < d_; ++k) {
      origin_[k] = middle[k] - width_ * (cells / 2);
      digits_[k] = 0;
      for (uint64_t bit = 0; bit < bits_; ++bit) digits_[k] |= uint64_t{1} << (bit * d_ + d_ - 1 - k);
    }
  }

  static constexpr uint64_t kMany = 64;
  /** Keys of m points, at most kMany. */
  void keys(const double* points, uint64_t m, uint64_t* out) const {
    const double most = static_cast<double>((uint64_t{1} << bits_) - 1);
    uint64_t cells[kMostDimensions][kMany] = {};
    for (uint64_t i = 0; i < m; ++i)
      for (uint64_t k = 0; k < d_; ++k) {
        const double at = (points[i * d_ + k] - origin_[k]) / width_;
        cells[k][i] = static_cast<uint64_t>(at > 0 ? std::min(at, most) : 0);  // NaN: 0
      }
    if (d_ > 1) along_curve(cells);
    for (uint64_t i = 0; i < m; ++i) {
      out[i] = 0;
      for (uint64_t k = 0; k < d_; ++k) out[i] |= spread(cells[k][i], digits_[k]);
    }
  }

 private:
  void along_curve(uint64_t (*cells)[kMany]) const {
    const uint64_t top = bits_ - 1;
    uint64_t* first = cells[0];
    for (uint64_t bit = top; bit > 0; --bit) {
      const uint64_t below = (uint64_t{1} << bit) - 1;
      for (uint64_t k = 0; k < d_; ++k)
        for (uint64_t i = 0; i < kMany; ++i) {
          const uint64_t set = -(cells[k][i] >> bit & 1), other = (first[i] ^ cells[k][i]) & below & ~set;
          first[i] ^= (below & set) | other;
          cells[k][i] ^= other;
        }
    }
    for (uint64_t k = 1; k < d_; ++k)
      for (uint64_t i = 0; i < kMany; ++i) cells[k][i] ^= cells[k - 1][i];
    uint64_t turned[kMany] = {};
    for (uint64_t bit = top; bit > 0; --bit)
      for (uint64_t i = 0; i < kMany; ++i) turned[i] ^= -(cells[d_ - 1][i] >> bit & 1) & ((uint64_t{1} << bit) - 1);
    for (uint64_t k = 0; k < d_; ++k)
      for (uint64_t i = 0; i < kMany; ++i) cells[k][i] ^= turned[i];
  }

  /** The digits of `cell`, the lowest first, where `digits` has ones. */
  static uint64_t spread(uint64_t cell, uint64_t digits) {
#ifdef __BMI2__
    return _pdep_u64(cell, digits);
#else
    uint64_t out = 0;
    for (; digits != 0; digits &= digits - 1, cell >>= 1) out |= (cell & 1) * (digits & -digits);
    return out;
#endif
  }

  uint64_t d_, bits_, digits_[kMostDimensions];
  double width_, origin_[kMostDimensions];
};

/** Writes elements [first, first + count) of the array of sorted runs. */
void sort_runs(cadre_chunk* c) {
  const uint64_t n = points_of(c->plan), d = dimensions_of(c->plan), end = c->first + c->count;
  const Column<double> points(c->inputs[0]);
  const Curve curve(c->plan, points);
  auto* places = static_cast<Place*>(c->scratch);
  auto* out = static_cast<Place*>(c->outputs[0].data);
  for (uint64_t run = c->first / kRun * kRun; run < end; run += kRun) {
    const uint64_t length = std::min(kRun, n - run);
    for (uint64_t at = 0; at < length; at += Curve::kMany) {
      const uint64_t some = std::min(Curve::kMany, length - at);
      double rows[Curve::kMany * kMostDimensions];
      uint64_t keys[Curve::kMany];
      points.copy((run + at) * d, some * d, rows);
      curve.keys(rows, some, keys);
      for (uint64_t i = 0; i < some; ++i) places[at + i] = {keys[i], run + at + i};
    }
    const Place* sorted = sort_by_key(places, places + kRun, length, kKey);
    for (uint64_t i = std::max(run, c->first); i < std::min(run + length, end); ++i) out[i - c->first] = sorted[i - run];
  }
}

/* ---- boxes ---- */

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/** The least and the greatest of each coordinate of some points, NaN apart: pairs with a NaN are in no bin, whether they are looked at or not. Of `count` boxes,
    coordinate after coordinate: low(k)[i], high(k)[i]. */
struct Boxes {
  double* all;
  uint64_t count, d;
  bool points = false;  // every box is a point: low(k) and high(k) are one
  double* low(uint64_t k) const { return all + (points ? 1 : 2) * k * count; }
  double* high(uint64_t k) const { return points ? low(k) : low(k) + count; }
  void empty() const {
    for (uint64_t k = 0; k < d; ++k) {
      std::fill_n(low(k), count, kInfinity);
      std::fill_n(high(k), count, -kInfinity);
    }
  }
  void add(uint64_t i, uint64_t k, double least, double most) const {
    if (least < low(k)[i]) low(k)[i] = least;
    if (most > high(k)[i]) high(k)[i] = most;
  }
};

/** In an accumulator: boxes of stretches of points, then of groups of kGroup stretches, then that of all. */
struct Cover {
  uint64_t stretch;  // points of one
  Boxes stretches, groups, whole;

  Cover(const cadre_plan* p, const void* memory) : stretch(stretch_of(p)) {
    const uint64_t d = dimensions_of(p), count = count_of(p);
    stretches = {static_cast<double*>(const_cast<void*>(memory)), count, d};
    groups = {stretches.low(d), (count + kGroup - 1) / kGroup, d};
    whole = {groups.low(d), 1, d};
  }
  static uint64_t bytes(const cadre_plan* p) { return 2 * dimensions_of(p) * (count_of(p) + (count_of(p) + kGroup - 1) / kGroup + 1) * sizeof(double); }
  void empty() const {
    for (const Boxes* boxes : {&stretches, &groups, &whole}) boxes->empty();
  }

 private:
  static uint64_t stretch_of(const cadre_plan* p) {
    uint64_t points = kStretch;
    while (points_of(p) / points > kMostStretches) points *= 2;
    return points;
  }
  static uint64_t count_of(const cadre_plan* p) { return (points_of(p) + stretch_of(p) - 1) / stretch_of(p); }
};

/** Squares of the least and of the greatest distance that two points, one in the box from `low` to `high`, one in the box from + j of m others, can have. A pair with a NaN may
    have any; a box of NaN alone is infinitely far. */
template <uint64_t d>
void gaps(const double* low, const double* high, const Boxes& others, uint64_t from, uint64_t m, double* __restrict least, double* __restrict most) {
  for (uint64_t k = 0; k < d; ++k) {
    const double *lows = others.low(k) + from, *highs = others.high(k) + from;
    for (uint64_t j = 0; j < m; ++j) {
      const double right = lows[j] - high[k], left = low[k] - highs[j];
      const double gap = right > 0 ? right : left > 0 ? left : 0, wide = std::fabs(left) < std::fabs(right) ? std::fabs(right) : std::fabs(left);
      least[j] = k == 0 ? gap * gap : least[j] + gap * gap;
      most[j] = k == 0 ? wide * wide : most[j] + wide * wide;
    }
  }
}
using Gaps = void (*)(const double*, const double*, const Boxes&, uint64_t, uint64_t, double*, double*);
constexpr Gaps kGaps[kMostDimensions] = {gaps<1>, gaps<2>, gaps<3>, gaps<4>, gaps<5>, gaps<6>, gaps<7>, gaps<8>};

/** Whether pairs can be in a bin, from such squares. A few units in the last place are left to the root, and to the squares here. */
class Reach {
 public:
  explicit Reach(const UniformBins& place) : lo_(place.lo() > 0 ? place.lo() * place.lo() * (1 - 0x1p-48) : 0), hi_(place.hi() < 0 ? -1 : place.hi() * place.hi() * (1 + 0x1p-48)) {}
  bool misses(double least, double most) const { return (least > hi_) | (most < lo_); }
  /** Nearly all of them: worth no closer look. */
  bool holds(double least, double most) const { return least >= lo_ && most <= hi_; }
  /** A quarter of all there is, or more: most points have many near them. */
  bool spans(const Boxes& whole) const {
    double widest = 0;
    for (uint64_t k = 0; k < whole.d; ++k) widest = std::max(widest, *whole.high(k) - *whole.low(k));
    return 16 * hi_ >= widest * widest;
  }

 private:
  double lo_, hi_;
};

/** Writes rows [first, first + count) in the order of their cells. */
template <class T>
void gather_rows(cadre_chunk* c) {
  const uint64_t n = points_of(c->plan), d = dimensions_of(c->plan);
  const T* points = static_cast<const T*>(c->inputs[0].data);
  const Cover cover(c->plan, c->accumulator);
  auto* out = static_cast<double*>(c->outputs[0].data);
  auto* bounds = static_cast<uint64_t*>(c->scratch);
  const SortedRuns runs(static_cast<const Place*>(c->inputs[1].data), n, kRun, kKey);
  auto* room = reinterpret_cast<Place*>(bounds + 4 * runs_of(c->plan));
  runs.gather(c->first, c->count, kPart, bounds, room, [](const Place& p) { return p; }, kKey, [&](uint64_t at, const Place* sorted, uint64_t some) {
    for (uint64_t i = 0; i < some; ++i)
      for (uint64_t k = 0; k < d; ++k) {
        const auto v = static_cast<double>(points[sorted[i].row * d + k]);
        out[(at - c->first + i) * d + k] = v;
        cover.stretches.add((at + i) / cover.stretch, k, v, v);
      }
  });
}

/* ---- pairs ---- */

/** Tables that are counted in by turns: neighbours on the curve often fall into one bin, and counted in one table they would wait for each other. */
uint64_t tables_of(const cadre_plan* p) { return bins_of(p) <= 4096 ? 8 : 4; }

/** out[j]: the bin of the distance of point p to point j of `turned`, coordinate after coordinate. */
template <uint64_t d>
void bins_between(const UniformBins& place, const double (*turned)[kStride], const double* p, uint64_t m, uint32_t* __restrict out) {
  place.index_of(
      [=](uint64_t j) {
        Lanes way = load(turned[0] + j) - p[0], square = way * way;
        for (uint64_t k = 1; k < d; ++k) {
          way = load(turned[k] + j) - p[k];
          square += way * way;
        }
        return root(square);
      },
      m, out);
}
using BinsBetween = void (*)(const UniformBins&, const double (*)[kStride], const double*, uint64_t, uint32_t*);
constexpr BinsBetween kBinsBetween[kMostDimensions] = {bins_between<1>, bins_between<2>, bins_between<3>, bins_between<4>, bins_between<5>, bins_between<6>, bins_between<7>, bins_between<8>};

/** turned[k][j]: coordinate k of point j. */
template <uint64_t d>
void turn(const double* points, uint64_t m, double (*turned)[kStride]) {
  for (uint64_t k = 0; k < d; ++k)
    for (uint64_t j = 0; j < m; ++j) turned[k][j] = points[j * d + k];
}
using Turn = void (*)(const double*, uint64_t, double (*)[kStride]);
constexpr Turn kTurn[kMostDimensions] = {turn<1>, turn<2>, turn<3>, turn<4>, turn<5>, turn<6>, turn<7>, turn<8>};

/** Moves those of m points that are in reach of the box from `low` to `high` to the front; returns how many. */
template <uint64_t d>
uint64_t keep(const Reach& reach, const double* low, const double* high, double (*turned)[kStride], uint64_t m) {
  double least[kStretch], most[kStretch];
  gaps<d>(low, high, {turned[0], kStride, d, true}, 0, m, least, most);
  uint64_t kept = 0;
  for (uint64_t j = 0; j < m; ++j) {
    for (uint64_t k = 0; k < d; ++k) turned[k][kept] = turned[k][j];
    kept += static_cast<uint64_t>(!reach.misses(least[j], most[j]));
  }
  return kept;
}
using Keep = uint64_t (*)(const Reach&, const double*, const double*, double (*)[kStride], uint64_t);
constexpr Keep kKeep[kMostDimensions] = {keep<1>, keep<2>, keep<3>, keep<4>, keep<5>, keep<6>, keep<7>, keep<8>};

/** Counts pairs of a chunk. */
class Tally {
 public:
  explicit Tally(cadre_chunk* c)
      : n_(points_of(c->plan)), d_(dimensions_of(c->plan)), bins_(bins_of(c->plan)), n_tables_(tables_of(c->plan)),
        place_(place_of(c->plan)), reach_(place_), cover_(c->plan, c->plan->previous),
        points_(static_cast<const double*>(c->inputs[1].data)), tables_(static_cast<uint32_t*>(c->scratch)), total_(static_cast<int64_t*>(c->accumulator)) {
    std::memset(tables_, 0, n_tables_ * (bins_ + 1) * sizeof(uint32_t));
    std::memset(turned_, 0, sizeof turned_);
  }
  ~Tally() { empty_tables(); }

  /** Rows [first, first + count) with all behind them. */
  void count_rows(uint64_t first, uint64_t count) {
    const uint64_t few = reach_.spans(cover_.whole) ? kRows : kFewRows;
    for (uint64_t row = first, end = first + count; row < end; row += few) count_few(row, std::min(few, end - row));
  }

 private:
  void count_few(uint64_t row, uint64_t some) {
    row_ = row, some_ = some;
    for (uint64_t k = 0; k < d_; ++k) {
      low_[k] = kInfinity, high_[k] = -kInfinity;
      for (uint64_t r = 0; r < some; ++r) {
        const double v = points_[(row + r) * d_ + k];
        low_[k] = v < low_[k] ? v : low_[k];
        high_[k] = v > high_[k] ? v : high_[k];
      }
    }
    // Among themselves.
    kTurn[d_ - 1](points_ + row * d_, some, turned_);
    for (uint64_t r = 1; r < some; ++r) count(row + r, r);
    // With all that come later.
    const uint64_t begin = row + some;
    outside_ = static_cast<int64_t>((n_ - begin) * some);
    collected_ = 0;
    constexpr uint64_t kSome = 64;
    double least[kSome], most[kSome];
    const uint64_t length = cover_.stretch * kGroup;
    for (uint64_t first = begin / length; first < cover_.groups.count; first += kSome) {
      const uint64_t groups = std::min(kSome, cover_.groups.count - first);
      kGaps[d_ - 1](low_, high_, cover_.groups, first, groups, least, most);
      for (uint64_t g = 0; g < groups; ++g)
        if (!reach_.misses(least[g], most[g])) collect_group(begin, first + g, reach_.holds(least[g], most[g]));
    }
    meet();
    total_[bins_] += outside_;
  }

  void collect_group(uint64_t begin, uint64_t group, bool all) {
    const uint64_t first = group * kGroup, stretches = std::min(kGroup, cover_.stretches.count - first);
    double least[kGroup], most[kGroup];
    kGaps[d_ - 1](low_, high_, cover_.stretches, first, stretches, least, most);
    for (uint64_t s = 0; s < stretches; ++s) {
      if (!all && reach_.misses(least[s], most[s])) continue;
      const uint64_t from = (first + s) * cover_.stretch, to = std::min(n_, from + cover_.stretch);
      for (uint64_t at = std::max(from, begin); at < to; at += kStretch) collect(at, std::min(kStretch, to - at), all || reach_.holds(least[s], most[s]));
    }
  }

  /** Points [at, at + m), at most kStretch of them, or those of them that the rows' box does not rule out. */
  void collect(uint64_t at, uint64_t m, bool all) {
    if (collected_ + kStretch > kColumns) meet();
    auto* to = reinterpret_cast<double(*)[kStride]>(turned_[0] + collected_);
    kTurn[d_ - 1](points_ + at * d_, m, to);
    collected_ += all ? m : kKeep[d_ - 1](reach_, low_, high_, to, m);
  }

  /** The rows and all that was collected. */
  void meet() {
    for (uint64_t r = 0; r < some_ && collected_ > 0; ++r) count(row_ + r, collected_);
    outside_ -= static_cast<int64_t>(some_ * collected_);
    collected_ = 0;
  }

  /** Of a point and the m first of those that are turned. */
  void count(uint64_t row, uint64_t m) {
    kBinsBetween[d_ - 1](place_, turned_, points_ + row * d_, m, index_);
    n_tables_ == 8 ? add_up<8>(m) : add_up<4>(m);
    if ((counted_ += m) > (uint64_t{1} << 31)) empty_tables();
  }

  template <uint64_t kTables>
  void add_up(uint64_t m) {
    const uint64_t length = bins_ + 1;
    uint64_t j = 0;
    for (; j + kTables <= m; j += kTables)
      for (uint64_t t = 0; t < kTables; ++t) ++tables_[t * length + index_[j + t]];
    for (; j < m; ++j) ++tables_[index_[j]];
  }

  void empty_tables() {
    for (uint64_t t = 0; t < n_tables_; ++t)
      for (uint64_t b = 0; b <= bins_; ++b) total_[b] += tables_[t * (bins_ + 1) + b], tables_[t * (bins_ + 1) + b] = 0;
    counted_ = 0;
  }

  const uint64_t n_, d_, bins_, n_tables_;
  const UniformBins place_;
  const Reach reach_;
  const Cover cover_;
  const double* points_;
  uint32_t* tables_;
  int64_t* total_;
  uint64_t row_ = 0, some_ = 0, collected_ = 0, counted_ = 0;
  int64_t outside_ = 0;  // pairs of the rows with later points that were not looked at
  double low_[kMostDimensions], high_[kMostDimensions];  // the box of the rows
  alignas(64) double turned_[kMostDimensions][kStride];
  alignas(64) uint32_t index_[kColumns];
};

/** What part of all pairs is looked at, as far as groups tell: a few of them with all. */
double part_looked_at(const cadre_plan* p) {
  if (!p->previous || p->elements == 0) return 1;
  const Boxes groups = Cover(p, p->previous).groups;
  const Reach reach(place_of(p));
  const uint64_t step = std::max<uint64_t>(1, groups.count / 64);
  uint64_t looked = 0, of = 0;
  for (uint64_t a = step / 2; a < groups.count; a += step) {
    double low[kMostDimensions], high[kMostDimensions], least, most;
    for (uint64_t k = 0; k < groups.d; ++k) low[k] = groups.low(k)[a], high[k] = groups.high(k)[a];
    for (uint64_t b = 0; b < groups.count; ++b, ++of) {
      kGaps[groups.d - 1](low, high, groups, b, 1, &least, &most);
      looked += !reach.misses(least, most);
    }
  }
  return static_cast<double>(looked) / static_cast<double>(of);
}

int plan(cadre_plan* p) {
  const int64_t n = p->inputs[0].shape[0], d = p->inputs[0].shape[1];
  if (d < 1 || d > static_cast<int64_t>(kMostDimensions)) return refuse(p, "X has %lld columns: points of 1 to 8 coordinates are possible", static_cast<long long>(d));
  if (int bad = check_bins(p, "bins", integer(p, 0), "lo", real(p, 1), "hi", real(p, 2))) return bad;
  if (integer(p, 0) > 100000) return refuse(p, "bins is %lld: at most 100000 are possible", static_cast<long long>(integer(p, 0)));
  p->elements = static_cast<uint64_t>(n);
  if (p->pass == 0) {
    p->cost_ns = 100;
    p->grain = kRun;
    p->scratch_bytes = 2 * kRun * sizeof(Place);
    p->carried = {.dtype = kU64, .ndim = 2, .shape = {n, 2}};
  } else if (p->pass == 1) {
    p->cost_ns = 50;
    p->grain = kRun;
    p->scratch_bytes = 4 * runs_of(p) * sizeof(uint64_t) + 2 * std::min(kPart, p->elements) * sizeof(Place);
    p->carried = {.dtype = kF64, .ndim = 2, .shape = {n, d}};
    p->accumulator_bytes = Cover::bytes(p);
  } else {
    p->grain = kRows;
    p->cost_ns = std::max(1.0, 0.5 * static_cast<double>(n) * part_looked_at(p) * (0.9 + 0.05 * static_cast<double>(d)));
    p->accumulator_bytes = (bins_of(p) + 1) * sizeof(int64_t);
    p->scratch_bytes = tables_of(p) * (bins_of(p) + 1) * sizeof(uint32_t);
    p->outputs[0] = vector(kI64, bins_of(p));
    p->results[0] = scalar(kI64);
  }
  return CADRE_OK;
}

void identity(const cadre_plan* p, void* accumulator) {
  if (p->pass == 2) {
    std::memset(accumulator, 0, (bins_of(p) + 1) * sizeof(int64_t));
    return;
  }
  Cover(p, accumulator).empty();
}

int run(cadre_chunk* c) {
  if (c->count == 0) return CADRE_OK;
  if (c->pass == 0) {
    sort_runs(c);
  } else if (c->pass == 1) {
    with_type(c->inputs[0].dtype, [&](auto type) { gather_rows<decltype(type)>(c); });
  } else {
    Tally(c).count_rows(c->first, c->count);
  }
  return CADRE_OK;
}

void combine(const cadre_plan* p, void* into, const void* from) {
  if (p->pass == 1) {
    const Boxes a = Cover(p, into).stretches, b = Cover(p, from).stretches;
    for (uint64_t k = 0; k < a.d; ++k)
      for (uint64_t i = 0; i < a.count; ++i) a.add(i, k, b.low(k)[i], b.high(k)[i]);
    return;
  }
  auto* a = static_cast<int64_t*>(into);
  const auto* b = static_cast<const int64_t*>(from);
  for (uint64_t i = 0; i <= bins_of(p); ++i) a[i] += b[i];
}

int finish(cadre_finish* f) {
  if (f->pass == 0) return CADRE_OK;
  if (f->pass == 1) {
    const Cover cover(f->plan, f->accumulator);
    for (uint64_t k = 0; k < cover.groups.d; ++k)
      for (uint64_t i = 0; i < cover.stretches.count; ++i) {
        cover.groups.add(i / kGroup, k, cover.stretches.low(k)[i], cover.stretches.high(k)[i]);
        cover.whole.add(0, k, cover.stretches.low(k)[i], cover.stretches.high(k)[i]);
      }
    return CADRE_OK;
  }
  const auto* total = static_cast<const int64_t*>(f->accumulator);
  if (f->outputs[0].data) std::memcpy(f->outputs[0].data, total, bins_of(f->plan) * sizeof(int64_t));
  *static_cast<int64_t*>(f->results[0].data) = total[bins_of(f->plan)];
  return CADRE_OK;
}

}  // namespace

const cadre_kernel two_point_counts_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "two_point_counts", .doc = "pairs of points by distance, as np.histogram(scipy.spatial.distance.pdist(X), bins, (lo, hi))[0]",
    .accuracy = "exact counts of distances that are computed in float64, each operation rounded; the same on all levels", .example = "cadre run two_point_counts --in X.npy --param bins=50 --param hi=1 --out pairs.npy",
    .flags = 0, .passes = 3, .n_inputs = 1, .n_outputs = 1, .n_params = 3, .n_results = 1, .inputs = kInputs, .outputs = kOutputs, .params = kParams, .results = kResults,
    .plan = plan, .run = run, .identity = identity, .combine = combine, .finish = finish};

}  // namespace cadre::builtin
