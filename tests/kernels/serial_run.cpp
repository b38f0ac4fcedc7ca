#include "serial_run.hpp"

#include <cmath>
#include <limits>

#include <cadre/shm/sanitizers.hpp>

namespace cadre::test {

Tensor::Tensor(cadre_dtype dtype, std::vector<std::int64_t> shape, std::size_t offset)
    : shape_(std::move(shape)), dtype_(dtype) {
  count_ = 1;
  for (std::int64_t d : shape_) count_ *= static_cast<std::size_t>(d);
  const std::size_t before = offset * builtin::bytes_of(dtype);
  memory_.reset(static_cast<std::byte*>(::operator new(before + bytes() + (bytes() == 0), std::align_val_t{64})));
  data_ = memory_.get() + before;
  std::memset(data_, 0xA5, bytes());
}

cadre_tensor Tensor::view(std::vector<std::int64_t>& shape, std::int64_t first, std::int64_t rows) const {
  shape = shape_;
  cadre_tensor t{};
  std::size_t row = builtin::bytes_of(dtype_);
  for (std::size_t axis = 1; axis < shape_.size(); ++axis) row *= static_cast<std::size_t>(shape_[axis]);
  if (rows >= 0) shape[0] = rows;
  t.data = data_ ? static_cast<std::byte*>(data_) + static_cast<std::size_t>(first) * row : nullptr;
  t.device = {1, 0};
  t.ndim = static_cast<std::int32_t>(shape.size());
  t.dtype = dtype_;
  t.shape = shape.data();
  return t;
}

const cadre_kernel* kernel(std::string_view name, Level level) {
  const cadre_kernel* k = find_kernel(name, level);
  if (!k) throw std::logic_error("no kernel " + std::string(name));
  return k;
}

std::vector<Level> levels() {
#if CADRE_UNDER_ASAN
  return {best_level()};  // the others are the same code
#else
  std::vector<Level> all;
  for (Level level : {Level::v2, Level::v3, Level::v4})
    if (has_level(level)) all.push_back(level);
  return all;
#endif
}

std::vector<std::int64_t> shape(std::size_t rows, std::size_t columns) { return {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)}; }

std::vector<double> uniform(std::size_t n, double lo, double hi, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<double> out(n);
  for (double& v : out) v = std::uniform_real_distribution<double>(lo, hi)(random);
  return out;
}

SerialRun::SerialRun(const cadre_kernel* k) : kernel_(*k), outputs_(k->n_outputs), results_(k->n_results) {
  for (std::uint32_t i = 0; i < k->n_params; ++i) {
    const cadre_param& p = k->params[i];
    const bool given = p.presence == CADRE_PARAM_DEFAULT;
    params_.push_back({p.kind, given, given ? p.default_value : 0, given ? static_cast<std::int64_t>(p.default_value) : 0});
  }
  for (std::uint32_t i = 0; i < k->n_outputs; ++i)
    if (!(k->outputs[i].flags & CADRE_OUT_OPTIONAL)) wanted_ |= 1u << i;
}

SerialRun& SerialRun::param(std::string_view name, double value) {
  for (std::uint32_t i = 0; i < kernel_.n_params; ++i)
    if (name == kernel_.params[i].name) {
      params_[i] = {kernel_.params[i].kind, 1, value, std::fabs(value) < 0x1p63 ? static_cast<std::int64_t>(value) : 0};
      return *this;
    }
  throw std::logic_error("no parameter " + std::string(name));
}

