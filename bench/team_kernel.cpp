#include <cadre/bench/harness.hpp>
#include <cadre/bench/team.hpp>
#include <cadre/bench/team_kernel.hpp>
#include <cadre/kernels/registry.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace cadre::bench {
namespace {

std::uint64_t bytes_of(const cadre_shape& s, int from_axis) {
  std::uint64_t bytes = s.dtype.bits / 8;
  for (int d = from_axis; d < s.ndim; ++d) bytes *= static_cast<std::uint64_t>(s.shape[d]);
  return bytes;
}

/** A tensor of the shape that begins at row `first` of `data` and has `count` rows; whole for count < 0. `shape` must outlive it. */
cadre_tensor tensor_of(const void* data, cadre_shape& shape, std::uint64_t first, std::int64_t count) {
  cadre_tensor t{};
  t.device.device_type = 1;
  t.ndim = shape.ndim;
  t.dtype = shape.dtype;
  t.shape = shape.shape;
  if (data) t.data = const_cast<char*>(static_cast<const char*>(data)) + (count < 0 ? 0 : first * bytes_of(shape, 1));
  if (count >= 0) shape.shape[0] = count;
  return t;
}

std::byte* aligned(std::vector<std::byte>& room) {
  return reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(room.data()) + 63) / 64 * 64);
}

}  // namespace

TeamKernel::TeamKernel(const std::string& name, int level, const std::vector<Input>& inputs, std::vector<void*> outputs,
                       const std::vector<std::pair<std::string, double>>& params)
    : kernel_(find_kernel(name, level >= 4   ? Level::v4
                                : level == 3 ? Level::v3
                                             : Level::v2)),
      outputs_(std::move(outputs)) {
  if (!kernel_ || kernel_->passes != 1) throw WrongAnswer("no kernel of one pass is named " + name);
  plan_.size = sizeof plan_;
  plan_.n_inputs = static_cast<std::uint32_t>(inputs.size());
  plan_.n_params = kernel_->n_params;
  outputs_.resize(kernel_->n_outputs);
  for (std::uint32_t o = 0; o < kernel_->n_outputs; ++o)
    if (outputs_[o] || !(kernel_->outputs[o].flags & CADRE_OUT_OPTIONAL)) plan_.outputs_wanted |= 1u << o;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs_.push_back(inputs[i].data);
    plan_.inputs[i].dtype = inputs[i].type;
    plan_.inputs[i].ndim = static_cast<std::int32_t>(inputs[i].shape.size());
    std::copy(inputs[i].shape.begin(), inputs[i].shape.end(), plan_.inputs[i].shape);
  }
  for (std::uint32_t p = 0; p < kernel_->n_params; ++p) {
    const cadre_param& declared = kernel_->params[p];
    const auto given = std::find_if(params.begin(), params.end(), [&](const auto& param) { return param.first == declared.name; });
    const double value = given != params.end() ? given->second : declared.default_value;
    plan_.params[p] = {declared.kind, given != params.end() || declared.presence == CADRE_PARAM_DEFAULT, value,
                       static_cast<std::int64_t>(value)};
  }
  if (kernel_->plan(&plan_) != CADRE_OK) throw WrongAnswer(name + " refuses: " + plan_.message);
}

void TeamKernel::run_range(std::size_t first, std::size_t count, Room& room) {
  cadre_shape shapes[CADRE_MAX_INPUTS + CADRE_MAX_OUTPUTS];
  cadre_tensor inputs[CADRE_MAX_INPUTS], outputs[CADRE_MAX_OUTPUTS];
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    shapes[i] = plan_.inputs[i];
    inputs[i] = tensor_of(inputs_[i], shapes[i], first, kernel_->inputs[i].role == CADRE_ROWS ? static_cast<std::int64_t>(count) : -1);
  }
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    cadre_shape& shape = shapes[CADRE_MAX_INPUTS + o] = plan_.outputs[o];
    const bool map = kernel_->outputs[o].kind == CADRE_OUT_MAP;
    outputs[o] = tensor_of(map ? outputs_[o] : nullptr, shape, first, map ? static_cast<std::int64_t>(count) : -1);
  }
  cadre_chunk chunk{};
  chunk.size = sizeof chunk;
  chunk.first = first;
  chunk.count = count;
  chunk.plan = &plan_;
  chunk.inputs = inputs;
  chunk.outputs = outputs;
  chunk.accumulator = plan_.accumulator_bytes ? aligned(room.accumulator) : nullptr;
  chunk.scratch = plan_.scratch_bytes ? aligned(room.scratch) : nullptr;
  chunk.state = kernel_->state;
  if (kernel_->run(&chunk) != CADRE_OK) throw WrongAnswer(std::string(kernel_->name) + " failed: " + chunk.message);
}

