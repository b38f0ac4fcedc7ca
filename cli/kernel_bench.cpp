#include "kernel_bench.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <stdexcept>
#include <utility>

#include <cadre/kernels/declaration.hpp>
#include <cadre/shm/dtype.hpp>

namespace cadre::cli {
namespace {

constexpr std::uint64_t kPage = 4096, kEntries = 4096;

std::uint64_t product(const std::int64_t* shape, int from, int to) {
  std::uint64_t n = 1;
  for (int d = from; d < to; ++d) n *= static_cast<std::uint64_t>(shape[d]);
  return n;
}

}  // namespace

Guarded::Guarded(std::uint64_t bytes) : bytes_(bytes) {
  const std::uint64_t pages = (bytes + kPage - 1) / kPage + (bytes == 0);
  mapped_ = (pages + 2) * kPage;
  map_ = static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (map_ == MAP_FAILED || mprotect(map_ + kPage, pages * kPage, PROT_READ | PROT_WRITE) != 0) throw std::runtime_error("no memory for the examination");
  data_ = map_ + kPage + pages * kPage - bytes;
}
Guarded::Guarded(Guarded&& other) noexcept
    : map_(std::exchange(other.map_, nullptr)), data_(other.data_), bytes_(other.bytes_), mapped_(other.mapped_) {}
Guarded::~Guarded() {
  if (map_) munmap(map_, mapped_);
}
void Guarded::read_only() { mprotect(map_ + kPage, mapped_ - 2 * kPage, PROT_READ); }

KernelBench::KernelBench(const Subject& subject) : plugin_(subject.plugin), kernel_(complete(*plugin_.library().kernels[subject.kernel])) {
  plan_ = subject.plan;
  if (kernel_.plan(&plan_) != CADRE_OK) throw std::runtime_error("plan() refuses what it took before");
  places_.reserve(64);
  inputs_.reserve(subject.inputs.size());
  for (std::size_t i = 0; i < subject.inputs.size(); ++i) {
    inputs_.emplace_back(subject.inputs[i].bytes.size());
    std::memcpy(inputs_[i].data(), subject.inputs[i].bytes.data(), subject.inputs[i].bytes.size());
    inputs_[i].read_only();
    places_.emplace_back(std::string("input ") + kernel_.inputs[i].name, &inputs_[i]);
  }
}

std::uint64_t KernelBench::row_bytes(std::uint32_t o) const {
  if (kernel_.outputs[o].kind != CADRE_OUT_MAP || !(plan_.outputs_wanted >> o & 1) || plan_.pass + 1 < kernel_.passes) return 0;
  return product(plan_.outputs[o].shape, 1, plan_.outputs[o].ndim) * plan_.outputs[o].dtype.bits / 8;
}

void KernelBench::describe(const void* address, char* text, std::size_t size) const {
  const auto* at = static_cast<const std::byte*>(address);
  for (const auto& [name, memory] : places_) {
    const std::byte *begin = memory->data(), *end = begin + memory->bytes();
    if (at >= begin && at < end) {
      std::snprintf(text, size, "it writes to %s, which may only be read", name.c_str());
      return;
    }
    if (at >= end && at < end + kPage) {
      std::snprintf(text, size, "it goes %lld bytes beyond the end of %s", static_cast<long long>(at - end) + 1, name.c_str());
      return;
    }
    if (at < begin && at >= begin - 2 * kPage) {
      std::snprintf(text, size, "it goes %lld bytes before the beginning of %s", static_cast<long long>(begin - at), name.c_str());
      return;
    }
  }
  std::snprintf(text, size, "address %p, which belongs to nothing that the kernel was given", address);
}

KernelBench::Worker::Worker(const KernelBench& bench, std::uint32_t slot)
    : bench_(bench), accumulator_(bench.plan_.accumulator_bytes), scratch_((bench.plan_.scratch_bytes + 63) / 64 * 64), index_(kEntries * 4), value_(kEntries * 8) {
  const cadre_kernel& k = bench.kernel_;
  outputs_.reserve(k.n_outputs);
  for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
    outputs_.emplace_back(bench.row_bytes(o) * bench.rows());
    if (slot == 0) bench.places_.emplace_back(std::string("output ") + k.outputs[o].name, &outputs_[o]);
  }
  if (slot == 0) bench.places_.emplace_back("the accumulator", &accumulator_);
  if (slot == 0) bench.places_.emplace_back("scratch", &scratch_);
  worker_.size = sizeof worker_;
  worker_.slot = slot;
  worker_.state = k.state;
  if (k.set_up && k.set_up(&worker_) != CADRE_OK) throw std::runtime_error(std::string("set_up() fails: ") + worker_.message);
}