int SerialRun::operator()() {
  accumulator_.reset();
  carried_ = {};
  carries_ = {};
  std::mt19937 random(cut_.seed);
  for (std::uint32_t pass = 0; pass < kernel_.passes; ++pass) {
    plan_ = {};
    plan_.size = sizeof plan_;
    plan_.pass = pass;
    plan_.n_inputs = kernel_.n_inputs;
    plan_.n_params = kernel_.n_params;
    plan_.outputs_wanted = wanted_;
    for (std::uint32_t i = 0; i < kernel_.n_inputs; ++i) {
      plan_.inputs[i].dtype = inputs_.at(i).dtype();
      plan_.inputs[i].ndim = static_cast<std::int32_t>(inputs_[i].shape().size());
      std::copy(inputs_[i].shape().begin(), inputs_[i].shape().end(), plan_.inputs[i].shape);
    }
    std::copy(params_.begin(), params_.end(), plan_.params);
    const Buffer before = std::move(accumulator_);
    plan_.previous = before.get();
    if (int refused = kernel_.plan(&plan_)) return message_ = plan_.message, refused;
    again_ = false;
    carried_ = std::move(carries_);
    carries_ = {};
    if (plan_.carried.dtype.bits) {
      plan_.outputs[0] = plan_.carried;
      carries_ = Tensor(plan_.carried.dtype, shape_of(plan_.carried));
    }
    if (int failed = run_pass(random)) return failed;
    if (again_ && accumulator_ && pass + 1 < kernel_.passes) --pass;
  }
  return CADRE_OK;
}

SerialRun::Buffer SerialRun::buffer(std::size_t bytes) {
  Buffer b(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{64})));
  std::memset(b.get(), 0x5A, bytes);
  return b;
}

std::size_t SerialRun::output_index(std::string_view name) const {
  for (std::uint32_t i = 0; i < kernel_.n_outputs; ++i)
    if (name == kernel_.outputs[i].name) return i;
  throw std::logic_error("no output " + std::string(name));
}

std::size_t SerialRun::result_index(std::string_view name) const {
  for (std::uint32_t i = 0; i < kernel_.n_results; ++i)
    if (name == kernel_.results[i].name) return i;
  throw std::logic_error("no result " + std::string(name));
}

struct SerialRun::Scatter {
  cadre_scatter c{};
  SerialRun* run = nullptr;
  std::uint64_t flushes = 0;
  std::vector<std::uint32_t> indexes;
  std::vector<std::byte> values;
  std::vector<void*> dense_pointers;

  void take() {
    run->pending_index_.insert(run->pending_index_.end(), indexes.begin(), indexes.begin() + static_cast<std::ptrdiff_t>(c.used));
    run->pending_value_.insert(run->pending_value_.end(), values.begin(),
                               values.begin() + static_cast<std::ptrdiff_t>(c.used * c.value_bytes));
    c.used = 0;
  }
  int flush() {
    if (flushes-- == 0) return CADRE_FULL;
    take();
    return CADRE_OK;
  }
};

int SerialRun::run_pass(std::mt19937& random) {
  for (std::uint32_t i = 0; i < kernel_.n_outputs; ++i)
    if (!carries_.data() && (wanted_ >> i & 1) && plan_.outputs[i].dtype.bits && !outputs_[i].data()) outputs_[i] = Tensor(plan_.outputs[i].dtype, shape_of(plan_.outputs[i]), cut_.out_offset);
  for (std::uint32_t i = 0; i < kernel_.n_results; ++i)
    if (plan_.results[i].dtype.bits && !results_[i].data()) results_[i] = Tensor(plan_.results[i].dtype, shape_of(plan_.results[i]));
  make_columns();

  const std::uint64_t grain = std::max<std::uint64_t>(1, plan_.grain), grains = (plan_.elements + grain - 1) / grain;
  std::vector<std::uint64_t> at{0};
  for (std::uint64_t c = 1; c < cut_.chunks && grains > 1; ++c)
    at.push_back(std::uniform_int_distribution<std::uint64_t>(0, grains)(random) * grain);
  at.push_back(plan_.elements);
  for (std::uint64_t& a : at) a = std::min(a, plan_.elements);
  std::sort(at.begin(), at.end());
  at.erase(std::unique(at.begin(), at.end()), at.end());

  std::vector<Buffer> accumulators;
  for (std::size_t c = 0; c + 1 < at.size(); ++c) {
    std::uint64_t from = at[c], length = at[c + 1] - from;
    void* accumulator = nullptr;
    if (plan_.accumulator_bytes) {
      accumulators.push_back(buffer(plan_.accumulator_bytes));
      accumulator = accumulators.back().get();
    }
    for (std::uint64_t part = length; from < at[c + 1];) {
      part = std::min(part, at[c + 1] - from);
      int status = CADRE_OK;
      for (int repeat = 0; repeat < 2 && status == CADRE_OK; ++repeat) status = run_part(from, part, accumulator);
      if (status == CADRE_FULL && part > 1) {
        part /= 2;
        continue;
      }
      if (status != CADRE_OK) return status;
      commit();
      from += part;
    }
  }
  if (plan_.accumulator_bytes && accumulators.empty()) {
    accumulators.push_back(buffer(plan_.accumulator_bytes));
    kernel_.identity(&plan_, accumulators[0].get());
  }
  while (accumulators.size() > 1) {
    const std::size_t left = std::uniform_int_distribution<std::size_t>(0, accumulators.size() - 2)(random);
    kernel_.combine(&plan_, accumulators[left].get(), accumulators[left + 1].get());
    accumulators.erase(accumulators.begin() + static_cast<std::ptrdiff_t>(left) + 1);
  }
  if (!accumulators.empty()) accumulator_ = std::move(accumulators[0]);
  return finish();
}

