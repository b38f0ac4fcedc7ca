#include <cadre/engine/chunk_runner.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include <cadre/engine/digest.hpp>
#include <cadre/engine/segment.hpp>
#include <cadre/pool/board.hpp>

namespace cadre {

PrivateBuffer::~PrivateBuffer() {
  if (data_) munmap(data_, bytes_);
}

std::byte* PrivateBuffer::of(std::uint64_t bytes) {
  bytes = std::max<std::uint64_t>((bytes + 4095) / 4096 * 4096, 4096);
  if (bytes <= bytes_) return data_;
  void* fresh = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) throw std::bad_alloc();
  if (data_) munmap(data_, bytes_);
  if (bytes >= (4u << 20)) madvise(fresh, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(fresh);
  bytes_ = bytes;
  return data_;
}

ChunkRunner::ChunkRunner(const Work& work, std::vector<std::string> plugins, bool own_process)
    : work_(work), plugin_files_(std::move(plugins)), own_process_(own_process), plugins_(plugin_files_.size()) {}

namespace {

/** The tensors of a kernel call, with the shapes that DLPack wants by pointer. */
struct Tensors {
  std::array<cadre_tensor, CADRE_MAX_OUTPUTS> tensor;
  std::array<std::array<std::int64_t, CADRE_MAX_NDIM>, CADRE_MAX_OUTPUTS> shape;

  void set(std::size_t i, std::byte* data, const cadre_shape& s, std::int64_t rows) {
    std::copy_n(s.shape, CADRE_MAX_NDIM, shape[i].begin());
    if (rows >= 0 && s.ndim > 0) shape[i][0] = rows;
    tensor[i] = {.data = data, .device = {1, 0}, .ndim = s.ndim, .dtype = s.dtype, .shape = shape[i].data(), .strides = nullptr, .byte_offset = 0};
  }
};

/** What a scatter's flush needs; `engine` of cadre_scatter. */
struct ListTaker {
  const Work* work;
  std::byte* base;                  // of the partial, as a kernel may write it
  void* const* dense;
  std::uint64_t pages = 0;
  bool bad_index = false;

  static int flush(cadre_scatter* s) {
    auto& self = *static_cast<ListTaker*>(s->engine);
    if (s->used == 0) return CADRE_OK;
    bool good;
    if (self.dense) {
      good = add_list(*self.work, self.dense, s->index, static_cast<const std::byte*>(s->value), std::min(s->used, kDenseListEntries));
    } else {
      if (self.pages == self.work->room_pages) return CADRE_FULL;
      good = sort_page(*self.work, self.base, self.pages, std::min(s->used, kPageEntries));
      if (good) ++self.pages;
    }
    s->used = 0;
    if (good) return CADRE_OK;
    self.bad_index = true;
    return CADRE_BAD_DATA;
  }
};

}  // namespace

void ChunkRunner::complain(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, ComplaintKind kind, std::uint64_t row, const char* text) {
  Complaint& c = protocol(reinterpret_cast<Complaint*>(work_.complaints))[place.slot];
  c.kind = static_cast<std::uint32_t>(kind);
  c.row = row;
  c.chunk = chunk;
  std::snprintf(c.text, sizeof c.text, "%s", text);
  c.epoch.store(epoch, std::memory_order_release);  // partner: the caller's acquire, after the job
  auto* stop = protocol(reinterpret_cast<std::atomic<std::uint32_t>*>(work_.stop));
  stop->store(static_cast<std::uint32_t>(Stop::abandon));
}

bool ChunkRunner::prepare(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk) {
  if (prepared_ == epoch) return true;
  SlotPlace place{.slot = slot};
  if (own_process_) {
    std::size_t failed = 0;
    int error = map_for_job({work_.mappings.data(), work_.n_mappings}, failed);
    if (!error && work_.partial_bytes > 0) {
      const Mapping own{.address = reinterpret_cast<const std::uint64_t*>(work_.partials)[slot], .bytes = work_.partial_bytes, .writable = 1};
      error = map_for_job({&own, 1}, failed);
      failed = kMaxMappings;  // none of the pass's arrays
    }
    if (error) {
      complain(place, epoch, chunk, ComplaintKind::mapping, failed, std::strerror(error));
      return false;
    }
  }
  code_ = work_.code;
  if (code_.captured > 0) code_.state = const_cast<std::byte*>(work_.code.capture);
  if (code_.plugin >= 0) {
    auto& plugin = plugins_.at(static_cast<std::size_t>(code_.plugin));
    try {
      if (!plugin) plugin = std::make_unique<Plugin>(plugin_files_.at(static_cast<std::size_t>(code_.plugin)));
    } catch (const std::exception& e) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, e.what());
      return false;
    }
    if (code_.kernel >= plugin->library().count) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, "the plug-in was exchanged while the job ran");
      return false;
    }
    const cadre_kernel& k = *plugin->library().kernels[code_.kernel];
    code_.run = k.run;
    code_.identity = k.identity;
    code_.combine = k.combine;
    code_.finish = k.finish;
    code_.state = k.state;
  }
  prepared_ = epoch;
  return true;
}