KernelBench::Worker::~Worker() {
  if (bench_.kernel_.tear_down) bench_.kernel_.tear_down(&worker_);
  std::erase_if(bench_.places_, [&](const auto& place) { return place.second == &accumulator_ || place.second == &scratch_ || (place.second >= outputs_.data() && place.second < outputs_.data() + outputs_.size()); });
}

void KernelBench::Worker::paint(unsigned char byte) {
  for (Guarded& out : outputs_) out.fill(byte);
}

int KernelBench::Worker::flush(cadre_scatter* s) {
  auto& entries = static_cast<Worker*>(s->engine)->entries_;
  for (std::uint64_t e = 0; e < s->used; ++e) {
    if (s->index[e] >= s->rows) throw std::runtime_error("it adds to place " + std::to_string(s->index[e]) + " of " + std::to_string(s->rows));
    const auto* index = reinterpret_cast<const std::byte*>(s->index + e);
    const auto* value = static_cast<const std::byte*>(s->value) + e * s->value_bytes;
    entries.insert(entries.end(), index, index + 4);
    entries.insert(entries.end(), value, value + s->value_bytes);
  }
  s->used = 0;
  return CADRE_OK;
}

void KernelBench::Worker::run(std::uint64_t first, std::uint64_t count) {
  const cadre_kernel& k = bench_.kernel_;
  const cadre_plan& plan = bench_.plan_;
  std::int64_t shapes[CADRE_MAX_INPUTS + CADRE_MAX_OUTPUTS][CADRE_MAX_NDIM];
  cadre_tensor inputs[CADRE_MAX_INPUTS]{}, outputs[CADRE_MAX_OUTPUTS]{};
  for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
    const cadre_shape& s = plan.inputs[i];
    std::memcpy(shapes[i], s.shape, sizeof s.shape);
    std::byte* data = bench_.inputs_[i].data();
    if (k.inputs[i].role == CADRE_ROWS) {
      shapes[i][0] = static_cast<std::int64_t>(count);
      data += first * product(s.shape, 1, s.ndim) * s.dtype.bits / 8;
    }
    inputs[i] = {data, {1, 0}, s.ndim, s.dtype, shapes[i], nullptr, 0};
  }
  for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
    const cadre_shape& s = plan.outputs[o];
    std::int64_t* shape = shapes[CADRE_MAX_INPUTS + o];
    std::memcpy(shape, s.shape, sizeof s.shape);
    const std::uint64_t row = bench_.row_bytes(o);
    if (row > 0) shape[0] = static_cast<std::int64_t>(count);
    outputs[o] = {row > 0 ? outputs_[o].data() + first * row : nullptr, {1, 0}, s.ndim, s.dtype, shape, nullptr, 0};
  }
  cadre_scatter scatter{};
  scatter.rows = plan.scatter.rows + plan.scatter.hidden;
  for (std::uint32_t o = 0; o < k.n_outputs; ++o) scatter.n_columns += k.outputs[o].kind == CADRE_OUT_COLUMN;
  scatter.value_bytes = plan.scatter.value.bits / 8;
  scatter.index = reinterpret_cast<std::uint32_t*>(index_.data());
  scatter.value = value_.data();
  scatter.capacity = kEntries;
  scatter.flush = flush;
  scatter.engine = this;
  entries_.clear();

  cadre_chunk c{};
  c.size = sizeof c;
  c.pass = plan.pass;
  c.first = first;
  c.count = count;
  c.plan = &plan;
  c.inputs = inputs;
  c.outputs = outputs;
  c.accumulator = plan.accumulator_bytes ? accumulator_.data() : nullptr;
  c.scatter = scatter.n_columns ? &scatter : nullptr;
  c.scratch = plan.scratch_bytes ? scratch_.data() : nullptr;
  c.state = k.state;
  c.worker = worker_.worker;
  if (c.accumulator) {
    accumulator_.fill(0xa5);
    k.identity(&plan, c.accumulator);
  }
  const int outcome = k.run(&c);
  if (outcome == CADRE_OK && c.scatter) flush(&scatter);
  if (outcome == CADRE_OK) return;
  c.message[sizeof c.message - 1] = 0;
  throw std::runtime_error("it refuses the sample inputs: row " + std::to_string(c.bad_row) + ": " + (c.message[0] ? c.message : "(no message)"));
}

Yield KernelBench::Worker::yield(std::uint64_t first, std::uint64_t count) const {
  Yield y;
  for (std::uint32_t o = 0; o < outputs_.size(); ++o) {
    const std::uint64_t row = bench_.row_bytes(o);
    y.outputs.emplace_back(outputs_[o].data() + first * row, outputs_[o].data() + (first + count) * row);
  }
  y.accumulator.assign(accumulator_.data(), accumulator_.data() + accumulator_.bytes());
  y.entries = entries_;
  return y;
}

}  // namespace cadre::cli
