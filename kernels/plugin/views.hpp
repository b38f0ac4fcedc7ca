#pragma once
/* What the functions of a kernel in C++ are given: plan, chunk and finish of kernel.h, with types. */
#include <cadre/kernels/plugin/random.hpp>

#include <stdarg.h>
#include <stdio.h>

#include <type_traits>

namespace cadre {

namespace detail {

template <class T>
constexpr cadre_dtype dtype_of() {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "element types are float, double and integers of 8 to 64 bits");
  return {static_cast<uint8_t>(std::is_floating_point_v<T> ? CADRE_FLOAT : std::is_signed_v<T> ? CADRE_INT : CADRE_UINT), static_cast<uint8_t>(8 * sizeof(T)), 1};
}

inline int tell(char (&message)[256], const char* format, va_list arguments) {
  vsnprintf(message, sizeof message, format, arguments);
  return CADRE_BAD_DATA;
}

}  // namespace detail

/** Shapes and parameters are known, data are not: what will be read and written. Before plan() is called, elements are the rows of the first input that is
    cut, map outputs float64 of that length, results float64 numbers. */
class Plan {
 public:
  explicit Plan(cadre_plan* raw) : raw(*raw) {}

  uint32_t pass() const { return raw.pass; }
  uint64_t elements() const { return raw.elements; }
  /** The index space, where no input tells it. */
  void elements(uint64_t n) { raw.elements = n; }
  const cadre_shape& input(uint32_t k) const { return raw.inputs[k]; }
  /** Numbers in a row of an input: 1, or d of n x d. */
  uint64_t width(uint32_t k) const {
    uint64_t w = 1;
    for (int32_t a = 1; a < raw.inputs[k].ndim; ++a) w *= static_cast<uint64_t>(raw.inputs[k].shape[a]);
    return w;
  }
  double real(uint32_t param) const { return raw.params[param].real; }
  int64_t integer(uint32_t param) const { return raw.params[param].integer; }

  /** output<float>(0): one number for each element; output<double>(1, n, d) an array of any shape. */
  template <class T, class... Dimensions>
  void output(uint32_t k, Dimensions... d) {
    if constexpr (sizeof...(d) == 0)
      raw.outputs[k] = shape<T>(raw.elements);
    else
      raw.outputs[k] = shape<T>(d...);
  }
  /** result<int64_t>(0): a number; result<double>(0, 3): a vector. int64_t, uint64_t or double. */
  template <class T, class... Dimensions>
  void result(uint32_t k, Dimensions... d) { raw.results[k] = shape<T>(d...); }
  /** A fold's accumulator, where its size depends on parameters; else it is Accumulator's. */
  void accumulator_bytes(uint64_t bytes) { raw.accumulator_bytes = bytes; }
  /** A scatter: rows of every column, and the type of the values that are added. */
  template <class Value>
  void scatter(uint64_t rows) { raw.scatter.rows = rows, raw.scatter.value = detail::dtype_of<Value>(); }
  void scatter_counts(uint64_t rows) { raw.scatter.rows = rows; }
  /** Working memory for run(), 64-byte aligned, contents undefined. */
  void scratch(uint64_t bytes) { raw.scratch_bytes = bytes; }
  /** Chunks are multiples of n elements. */
  void grain(uint64_t n) { raw.grain = n; }
  /** Time for one element, if known: chunks of some 100 us are cut by it. Otherwise there are about 1,024 chunks. */
  void cost_ns(double ns) { raw.cost_ns = ns; }
  /** float64 operations for one element, if known, a fused multiply-add two: cadre compare holds them against what the cores can do. */
  void operations(double n) {
    if (raw.size >= offsetof(cadre_plan, operations) + sizeof raw.operations) raw.operations = n;
  }
  /** Refuses: what is wrong, and what would be right. The user gets it with exit 2. */
  __attribute__((format(printf, 2, 3))) void refuse(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome_ = detail::tell(raw.message, format, arguments);
    va_end(arguments);
  }
  int outcome() const { return outcome_; }

  cadre_plan& raw;

 private:
  template <class T, class... Dimensions>
  static cadre_shape shape(Dimensions... d) {
    static_assert(sizeof...(d) <= CADRE_MAX_NDIM);
    cadre_shape s{detail::dtype_of<T>(), static_cast<int32_t>(sizeof...(d)), {}};
    int at = 0;
    ((s.shape[at++] = static_cast<int64_t>(d)), ...);
    return s;
  }
  int outcome_ = CADRE_OK;
};