Outcome ChunkRunner::run(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk, bool resumed) noexcept {
  SlotPlace place;
  place.slot = slot;
  place.line = protocol(reinterpret_cast<SlotLine*>(work_.lines)) + slot;
  place.stop = reinterpret_cast<const std::atomic<std::uint32_t>*>(work_.stop);
  const Record record = resumed ? Record::of(place.line->record.load()) : Record{};
  if (resumed && work_.n_segments > 0) release_locks(protocol(reinterpret_cast<Segment*>(work_.segments)), work_.n_segments, slot, record);
  const auto abandoned = [&] { return place.stop->load() == static_cast<std::uint32_t>(Stop::abandon); };
  if (resumed && abandoned()) {
    if (work_.n_segments > 0) release_locks(protocol(reinterpret_cast<Segment*>(work_.segments)), work_.n_segments, slot, Record{});
    return Outcome::abandoned;
  }
  try {
    if (!prepare(slot, epoch, chunk)) return Outcome::abandoned;
    if (work_.images) {
      place.header = protocol(reinterpret_cast<PartHeader*>(work_.images + slot * work_.image_stride));
      place.image = reinterpret_cast<std::byte*>(place.header + 1);
    }
    if (work_.partial_bytes > 0) place.partial = window(reinterpret_cast<std::byte*>(reinterpret_cast<const std::uint64_t*>(work_.partials)[slot]));
    if (resumed && !record.ready) place.line->retries.fetch_add(1, std::memory_order_relaxed);
    switch (work_.kind) {
      case WorkKind::kernel: return run_kernel(place, epoch, chunk, resumed);
      case WorkKind::finish: return finish(place, epoch) ? Outcome::done : Outcome::abandoned;
      case WorkKind::digest: hash(chunk); return Outcome::done;
      case WorkKind::bulk: move_bulk(chunk); return Outcome::done;
    }
  } catch (const std::exception& e) {
    complain(place, epoch, chunk, ComplaintKind::exception, 0, e.what());
  } catch (...) {
    complain(place, epoch, chunk, ComplaintKind::exception, 0, "an exception that is not a std::exception");
  }
  return Outcome::abandoned;
}

Outcome ChunkRunner::run_kernel(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, bool resumed) {
  const ChunkRange range = range_of(work_, chunk);
  Record record = resumed ? Record::of(place.line->record.load()) : Record{};
  if (work_.scatter == ScatterMode::none && !work_.copies) {
    // Outputs and accumulator are this chunk's own memory: written again, they are the same.
    std::uint64_t to = range.count;
    return compute(place, epoch, chunk, 0, to) ? Outcome::done : Outcome::abandoned;
  }
  for (;;) {
    std::uint64_t to = range.count;
    if (!record.ready) {
      if (!compute(place, epoch, chunk, record.from, to)) return Outcome::abandoned;
      place.header->to = to;
      record = {.ready = true, .from = record.from};
      store_record(*place.line, record);  // step 3
    }
    to = std::clamp<std::uint64_t>(place.header->to, record.from, range.count);
    const bool last = to == range.count;
    if (work_.copies) copy_outputs(place, range.first + record.from, to - record.from);
    if (work_.scatter != ScatterMode::none && !apply_partial(work_, place, record, static_cast<std::uint32_t>(chunk), last)) return Outcome::abandoned;
    if (last) return Outcome::done;
    record = {.ready = false, .from = static_cast<std::uint32_t>(to)};
    store_record(*place.line, record);  // on with the next part
  }
}