int SerialRun::run_part(std::uint64_t first, std::uint64_t count, void* accumulator) {
  cadre_chunk chunk{};
  chunk.size = sizeof chunk;
  chunk.pass = plan_.pass;
  chunk.first = first;
  chunk.count = count;
  chunk.plan = &plan_;
  std::vector<cadre_tensor> in(kernel_.n_inputs + 1), out(kernel_.n_outputs + 1);
  std::vector<std::vector<std::int64_t>> shapes(kernel_.n_inputs + kernel_.n_outputs + 2);
  const auto f = static_cast<std::int64_t>(first), n = static_cast<std::int64_t>(count);
  for (std::uint32_t i = 0; i < kernel_.n_inputs; ++i)
    in[i] = kernel_.inputs[i].role == CADRE_ROWS ? inputs_[i].view(shapes[i], f, n) : inputs_[i].view(shapes[i]);
  for (std::uint32_t i = 0; i < kernel_.n_outputs; ++i) {
    auto& shape = shapes[kernel_.n_inputs + i];
    const bool map = kernel_.outputs[i].kind == CADRE_OUT_MAP && (wanted_ >> i & 1) && outputs_[i].data();  // none before the pass that writes it
    out[i] = map ? outputs_[i].view(shape, f, n) : outputs_[i].view(shape);
    if (!map) out[i].data = nullptr;
  }
  if (carried_.data()) in[kernel_.n_inputs] = carried_.view(shapes[shapes.size() - 2]);
  if (carries_.data()) out[0] = carries_.view(shapes.back(), f, n);
  chunk.inputs = in.data();
  chunk.outputs = out.data();
  if ((chunk.accumulator = accumulator)) kernel_.identity(&plan_, accumulator);
  const Buffer scratch = plan_.scratch_bytes ? buffer(plan_.scratch_bytes) : Buffer{};
  chunk.scratch = scratch.get();
  chunk.state = kernel_.state;

  Scatter scatter;
  if (plan_.scatter.rows) {
    scatter.run = this;
    scatter.flushes = cut_.flushes;
    scatter.indexes.resize(cut_.capacity);
    scatter.values.resize(cut_.capacity * builtin::bytes_of(plan_.scatter.value));
    pending_index_.clear();
    pending_value_.clear();
    dense_.clear();
    std::vector<void*> columns;
    if (cut_.dense)
      for (const Column& c : columns_) dense_.push_back(identity_of(c)), columns.push_back(dense_.back().data());
    scatter.dense_pointers = columns;
    scatter.c = {plan_.scatter.rows + plan_.scatter.hidden, static_cast<std::uint32_t>(columns_.size()),
                 static_cast<std::uint32_t>(builtin::bytes_of(plan_.scatter.value)),
                 cut_.dense ? scatter.dense_pointers.data() : nullptr, scatter.indexes.data(), scatter.values.data(), 0, cut_.capacity,
                 [](cadre_scatter* s) { return static_cast<Scatter*>(s->engine)->flush(); }, &scatter};
    chunk.scatter = &scatter.c;
  }
  const int status = kernel_.run(&chunk);
  if (status == CADRE_OK && plan_.scatter.rows) scatter.take();
  if (status != CADRE_OK) message_ = chunk.message, bad_row_ = chunk.bad_row;
  return status;
}

