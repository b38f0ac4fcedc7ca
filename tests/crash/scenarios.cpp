#include "scenarios.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>

#include <cadre/engine/operation.hpp>
#include <cadre/shm/error.hpp>

namespace cadre::crash {

namespace {

std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

template <class T>
constexpr cadre_dtype dtype_of() {
  return {std::is_floating_point_v<T> ? CADRE_FLOAT : std::is_signed_v<T> ? CADRE_INT : CADRE_UINT, sizeof(T) * 8, 1};
}

template <class T>
Expectation expect(std::string what, const T* at, const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {std::move(what), reinterpret_cast<const std::byte*>(at), {bytes, bytes + values.size() * sizeof(T)}};
}

/** What a job's kernel is to do. Outlives the stage: kernels read it through their state pointer, at one address in all forks. */
struct Pattern {
  std::uint64_t seed = 0;
  std::uint64_t elements = 0, chunk_elements = 0;
  std::uint32_t rows = 0, shift = 0, entries = 0;   // scatter: entries of each element
  bool page_each = false;                           // sparse: every element takes a page of its own
  bool some = false;                                // chunk 1 touches the last segment alone
  bool counts = false;                              // a second column that counts

  std::uint64_t chunks() const { return (elements + chunk_elements - 1) / chunk_elements; }
};

/** Sums of these depend on their order. */
template <class T>
T number(std::uint64_t i, std::uint64_t k, std::uint64_t seed) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(0.1) * static_cast<T>(i + 1) + static_cast<T>(1.7) * static_cast<T>(k + seed) + static_cast<T>(1) / static_cast<T>(3 + i * k);
  else
    return static_cast<T>(1 + i * 7 + k * 3 + seed);
}

/** Calls add(k, index, value) for the entries of element i: every other index is the one before again, and all of them recur. */
template <class T, class Add>
int for_entries(const Pattern& p, std::uint64_t i, const Add& add) {
  const std::uint32_t last_segment = (p.rows - 1) >> p.shift << p.shift;
  for (std::uint32_t k = 0; k < p.entries; ++k) {
    auto index = static_cast<std::uint32_t>((i * 5 + (k / 2) * 3 + p.seed) % p.rows);
    if (p.some && i / p.chunk_elements == 1) index = last_segment + index % (p.rows - last_segment);
    if (const int full = add(k, index, number<T>(i, k, p.seed)); full != CADRE_OK) return full;
  }
  return CADRE_OK;
}

template <class T>
int scatter_run(cadre_chunk* c) {
  const Pattern& p = *static_cast<const Pattern*>(c->state);
  cadre_scatter* s = c->scatter;
  for (std::uint64_t i = c->first; i < c->first + c->count; ++i) {
    const int full = for_entries<T>(p, i, [&](std::uint32_t k, std::uint32_t index, T value) {
      if (!s->dense || k % 2) {
        if (s->used == s->capacity)
          if (const int no_room = s->flush(s); no_room != CADRE_OK) return no_room;
        s->index[s->used] = index;
        static_cast<T*>(s->value)[s->used++] = value;
        return static_cast<int>(CADRE_OK);
      }
      T& at = static_cast<T*>(s->dense[0])[index];
      at = combined<CADRE_ADD, T>(at, value);
      if (p.counts) ++static_cast<std::uint32_t*>(s->dense[1])[index];
      return static_cast<int>(CADRE_OK);
    });
    if (full != CADRE_OK) return full;
    if (p.page_each)
      if (const int no_room = s->flush(s); no_room != CADRE_OK) return no_room;
  }
  return CADRE_OK;
}

template <class T>
T mapped(T x) {
  return static_cast<T>(x * 3 - 1);  // twice is not once
}

template <class T>
int map_run(cadre_chunk* c) {
  const T* x = static_cast<const T*>(c->inputs[0].data);
  T* y = static_cast<T*>(c->outputs[0].data);
  for (std::uint64_t i = 0; i < c->count; ++i) y[i] = mapped(x[i]);
  return c->scatter ? scatter_run<T>(c) : CADRE_OK;
}

template <class T>
int fold_run(cadre_chunk* c) {
  const T* x = static_cast<const T*>(c->inputs[0].data);
  T& sum = *static_cast<T*>(c->accumulator);
  for (std::uint64_t i = 0; i < c->count; ++i) sum = combined<CADRE_ADD, T>(sum, x[i]);
  return CADRE_OK;
}
template <class T>
void fold_identity(const cadre_plan*, void* accumulator) {
  *static_cast<T*>(accumulator) = T{};
}
template <class T>
void fold_combine(const cadre_plan*, void* into, const void* from) {
  T& a = *static_cast<T*>(into);
  a = combined<CADRE_ADD, T>(a, *static_cast<const T*>(from));
}
template <class T>
int fold_finish(cadre_finish* f) {
  *static_cast<T*>(f->results[0].data) = *static_cast<const T*>(f->accumulator);
  return CADRE_OK;
}

const Pattern* keep(Pattern pattern) { return new Pattern(pattern); }  // as long as the program: forks read it

Work work_of(Stage& stage, const Pattern& p) {
  Work w = stage.blank();
  w.code.state = const_cast<Pattern*>(&p);
  w.elements = w.plan.elements = p.elements;
  w.chunk_elements = p.chunk_elements;
  w.chunks = p.chunks();
  return w;
}

template <class T>
T* input(Stage& stage, Work& w, const Pattern& p) {
  T* x = stage.memory().place<T>(p.elements, kPage);
  for (std::uint64_t i = 0; i < p.elements; ++i) x[i] = number<T>(i, 1, p.seed);
  w.n_inputs = w.plan.n_inputs = 1;
  w.inputs[0] = {.address = address_of(x), .row_bytes = sizeof(T), .shape = {dtype_of<T>(), 1, {static_cast<std::int64_t>(p.elements)}}};
  return x;
}

/** The columns that must come out, by plain loops. */
template <class T>
void apply_plainly(const Pattern& p, bool dense, std::vector<T>& sums, std::vector<std::uint32_t>& counts) {
  for (std::uint64_t c = 0; c < p.chunks(); ++c) {
    std::vector<T> partial(sums.size(), T{});
    std::vector<std::pair<std::uint32_t, T>> list;
    for (std::uint64_t i = c * p.chunk_elements; i < std::min(p.elements, (c + 1) * p.chunk_elements); ++i)
      for_entries<T>(p, i, [&](std::uint32_t k, std::uint32_t index, T value) {
        ++counts[index];
        if (dense && k % 2 == 0)
          partial[index] = combined<CADRE_ADD, T>(partial[index], value);
        else
          list.emplace_back(index, value);
        return static_cast<int>(CADRE_OK);
      });
    for (const auto& [index, value] : list) {
      T& at = dense ? partial[index] : sums[index];
      at = combined<CADRE_ADD, T>(at, value);
    }
    if (dense)
      for (std::size_t r = 0; r < sums.size(); ++r) sums[r] = combined<CADRE_ADD, T>(sums[r], partial[r]);
  }
}

/** Puts a scatter into `job`, into columns of its own. */
template <class T>
void scatter(Stage& stage, StagedJob& job, const Pattern& p, ScatterMode mode, std::uint64_t room_pages) {
  Work& w = job.work;
  w.scatter = mode;
  w.code.run = scatter_run<T>;
  w.plan.scatter.rows = w.rows = p.rows;
  w.plan.scatter.value = dtype_of<T>();
  w.segment_shift = p.shift;
  w.n_segments = (p.rows + (1u << p.shift) - 1) >> p.shift;
  w.ordered = std::is_floating_point_v<T>;
  w.n_columns = p.counts ? 2 : 1;
  const std::uint64_t rows = rows_padded(w);
  T* sums = stage.memory().place<T>(rows, kPage);
  std::fill_n(sums, rows, T{});
  w.columns[0] = {.address = address_of(sums), .dtype = dtype_of<T>(), .op = CADRE_ADD};
  std::vector<T> expected_sums(rows, T{});
  std::vector<std::uint32_t> expected_counts(rows, 0);
  apply_plainly<T>(p, mode == ScatterMode::dense, expected_sums, expected_counts);
  job.expected.push_back(expect("the column of sums", sums, expected_sums));
  std::uint64_t row_bytes = sizeof(T);
  if (p.counts) {
    auto* counts = stage.memory().place<std::uint32_t>(rows, kPage);
    std::fill_n(counts, rows, 0u);
    w.columns[1] = {.address = address_of(counts), .dtype = dtype_of<std::uint32_t>(), .op = CADRE_ADD, .counts = 1};
    job.expected.push_back(expect("the column of counts", counts, expected_counts));
    row_bytes += sizeof(std::uint32_t);
  }
  if (mode == ScatterMode::dense) {
    w.partial_bytes += rows * row_bytes;
  } else {
    w.room_pages = room_pages;
    w.partial_bytes += list_bytes(sizeof(T)) + room_pages * PageLayout(w.n_segments, sizeof(T)).bytes;
  }
}

/** Puts a map into `job`; in place: its output is its input. */
template <class T>
void map(Stage& stage, StagedJob& job, const Pattern& p, bool in_place) {
  Work& w = job.work;
  T* x = input<T>(stage, w, p);
  T* y = in_place ? x : stage.memory().place<T>(p.elements, kPage);
  w.code.run = map_run<T>;
  w.copies = in_place;
  w.n_outputs = 1;
  w.outputs[0] = {.address = address_of(y), .row_bytes = sizeof(T), .shape = w.inputs[0].shape, .map = 1};
  std::vector<T> expected;
  for (std::uint64_t i = 0; i < p.elements; ++i) expected.push_back(mapped(x[i]));
  job.expected.push_back(expect("the output of the map", y, expected));
  w.copies_at = round_up(w.partial_bytes, 64);
  if (in_place) w.partial_bytes = w.copies_at + round_up(p.chunk_elements * sizeof(T), 64);
}

template <class T>
Scenario scattering(std::string name, ScatterMode mode, Pattern pattern, std::uint64_t room_pages = 1, std::uint64_t jobs = 2) {
  return {std::move(name), [=](Stage& stage) {
            for (std::uint64_t seed = 1; seed <= jobs; ++seed) {
              Pattern p = pattern;
              p.seed = seed;
              const Pattern& kept = *keep(p);
              StagedJob job{.work = work_of(stage, kept)};
              scatter<T>(stage, job, kept, mode, room_pages);
              stage.add(std::move(job));
            }
          }};
}

template <class T>
Scenario mapping(std::string name, Pattern pattern, bool in_place, ScatterMode mode = ScatterMode::none) {
  return {std::move(name), [=](Stage& stage) {
            for (std::uint64_t seed : {1, 2}) {
              Pattern p = pattern;
              p.seed = seed;
              const Pattern& kept = *keep(p);
              StagedJob job{.work = work_of(stage, kept)};
              if (mode != ScatterMode::none) scatter<T>(stage, job, kept, mode, 1);
              map<T>(stage, job, kept, in_place);
              stage.add(std::move(job));
            }
          }};
}

/** Two folds in the same memory, each with the job that finishes it. */
template <class T>
Scenario folding(std::string name, Pattern pattern) {
  return {std::move(name), [=](Stage& stage) {
            std::byte* accumulators = stage.memory().place<std::byte>(kMostChunks * 8, kPage);
            T* previous = stage.memory().place<T>(1, kPage);
            for (std::uint64_t seed : {1, 2}) {
              Pattern p = pattern;
              p.seed = seed;
              const Pattern& kept = *keep(p);
              StagedJob job{.work = work_of(stage, kept)};
              Work& w = job.work;
              const T* x = input<T>(stage, w, kept);
              w.code.run = fold_run<T>;
              w.code.identity = fold_identity<T>;
              w.code.combine = fold_combine<T>;
              w.code.finish = fold_finish<T>;
              w.plan.accumulator_bytes = sizeof(T);
              w.accumulators = address_of(accumulators);
              w.accumulator_stride = 8;
              stage.add(job);

              T* result = stage.memory().place<T>(1, kPage);
              *result = T{};
              w.kind = WorkKind::finish;
              w.n_accumulators = w.chunks;
              w.elements = w.chunk_elements = w.chunks = 1;
              w.previous = address_of(previous);
              w.n_results = 1;
              w.results[0] = address_of(result);
              w.plan.results[0] = {dtype_of<T>(), 0, {}};
              // The tree: neighbours of one height as soon as both are there, then what is left from the back.
              std::vector<std::pair<T, int>> stack;
              const auto join = [&] {
                const T last = stack.back().first;
                stack.pop_back();
                stack.back() = {combined<CADRE_ADD, T>(stack.back().first, last), stack.back().second + 1};
              };
              for (std::uint64_t c = 0; c < kept.chunks(); ++c) {
                T sum{};
                for (std::uint64_t i = c * kept.chunk_elements; i < std::min(kept.elements, (c + 1) * kept.chunk_elements); ++i) sum = combined<CADRE_ADD, T>(sum, x[i]);
                stack.emplace_back(sum, 0);
                while (stack.size() > 1 && stack.back().second == stack[stack.size() - 2].second) join();
              }
              while (stack.size() > 1) join();
              job.expected.push_back(expect("the fold's result", result, {stack.front().first}));
              stage.add(std::move(job));
            }
          }};
}

std::vector<Scenario> all() {
  using I = std::int64_t;
  using D = double;
  constexpr auto dense = ScatterMode::dense, sparse = ScatterMode::sparse;
  const Pattern folded{.elements = 14, .chunk_elements = 3};
  const Pattern segments{.elements = 11, .chunk_elements = 4, .rows = 20, .shift = 3, .entries = 4, .counts = true};
  const Pattern blocks{.elements = 6, .chunk_elements = 3, .rows = 1024, .shift = 10, .entries = 4};
  Pattern some = segments;
  some.some = true;
  const Pattern entries{.elements = 16, .chunk_elements = 13, .rows = 30, .shift = 5, .entries = 41};
  const Pattern sentences{.elements = 11, .chunk_elements = 4, .rows = 20, .shift = 3, .entries = 3, .page_each = true, .some = true, .counts = true};
  const Pattern plain{.elements = 22, .chunk_elements = 8};
  return {
      folding<I>("FoldOfIntegers", folded),
      folding<D>("FoldOfDoubles", folded),
      mapping<I>("MapOfIntegers", plain, false),
      mapping<I>("MapInPlaceOfIntegers", plain, true),
      mapping<D>("MapInPlaceOfDoubles", plain, true),
      scattering<I>("DenseIntegersInSegments", dense, segments),
      scattering<D>("DenseDoublesInSegments", dense, segments),
      scattering<I>("DenseIntegersInBlocks", dense, blocks),
      scattering<D>("DenseDoublesInBlocks", dense, blocks),
      scattering<I>("SparseIntegersInSegments", sparse, some),
      scattering<D>("SparseDoublesInSegments", sparse, some),
      scattering<I>("SparseIntegersInBlocks", sparse, entries, 1, 1),
      scattering<D>("SparseDoublesInBlocks", sparse, entries, 1, 1),
      scattering<I>("SparseIntegersInSentences", sparse, sentences, 2),
      scattering<D>("SparseDoublesInSentences", sparse, sentences, 2),
      mapping<I>("MapInPlaceWithDenseSums", segments, true, dense),
      mapping<D>("MapInPlaceWithSparseSums", some, true, sparse),
  };
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> list = all();
  return list;
}

const Scenario& scenario(const std::string& name) {
  for (const Scenario& s : scenarios())
    if (s.name == name) return s;
  throw Error("there is no scenario " + name);
}

}  // namespace cadre::crash