// Step 2: the kernel, over elements [from, to) of the chunk. `to` comes back lower when the partial's room was used up.
bool ChunkRunner::compute(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, std::uint64_t from, std::uint64_t& to) {
  const ChunkRange range = range_of(work_, chunk);
  Tensors inputs, outputs;
  cadre_chunk c{};
  c.size = sizeof c;
  c.pass = work_.plan.pass;
  c.plan = &work_.plan;
  c.inputs = inputs.tensor.data();
  c.outputs = outputs.tensor.data();
  c.state = code_.state;
  c.flags = work_.stream ? CADRE_STREAM : 0;
  std::byte* const accumulator = work_.accumulators ? accumulator_.of(work_.plan.accumulator_bytes) : nullptr;
  c.accumulator = accumulator;
  c.scratch = work_.plan.scratch_bytes ? scratch_.of(work_.plan.scratch_bytes) : nullptr;

  cadre_scatter scatter{};
  ListTaker taker{&work_, place.partial, nullptr};
  std::array<void*, CADRE_MAX_OUTPUTS> columns{};
  if (work_.scatter != ScatterMode::none) {
    scatter.rows = work_.rows;
    scatter.n_columns = work_.n_columns;
    scatter.value_bytes = static_cast<std::uint32_t>(value_bytes(work_));
    const bool sparse = work_.scatter == ScatterMode::sparse;
    scatter.capacity = sparse ? kPageEntries : kDenseListEntries;
    std::byte* list = sparse ? place.partial : list_.of(scatter.capacity * (4 + value_bytes(work_)));
    scatter.index = reinterpret_cast<std::uint32_t*>(list);
    scatter.value = list + scatter.capacity * 4;
    scatter.flush = ListTaker::flush;
    scatter.engine = &taker;
    if (work_.scatter == ScatterMode::dense) {
      std::byte* at = place.partial;
      for (std::uint32_t k = 0; k < work_.n_columns; ++k) {
        columns[k] = at;
        at += rows_padded(work_) * size_of(work_.columns[k].dtype);
      }
      scatter.dense = columns.data();
      taker.dense = columns.data();
    }
    c.scatter = &scatter;
  }

  for (;;) {
    c.first = range.first + from;
    c.count = to - from;
    for (std::uint32_t i = 0; i < work_.n_inputs; ++i) {
      const WorkInput& in = work_.inputs[i];
      auto* data = reinterpret_cast<std::byte*>(in.address);
      if (in.whole)
        inputs.set(i, data, in.shape, -1);
      else
        inputs.set(i, data + c.first * in.row_bytes, in.shape, static_cast<std::int64_t>(c.count));
    }
    std::byte* copy = place.partial;
    for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
      const WorkOutput& out = work_.outputs[o];
      std::byte* data = nullptr;
      if (out.map && out.address) {
        data = work_.copies ? copy : window(reinterpret_cast<std::byte*>(out.address)) + c.first * out.row_bytes;
        copy += (work_.chunk_elements * out.row_bytes + 63) / 64 * 64;
      }
      outputs.set(o, data, out.shape, out.map ? static_cast<std::int64_t>(c.count) : -1);
    }
    if (work_.scatter == ScatterMode::dense) clear_dense(work_, place.partial);
    scatter.used = 0;
    taker.pages = 0;
    taker.bad_index = false;

    place.line->phase.store(static_cast<std::uint32_t>(Phase::kernel), std::memory_order_relaxed);
    if (accumulator) code_.identity(&work_.plan, accumulator);
    int outcome = code_.run(&c);
    if (outcome == CADRE_OK && c.scatter) outcome = ListTaker::flush(&scatter);
    place.line->phase.store(static_cast<std::uint32_t>(Phase::combining), std::memory_order_relaxed);

    if (outcome == CADRE_FULL && c.scatter && c.count > 1) {
      to = from + (c.count + 1) / 2;
      continue;
    }
    if (outcome != CADRE_OK) {
      c.message[sizeof c.message - 1] = 0;
      const char* text = c.message[0] ? c.message : taker.bad_index ? "an index to be added to is out of range" : "the kernel reports a failure without a message";
      if (outcome == CADRE_FULL && !c.scatter) text = "the kernel says that a list is full, but has none";
      if (outcome == CADRE_FULL && c.scatter) text = "one element adds more entries than the room of a partial holds; give --chunk a higher value";
      complain(place, epoch, chunk, outcome == CADRE_BAD_DATA && !taker.bad_index ? ComplaintKind::bad_data : ComplaintKind::exception, c.bad_row, text);
      return false;
    }
    break;
  }
  if (accumulator)
    std::memcpy(protocol(reinterpret_cast<std::byte*>(work_.accumulators)) + chunk * work_.accumulator_stride, accumulator, work_.plan.accumulator_bytes);
  if (place.header) place.header->pages = taker.pages;
  return true;
}

void ChunkRunner::copy_outputs(const SlotPlace& place, std::uint64_t first, std::uint64_t count) const {
  const std::byte* from = place.partial;
  for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
    const WorkOutput& out = work_.outputs[o];
    if (!out.map || !out.address) continue;
    std::memcpy(window(reinterpret_cast<std::byte*>(out.address)) + first * out.row_bytes, from, count * out.row_bytes);
    from += (work_.chunk_elements * out.row_bytes + 63) / 64 * 64;
  }
}