/** Elements [first(), first() + count()) of the index space, with what belongs to them. Rows are counted from the chunk's first. */
class Chunk {
 public:
  explicit Chunk(cadre_chunk* raw) : raw(*raw) {}

  uint64_t first() const { return raw.first; }
  uint64_t count() const { return raw.count; }
  uint32_t pass() const { return raw.pass; }
  /** The chunk's rows of an input, or all of one that is read whole. T is the element type that the input was declared with. */
  template <class T>
  const T* in(uint32_t k) const { return static_cast<const T*>(raw.inputs[k].data); }
  cadre_dtype type(uint32_t k) const { return raw.inputs[k].dtype; }
  /** Numbers in a row of an input. */
  uint64_t width(uint32_t k) const { return Plan(const_cast<cadre_plan*>(raw.plan)).width(k); }
  template <class T>
  T* out(uint32_t k) const { return static_cast<T*>(raw.outputs[k].data); }
  bool wants(uint32_t k) const { return raw.outputs[k].data != nullptr; }
  double real(uint32_t param) const { return raw.plan->params[param].real; }
  int64_t integer(uint32_t param) const { return raw.plan->params[param].integer; }
  template <class A>
  A& accumulator() const { return *static_cast<A*>(raw.accumulator); }
  template <class A>
  const A& previous() const { return *static_cast<const A*>(raw.plan->previous); }
  void* scratch() const { return raw.scratch; }
  /** The stream of the chunk's i-th element. */
  Random random(uint64_t seed, uint64_t i) const { return {seed, raw.first + i}; }

  /** Scatter: brings a value (of the planned type) to a place, for the chunk's i-th element. A place that is not there ends the job and names the
      row. After that, and when the list is full, nothing is added any more: the engine calls again. */
  template <class T>
  void add(uint64_t i, uint64_t place, T value) {
    cadre_scatter* s = raw.scatter;
    if (outcome_ != CADRE_OK) return;
    if (__builtin_expect(place >= s->rows, 0)) return no_such_place(i, place);
    outcome_ = cadre_scatter_push(s, static_cast<uint32_t>(place), &value);
  }
  /** Scatter of counts alone. */
  void add(uint64_t i, uint64_t place) {
    if (outcome_ != CADRE_OK) return;
    if (__builtin_expect(place >= raw.scatter->rows, 0)) return no_such_place(i, place);
    outcome_ = cadre_scatter_push(raw.scatter, static_cast<uint32_t>(place), nullptr);
  }
  /** The data are at fault: the job ends with exit 1 and names the row. */
  __attribute__((format(printf, 3, 4))) void bad_row(uint64_t i, const char* format, ...) {
    if (outcome_ == CADRE_BAD_DATA) return;  // the first stays
    va_list arguments;
    va_start(arguments, format);
    outcome_ = detail::tell(raw.message, format, arguments);
    va_end(arguments);
    raw.bad_row = raw.first + i;
  }
  int outcome() const { return outcome_; }

  cadre_chunk& raw;

 private:
  void no_such_place(uint64_t i, uint64_t place) {
    bad_row(i, "place %lld is not in 0 to %lld", static_cast<long long>(place), static_cast<long long>(raw.scatter->rows) - 1);
  }
  int outcome_ = CADRE_OK;
};

/** What is left to do when all chunks are combined. */
class Finish {
 public:
  explicit Finish(cadre_finish* raw) : raw(*raw) {}
  uint32_t pass() const { return raw.pass; }
  double real(uint32_t param) const { return raw.plan->params[param].real; }
  int64_t integer(uint32_t param) const { return raw.plan->params[param].integer; }
  template <class A>
  A& accumulator() const { return *static_cast<A*>(raw.accumulator); }
  template <class T>
  T* column(uint32_t k) const { return static_cast<T*>(raw.columns[k]); }
  template <class T>
  T* out(uint32_t k) const { return static_cast<T*>(raw.outputs[k].data); }
  template <class T>
  T& result(uint32_t k) const { return *static_cast<T*>(raw.results[k].data); }
  template <class T>
  T* results(uint32_t k) const { return static_cast<T*>(raw.results[k].data); }
  __attribute__((format(printf, 2, 3))) void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome_ = detail::tell(raw.message, format, arguments);
    va_end(arguments);
  }
  int outcome() const { return outcome_; }

  cadre_finish& raw;

 private:
  int outcome_ = CADRE_OK;
};

}  // namespace cadre