int SerialRun::finish() {
  if (!kernel_.finish) {
    publish_columns();
    return CADRE_OK;
  }
  cadre_finish f{};
  f.size = sizeof f;
  f.pass = plan_.pass;
  f.plan = &plan_;
  f.accumulator = accumulator_.get();
  f.state = kernel_.state;
  std::vector<void*> columns;
  for (Column& c : columns_) columns.push_back(c.data.data());
  f.columns = columns.data();
  std::vector<cadre_tensor> out(kernel_.n_outputs + 1), results(kernel_.n_results + 1);
  std::vector<std::vector<std::int64_t>> shapes(kernel_.n_outputs + kernel_.n_results);
  for (std::uint32_t i = 0; i < kernel_.n_outputs; ++i) {
    out[i] = outputs_[i].view(shapes[i]);
    if (kernel_.outputs[i].kind != CADRE_OUT_FINISH) out[i].data = nullptr;
  }
  for (std::uint32_t i = 0; i < kernel_.n_results; ++i) results[i] = results_[i].view(shapes[kernel_.n_outputs + i]);
  f.outputs = out.data();
  f.results = results.data();
  const int status = kernel_.finish(&f);
  again_ = f.again != 0;
  if (status != CADRE_OK) message_ = f.message;
  publish_columns();
  return status;
}

std::vector<std::uint64_t> SerialRun::identity_of(const Column& c) {
  std::vector<std::uint64_t> data(c.data.size());
  builtin::with_type(c.dtype, [&](auto type) {
    using T = decltype(type);
    using Limits = std::numeric_limits<T>;
    const T least = Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::lowest();
    const T most = Limits::has_infinity ? Limits::infinity() : Limits::max();
    T* t = reinterpret_cast<T*>(data.data());
    std::fill(t, t + data.size() * 8 / sizeof(T), c.op == CADRE_MIN ? most : c.op == CADRE_MAX ? least : T{});
  });
  return data;
}

void SerialRun::make_columns() {
  columns_.clear();
  if (!plan_.scatter.rows) return;
  for (std::uint32_t i = 0; i < kernel_.n_outputs; ++i) {
    if (kernel_.outputs[i].kind != CADRE_OUT_COLUMN) continue;
    Column c{plan_.outputs[i].dtype, kernel_.outputs[i].op, kernel_.outputs[i].counts, i, {}};
    c.data.resize(((plan_.scatter.rows + plan_.scatter.hidden) * builtin::bytes_of(c.dtype) + 7) / 8);
    c.data = identity_of(c);
    columns_.push_back(std::move(c));
  }
}

namespace {

template <class T>
void apply(std::uint32_t op, T& into, T value) {
  if constexpr (std::is_floating_point_v<T>)
    if (op != CADRE_ADD && (into != into || value != value)) return void(into = std::numeric_limits<T>::quiet_NaN());
  if (op == CADRE_ADD) into = static_cast<T>(into + value);
  if (op == CADRE_MIN) into = std::min(into, value);
  if (op == CADRE_MAX) into = std::max(into, value);
}

}  // namespace

void SerialRun::commit() {
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    Column& c = columns_[k];
    builtin::with_type(c.dtype, [&](auto type) {
      using T = decltype(type);
      T* column = reinterpret_cast<T*>(c.data.data());
      const std::size_t rows = plan_.scatter.rows + plan_.scatter.hidden;
      if (!dense_.empty())
        for (std::size_t i = 0; i < rows; ++i) apply(c.op, column[i], reinterpret_cast<const T*>(dense_[k].data())[i]);
      for (std::size_t e = 0; e < pending_index_.size(); ++e) {
        if (pending_index_[e] >= rows) throw std::logic_error("a scattered index is out of range");
        T value{1};
        if (!c.counts) std::memcpy(&value, pending_value_.data() + e * sizeof(T), sizeof(T));
        apply(c.op, column[pending_index_[e]], value);
      }
    });
  }
  dense_.clear();
  pending_index_.clear();
  pending_value_.clear();
}

void SerialRun::publish_columns() {
  for (const Column& c : columns_)
    if (wanted_ >> c.output & 1) std::memcpy(outputs_[c.output].data(), c.data.data(), outputs_[c.output].bytes());
}

}  // namespace cadre::test