// The accumulators of all chunks in a fixed binary tree over chunk numbers: two neighbours of one height are combined as soon as both are there.
void ChunkRunner::fold(std::byte* accumulator) {
  const std::uint64_t bytes = work_.plan.accumulator_bytes, stride = (bytes + 63) / 64 * 64;
  const auto* each = reinterpret_cast<const std::byte*>(work_.accumulators);
  constexpr int kHeights = 26;  // of kMaxChunks, and one to spare
  std::byte* stack = stack_.of(stride * kHeights);
  std::array<int, kHeights> height{};
  int depth = 0;
  for (std::uint64_t c = 0; c < work_.n_accumulators; ++c) {
    std::memcpy(stack + depth * stride, each + c * work_.accumulator_stride, bytes);
    height[static_cast<std::size_t>(depth++)] = 0;
    while (depth > 1 && height[static_cast<std::size_t>(depth - 1)] == height[static_cast<std::size_t>(depth - 2)]) {
      code_.combine(&work_.plan, stack + (depth - 2) * stride, stack + (depth - 1) * stride);
      ++height[static_cast<std::size_t>(--depth - 1)];
    }
  }
  for (; depth > 1; --depth) code_.combine(&work_.plan, stack + (depth - 2) * stride, stack + (depth - 1) * stride);
  if (depth == 1)
    std::memcpy(accumulator, stack, bytes);
  else
    code_.identity(&work_.plan, accumulator);
}

// Reads what was combined, writes only the outputs of finish and its own buffers: may be run again.
bool ChunkRunner::finish(const SlotPlace& place, std::uint32_t epoch) {
  place.line->phase.store(static_cast<std::uint32_t>(Phase::kernel), std::memory_order_relaxed);
  std::byte* accumulator = nullptr;
  if (work_.accumulators) {
    accumulator = accumulator_.of(work_.plan.accumulator_bytes);
    fold(accumulator);
  }
  if (code_.finish) {
    Tensors outputs, results;
    std::array<void*, CADRE_MAX_OUTPUTS> columns{};
    for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
      const WorkOutput& out = work_.outputs[o];
      outputs.set(o, out.address ? window(reinterpret_cast<std::byte*>(out.address)) : nullptr, out.shape, -1);
    }
    for (std::uint32_t r = 0; r < work_.n_results; ++r) results.set(r, window(reinterpret_cast<std::byte*>(work_.results[r])), work_.plan.results[r], -1);
    for (std::uint32_t k = 0; k < work_.n_columns; ++k) columns[k] = window(reinterpret_cast<std::byte*>(work_.columns[k].address));
    cadre_finish f{};
    f.size = sizeof f;
    f.pass = work_.plan.pass;
    f.plan = &work_.plan;
    f.accumulator = accumulator;
    f.columns = work_.n_columns ? columns.data() : nullptr;
    f.outputs = outputs.tensor.data();
    f.results = results.tensor.data();
    f.state = code_.state;
    if (code_.finish(&f) != CADRE_OK) {
      f.message[sizeof f.message - 1] = 0;
      complain(place, epoch, 0, ComplaintKind::exception, 0, f.message[0] ? f.message : "the kernel's finish reports a failure without a message");
      return false;
    }
  }
  if (accumulator && work_.previous) std::memcpy(protocol(reinterpret_cast<std::byte*>(work_.previous)), accumulator, work_.plan.accumulator_bytes);
  place.line->phase.store(static_cast<std::uint32_t>(Phase::combining), std::memory_order_relaxed);
  return true;
}

// Blocks are whole ones from the front of each entry, so what is written again is the same.
void ChunkRunner::move_bulk(std::uint64_t block) const {
  for (std::uint32_t i = 0; i < work_.n_bulk; ++i) {
    const WorkBulk& b = work_.bulk[i];
    const std::uint64_t blocks = (b.bytes + kBulkBytes - 1) / kBulkBytes;
    if (block >= blocks) {
      block -= blocks;
      continue;
    }
    const std::uint64_t at = block * kBulkBytes, bytes = std::min(kBulkBytes, b.bytes - at);
    std::byte* to = protocol(reinterpret_cast<std::byte*>(b.to)) + at;
    if (b.from)
      std::memcpy(to, reinterpret_cast<const std::byte*>(b.from) + at, bytes);
    else
      fill_identity(work_.columns[b.column], to, bytes / size_of(work_.columns[b.column].dtype));
    return;
  }
}

void ChunkRunner::hash(std::uint64_t chunk) {
  const ChunkRange range = range_of(work_, chunk);
  for (std::uint64_t block = range.first; block < range.first + range.count; ++block) hash_block(work_, block);
}

}  // namespace cadre