std::vector<double> TeamKernel::run(std::size_t grain) {
  const std::uint64_t unit = std::max<std::uint64_t>(plan_.grain, 1), units = (plan_.elements + unit - 1) / unit;
  team().execute([&] {
    for (Room& room : rooms_)
      if (plan_.accumulator_bytes) kernel_->identity(&plan_, aligned(room.accumulator));
    // A fold's accumulator gathers one range only, so each range has its own, combined into the thread's.
    tbb::parallel_for(tbb::blocked_range<std::uint64_t>(0, units, std::max<std::size_t>(1, grain / unit)),
                      [&](const tbb::blocked_range<std::uint64_t>& r) {
                        Room& mine = rooms_.local();
                        const std::uint64_t first = r.begin() * unit, count = std::min(plan_.elements, r.end() * unit) - first;
                        if (mine.scratch.empty()) mine.scratch.resize(plan_.scratch_bytes + 64);
                        if (!plan_.accumulator_bytes) return run_range(first, count, mine);
                        if (mine.accumulator.empty()) {
                          mine.accumulator.resize(plan_.accumulator_bytes + 64);
                          kernel_->identity(&plan_, aligned(mine.accumulator));
                        }
                        Room part;
                        part.accumulator.resize(plan_.accumulator_bytes + 64);
                        part.scratch.swap(mine.scratch);
                        kernel_->identity(&plan_, aligned(part.accumulator));
                        run_range(first, count, part);
                        kernel_->combine(&plan_, aligned(mine.accumulator), aligned(part.accumulator));
                        part.scratch.swap(mine.scratch);
                      });
  });
  return kernel_->finish ? finish() : std::vector<double>{};
}

std::vector<double> TeamKernel::finish() {
  std::vector<std::byte> total(plan_.accumulator_bytes + 64);
  if (plan_.accumulator_bytes) {
    kernel_->identity(&plan_, aligned(total));
    for (Room& room : rooms_)
      if (!room.accumulator.empty()) kernel_->combine(&plan_, aligned(total), aligned(room.accumulator));
  }
  cadre_shape shapes[CADRE_MAX_OUTPUTS + CADRE_MAX_RESULTS];
  cadre_tensor outputs[CADRE_MAX_OUTPUTS], results[CADRE_MAX_RESULTS];
  std::vector<std::vector<std::byte>> memory;
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    shapes[o] = plan_.outputs[o];
    outputs[o] = tensor_of(kernel_->outputs[o].kind == CADRE_OUT_FINISH ? outputs_[o] : nullptr, shapes[o], 0, -1);
  }
  for (std::uint32_t r = 0; r < kernel_->n_results; ++r) {
    cadre_shape& shape = shapes[CADRE_MAX_OUTPUTS + r] = plan_.results[r];
    results[r] = tensor_of(memory.emplace_back(bytes_of(shape, 0)).data(), shape, 0, -1);
  }
  cadre_finish finish{};
  finish.size = sizeof finish;
  finish.plan = &plan_;
  finish.accumulator = plan_.accumulator_bytes ? aligned(total) : nullptr;
  finish.outputs = outputs;
  finish.results = results;
  finish.state = kernel_->state;
  if (kernel_->finish(&finish) != CADRE_OK) throw WrongAnswer(std::string(kernel_->name) + " failed: " + finish.message);
  std::vector<double> numbers;
  for (std::uint32_t r = 0; r < kernel_->n_results; ++r) {
    if (plan_.results[r].ndim != 0) continue;
    double real = 0;
    std::int64_t whole = 0;
    std::memcpy(plan_.results[r].dtype.code == CADRE_FLOAT ? static_cast<void*>(&real) : &whole, results[r].data, 8);
    numbers.push_back(plan_.results[r].dtype.code == CADRE_FLOAT ? real : static_cast<double>(whole));
  }
  return numbers;
}

}  // namespace cadre::bench
