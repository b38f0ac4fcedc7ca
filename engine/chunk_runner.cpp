#include <cadre/engine/chunk_runner.hpp>

#include <cxxabi.h>
#include <sys/mman.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include <cadre/engine/digest.hpp>
#include <cadre/engine/operation.hpp>
#include <cadre/engine/segment.hpp>
#include <cadre/kernels/declaration.hpp>
#include <cadre/pool/board.hpp>
#include <cadre/shm/futex.hpp>

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

constexpr int kThrown = -0x7fffffff;  // in the place of a kernel's outcome

std::uint64_t hash_of(const std::byte* at, std::uint64_t bytes, std::uint64_t seed) { return XXH3_64bits_withSeed(at, bytes, seed); }

void fill_values(cadre_dtype type, double value, std::byte* at, std::uint64_t count) {
  with_operation(CADRE_ADD, type, [&]<cadre_op, class T>() {
    T filling = 0;
    if constexpr (std::is_floating_point_v<T>)
      filling = static_cast<T>(value);
    else if (value >= static_cast<double>(std::numeric_limits<T>::lowest()) && value < -2.0 * static_cast<double>(std::numeric_limits<std::make_signed_t<T>>::lowest()))
      filling = static_cast<T>(value);
    std::fill_n(reinterpret_cast<T*>(at), count, filling);
  });
}

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

void ChunkRunner::refuse(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk, const char* text) {
  complain(SlotPlace{.slot = slot}, epoch, chunk, ComplaintKind::engine, 0, text);
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
  worker_ = nullptr;
  if (code_.captured > 0) code_.state = const_cast<std::byte*>(work_.code.capture);
  if (code_.plugin >= 0) {
    auto& plugin = plugins_.at(static_cast<std::size_t>(code_.plugin));
    try {
      if (!plugin) {
        plugin = std::make_unique<Plugin>(plugin_files_.at(static_cast<std::size_t>(code_.plugin)));
        if (own_process_) note_libraries();
      }
    } catch (const std::exception& e) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, e.what());
      return false;
    }
    if (code_.kernel >= plugin->library().count) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, "the plug-in was exchanged while the job ran");
      return false;
    }
    const cadre_kernel* declared = plugin->library().kernels[code_.kernel];
    const cadre_kernel k = complete(*declared);
    code_.run = k.run;
    code_.identity = k.identity;
    code_.combine = k.combine;
    code_.finish = k.finish;
    code_.state = k.state;
    try {
      worker_ = states_.of(declared, k, slot);
      if (states_.keeps()) protocol(reinterpret_cast<SlotLine*>(work_.lines))[slot].keeps.store(1);
    } catch (const std::exception& e) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, e.what());
      return false;
    }
  } else if (code_map_) {
    try {
      code_.run = code_map_->here(code_.run);
      code_.identity = code_map_->here(code_.identity);
      code_.combine = code_map_->here(code_.combine);
      code_.finish = code_map_->here(code_.finish);
      if (code_.captured == 0) code_.state = code_map_->here(code_.state);
    } catch (const std::exception& e) {
      complain(place, epoch, chunk, ComplaintKind::engine, 0, e.what());
      return false;
    }
  }
  prepared_ = epoch;
  return true;
}

Outcome ChunkRunner::run(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) noexcept {
  SlotPlace place;
  place.slot = slot;
  place.line = protocol(reinterpret_cast<SlotLine*>(work_.lines)) + slot;
  place.stop = reinterpret_cast<const std::atomic<std::uint32_t>*>(work_.stop);
  const Record record = predecessor ? Record::of(place.line->record.load()) : Record{};
  if (predecessor && work_.n_segments > 0) release_locks(protocol(reinterpret_cast<Segment*>(work_.segments)), work_.n_segments, slot, record);
  const auto abandoned = [&] { return place.stop->load() == static_cast<std::uint32_t>(Stop::abandon); };
  if (predecessor && abandoned()) return Outcome::abandoned;  // record and lock stay: whoever takes the job up again goes on from there
  try {
    if (!prepare(slot, epoch, chunk)) return Outcome::abandoned;
    if (work_.images) {
      place.header = protocol(reinterpret_cast<PartHeader*>(work_.images + slot * work_.image_stride));
      place.image = reinterpret_cast<std::byte*>(place.header + 1);
    }
    if (work_.partial_bytes > 0) place.partial = window(reinterpret_cast<std::byte*>(reinterpret_cast<const std::uint64_t*>(work_.partials)[slot]));
    switch (work_.kind) {
      case WorkKind::kernel: return work_.trace ? run_traced(place, epoch, chunk, predecessor) : run_kernel(place, epoch, chunk, predecessor);
      case WorkKind::finish: return finish(place, epoch, predecessor) ? Outcome::done : Outcome::abandoned;
      case WorkKind::digest: hash(chunk); return Outcome::done;
      case WorkKind::bulk: move_bulk(chunk); return Outcome::done;
      case WorkKind::merge: merge_segment(work_, chunk); return Outcome::done;
    }
  } catch (const std::exception& e) {
    complain(place, epoch, chunk, ComplaintKind::engine, 0, e.what());
  } catch (...) {
    complain(place, epoch, chunk, ComplaintKind::engine, 0, "an exception that is not a std::exception");
  }
  return Outcome::abandoned;
}

Outcome ChunkRunner::run_traced(SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) {
  place.trace = protocol(reinterpret_cast<TraceEntry*>(work_.trace)) + chunk;
  place.trace->begin = place.trace->computed = monotonic_ns();
  place.trace->slot = place.slot;
  ++place.trace->runs;
  const Outcome outcome = run_kernel(place, epoch, chunk, predecessor);
  place.trace->end = monotonic_ns();
  return outcome;
}

Outcome ChunkRunner::run_kernel(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) {
  Inquiry inquiry(work_, place, epoch, static_cast<std::uint32_t>(chunk));
  if (predecessor) {
    const Record record = Record::of(place.line->record.load());
    inquiry.resume(*predecessor, record.from);
    if (!record.ready && !predecessor->of_kernel) place.line->retries.fetch_add(1, std::memory_order_relaxed);
  } else {
    place.line->record.store(Record{}.packed(), std::memory_order_relaxed);  // where a backend's last job was given up
  }
  for (;;) {
    if (inquiry.open() && !Record::of(place.line->record.load()).ready && !investigate(place, epoch, chunk, inquiry)) return Outcome::abandoned;
    bool failed = false;
    const Outcome outcome = attempt(place, epoch, chunk, inquiry, failed);
    if (!failed) return outcome;
  }
}

// Runs pieces until the chunk may be tried as a whole. False when the job has failed of it.
bool ChunkRunner::investigate(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry) {
  for (;;) {
    Call call{.chunk = chunk};
    const Inquiry::Step step = inquiry.next(call.from, call.to);
    const std::uint64_t element = range_of(work_, chunk).first + call.from;
    char text[sizeof Complaint::text];
    switch (step) {
      case Inquiry::Step::whole: return true;
      case Inquiry::Step::vain:
        inquiry.describe(text, sizeof text);
        complain(place, epoch, chunk, ComplaintKind::vain, 0, text);
        return false;
      case Inquiry::Step::poison:
      case Inquiry::Step::too_many:
        inquiry.describe(text, sizeof text);
        complain(place, epoch, chunk, step == Inquiry::Step::poison ? ComplaintKind::poison : ComplaintKind::too_many, element, text);
        return false;
      case Inquiry::Step::piece: break;
    }
    // A piece is run for how it ends: its partial and accumulator are rubbish, its outputs are written again by the whole.
    if (work_.accumulators) call.accumulator = run_accumulator_.of(work_.plan.accumulator_bytes);
    call.allowed_ns = inquiry.allowed();
    const std::uint64_t from = call.from, to = call.to;
    Computed computed = Computed::well;
    while (call.from < to && computed == Computed::well) {
      call.to = to;
      computed = compute(place, epoch, call);
      call.from = call.to;
    }
    if (computed == Computed::refused) return false;
    if (computed == Computed::failed)
      inquiry.failed(failure_, from, to);
    else
      inquiry.passed();
    if (place.stop->load() == static_cast<std::uint32_t>(Stop::abandon)) return false;
  }
}

// Speaks the chunk's sentences from where the record is. `failed`: the kernel did, and the inquiry knows.
Outcome ChunkRunner::attempt(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry, bool& failed) {
  const ChunkRange range = range_of(work_, chunk);
  if (work_.scatter == ScatterMode::none) {
    // Accumulator, and outputs or partial, are this chunk's own memory: written again, they are the same.
    if (!work_.copies || !Record::of(place.line->record.load()).ready) {
      const Computed computed = whole_chunk(place, epoch, chunk, inquiry);
      failed = computed == Computed::failed;
      if (computed != Computed::well) return Outcome::abandoned;
      if (work_.copies) store_record(*place.line, {.ready = true});  // step 3
    }
    if (work_.copies) copy_outputs(place, range.first, 0, range.count);
    return Outcome::done;
  }
  const std::vector<std::uint64_t>& skipped = inquiry.skipped();
  Record record = Record::of(place.line->record.load());
  for (;;) {
    if (!record.ready) {
      // A part reaches to the next skipped element, or is that element alone.
      const auto next = std::lower_bound(skipped.begin(), skipped.end(), record.from);
      const bool skip = next != skipped.end() && *next == record.from;
      std::uint64_t to = skip ? record.from + 1 : next != skipped.end() ? *next : range.count;
      place.header->pages = 0;
      if (skip) {
        if (work_.scatter == ScatterMode::dense) clear_dense(work_, place.partial);
        fill_skipped(place, chunk, record.from);
      } else {
        Call call{.chunk = chunk, .from = record.from, .to = to, .allowed_ns = inquiry.allowed()};
        if (inquiry.open()) inquiry.suspect(call.from, call.to);
        const Computed computed = compute(place, epoch, call);
        if (computed == Computed::failed) {
          inquiry.failed(failure_, call.from, to);
          failed = true;
        }
        if (computed != Computed::well || !verified(place, epoch, call)) return Outcome::abandoned;
        to = call.to;
      }
      place.header->to = to;
      place.header->check = place.header->hash();
      record = {.ready = true, .from = record.from};
      store_record(*place.line, record);  // step 3
    }
    const std::uint64_t to = std::clamp<std::uint64_t>(place.header->to, record.from, range.count);
    const bool last = to == range.count;
    if (work_.copies) copy_outputs(place, range.first, record.from, to);
    if (!apply_partial(work_, place, record, static_cast<std::uint32_t>(chunk), last)) return Outcome::abandoned;
    if (last) return Outcome::done;
    record = {.ready = false, .from = static_cast<std::uint32_t>(to)};
    store_record(*place.line, record);  // on with the next part
  }
}

// Step 2 where nothing is to be combined under locks: one call, or one for each run between skipped elements, folded in order.
ChunkRunner::Computed ChunkRunner::whole_chunk(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry) {
  const ChunkRange range = range_of(work_, chunk);
  std::byte* const accumulator = work_.accumulators ? accumulator_.of(work_.plan.accumulator_bytes) : nullptr;
  bool first = true;
  const auto run = [&](std::uint64_t from, std::uint64_t to) {
    Call call{.chunk = chunk, .from = from, .to = to, .allowed_ns = inquiry.allowed()};
    if (accumulator) call.accumulator = first ? accumulator : run_accumulator_.of(work_.plan.accumulator_bytes);
    if (inquiry.open()) inquiry.suspect(from, to);
    const Computed computed = compute(place, epoch, call);
    if (computed == Computed::failed) inquiry.failed(failure_, from, to);
    if (computed != Computed::well) return computed;
    if (!verified(place, epoch, call)) return Computed::refused;
    if (accumulator && !first) {
      place.line->enter_kernel(work_.allowed_ns);
      code_.combine(&work_.plan, accumulator, call.accumulator);
      place.line->leave_kernel();
    }
    first = false;
    return Computed::well;
  };
  std::uint64_t from = 0;
  for (const std::uint64_t element : inquiry.skipped()) {
    if (from < element)
      if (const Computed computed = run(from, element); computed != Computed::well) return computed;
    fill_skipped(place, chunk, element);
    from = element + 1;
  }
  if (from < range.count || range.count == 0)
    if (const Computed computed = run(from, range.count); computed != Computed::well) return computed;
  if (accumulator && first) code_.identity(&work_.plan, accumulator);
  if (accumulator)
    std::memcpy(protocol(reinterpret_cast<std::byte*>(work_.accumulators)) + chunk * work_.accumulator_stride, accumulator, work_.plan.accumulator_bytes);
  return Computed::well;
}

// Map outputs of a skipped element get what the kernel declares.
void ChunkRunner::fill_skipped(const SlotPlace& place, std::uint64_t chunk, std::uint64_t element) const {
  const std::uint64_t row = range_of(work_, chunk).first + element;
  std::byte* copy = place.partial + work_.copies_at;
  for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
    const WorkOutput& out = work_.outputs[o];
    if (!out.map || !out.address) continue;
    std::byte* const at = work_.copies ? copy + element * out.row_bytes : window(reinterpret_cast<std::byte*>(out.address)) + row * out.row_bytes;
    copy += copy_bytes(work_, out);
    fill_values(out.shape.dtype, out.fill, at, out.row_bytes / size_of(out.shape.dtype));
  }
}

// Step 2: the kernel. `call.to` comes back lower when the partial's room was used up.
ChunkRunner::Computed ChunkRunner::compute(const SlotPlace& place, std::uint32_t epoch, Call& call) {
  const ChunkRange range = range_of(work_, call.chunk);
  Tensors inputs, outputs;
  cadre_chunk c{};
  c.size = sizeof c;
  c.pass = work_.plan.pass;
  c.plan = &work_.plan;
  c.inputs = inputs.tensor.data();
  c.outputs = outputs.tensor.data();
  c.state = code_.state;
  c.worker = worker_;
  c.flags = work_.stream ? CADRE_STREAM : 0;
  c.accumulator = call.accumulator;
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
    c.first = range.first + call.from;
    c.count = call.to - call.from;
    for (std::uint32_t i = 0; i < work_.n_inputs; ++i) {
      const WorkInput& in = work_.inputs[i];
      auto* data = reinterpret_cast<std::byte*>(in.address);
      if (in.whole)
        inputs.set(i, data, in.shape, -1);
      else
        inputs.set(i, data + c.first * in.row_bytes, in.shape, static_cast<std::int64_t>(c.count));
    }
    std::byte* copy = work_.copies ? place.partial + work_.copies_at : nullptr;
    for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
      const WorkOutput& out = work_.outputs[o];
      std::byte* data = nullptr;
      if (out.map && out.address) {
        data = copy ? copy + call.from * out.row_bytes : window(reinterpret_cast<std::byte*>(out.address)) + c.first * out.row_bytes;
        if (copy) copy += copy_bytes(work_, out);
      }
      outputs.set(o, data, out.shape, out.map ? static_cast<std::int64_t>(c.count) : -1);
    }
    if (work_.scatter == ScatterMode::dense) clear_dense(work_, place.partial);
    scatter.used = 0;
    taker.pages = 0;
    taker.bad_index = false;

    const int outcome = call_kernel(place, c, call);
    if (outcome == CADRE_OK) break;
    if (outcome == CADRE_FULL && c.scatter && c.count > 1) {
      call.to = call.from + (c.count + 1) / 2;
      continue;
    }
    if (outcome == kThrown) return Computed::failed;
    c.message[sizeof c.message - 1] = 0;
    const char* text = c.message[0] ? c.message : taker.bad_index ? "an index to be added to is out of range" : "the kernel reports a failure without a message";
    if (outcome == CADRE_FULL && !c.scatter) text = "the kernel says that a list is full, but has none";
    if (outcome == CADRE_FULL && c.scatter) text = "one element adds more entries than the room of a partial holds; give --chunk a higher value";
    if (outcome == CADRE_BAD_DATA && !taker.bad_index) {
      complain(place, epoch, call.chunk, ComplaintKind::bad_data, c.bad_row, text);
      return Computed::refused;
    }
    std::snprintf(failure_, sizeof failure_, "%s", text);
    return Computed::failed;
  }
  if (place.header) place.header->pages = taker.pages;
  return Computed::well;
}

// In here, and in finish(), runs code that is not ours: it may end the process, throw, never return, or leave the floating-point mode changed.
int ChunkRunner::call_kernel(const SlotPlace& place, cadre_chunk& c, const Call& call) {
  int outcome;
  place.line->enter_kernel(call.allowed_ns);
  try {
    if (call.accumulator) code_.identity(&work_.plan, call.accumulator);
    outcome = code_.run(&c);
    if (outcome == CADRE_OK && c.scatter) outcome = ListTaker::flush(c.scatter);
  } catch (const std::exception& e) {
    std::snprintf(failure_, sizeof failure_, "%s", *e.what() ? e.what() : "an exception whose what() is empty");
    outcome = kThrown;
  } catch (abi::__forced_unwind&) {  // of a thread that is cancelled: may not be stopped
    throw;
  } catch (...) {
    std::snprintf(failure_, sizeof failure_, "an exception that is not a std::exception");
    outcome = kThrown;
  }
  place.line->leave_kernel();
  if (place.trace) place.trace->computed = monotonic_ns();
  mode_.put_back();
  return outcome;
}

// --verify-fraction: the same call again must give the same bytes. Chunks are chosen by their number, so that every run chooses the same.
bool ChunkRunner::verified(const SlotPlace& place, std::uint32_t epoch, const Call& call) {
  if (work_.verify == 0 || static_cast<std::uint32_t>(call.chunk * 0x9e3779b97f4a7c15u >> 32) > work_.verify) return true;
  const std::uint64_t first = hash_of_output(place, call);
  Call again = call;
  if (const Computed computed = compute(place, epoch, again); computed == Computed::refused) return false;
  else if (computed == Computed::well && again.to == call.to && hash_of_output(place, again) == first) return true;
  complain(place, epoch, call.chunk, ComplaintKind::impure, 0, "");
  return false;
}

std::uint64_t ChunkRunner::hash_of_output(const SlotPlace& place, const Call& call) const {
  std::uint64_t hash = 0;
  const auto add = [&](const std::byte* at, std::uint64_t bytes) { hash = hash_of(at, bytes, hash); };
  const ChunkRange range = range_of(work_, call.chunk);
  const std::byte* copy = place.partial + work_.copies_at;
  for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
    const WorkOutput& out = work_.outputs[o];
    if (!out.map || !out.address) continue;
    add(work_.copies ? copy + call.from * out.row_bytes : window(reinterpret_cast<const std::byte*>(out.address)) + (range.first + call.from) * out.row_bytes, (call.to - call.from) * out.row_bytes);
    copy += copy_bytes(work_, out);
  }
  if (call.accumulator) add(call.accumulator, work_.plan.accumulator_bytes);
  const std::byte* column = place.partial;
  for (std::uint32_t k = 0; work_.scatter == ScatterMode::dense && k < work_.n_columns; ++k) {
    add(column, rows_padded(work_) * size_of(work_.columns[k].dtype));
    column += rows_padded(work_) * size_of(work_.columns[k].dtype);
  }
  // A page's entries, not the room behind them.
  for (std::uint64_t page = 0; work_.scatter == ScatterMode::sparse && page < place.header->pages; ++page) {
    const std::uint64_t size = value_bytes(work_);
    const PageLayout layout(work_.n_segments, size);
    const std::byte* at = place.partial + list_bytes(size) + page * layout.bytes;
    const std::uint64_t entries = std::min<std::uint64_t>(reinterpret_cast<const std::uint32_t*>(at)[work_.n_segments], kPageEntries);
    add(at, (work_.n_segments + 1) * sizeof(std::uint32_t));
    add(at + layout.lows, entries * 2);
    add(at + layout.values, entries * size);
  }
  return hash;
}

// Elements [from, to) of the chunk that begins at row `first`.
void ChunkRunner::copy_outputs(const SlotPlace& place, std::uint64_t first, std::uint64_t from, std::uint64_t to) const {
  const std::byte* copy = place.partial + work_.copies_at;
  for (std::uint32_t o = 0; o < work_.n_outputs; ++o) {
    const WorkOutput& out = work_.outputs[o];
    if (!out.map || !out.address) continue;
    std::memcpy(window(reinterpret_cast<std::byte*>(out.address)) + (first + from) * out.row_bytes, copy + from * out.row_bytes, (to - from) * out.row_bytes);
    copy += copy_bytes(work_, out);
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
bool ChunkRunner::finish(const SlotPlace& place, std::uint32_t epoch, const Death* predecessor) {
  if (predecessor && predecessor->of_kernel) {
    Inquiry inquiry(work_, place, epoch, 0);
    inquiry.resume(*predecessor, 0);
    if (inquiry.exhausted()) {
      char text[sizeof Complaint::text];
      inquiry.describe(text, sizeof text);
      complain(place, epoch, 0, ComplaintKind::finish, 0, text);
      return false;
    }
  }
  place.line->enter_kernel(work_.allowed_ns);
  std::byte* accumulator = nullptr;
  if (work_.accumulators) {
    accumulator = accumulator_.of(work_.plan.accumulator_bytes);
    fold(accumulator);
  }
  std::uint32_t again = 0;
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
      complain(place, epoch, 0, ComplaintKind::finish, 0, f.message[0] ? f.message : "the kernel's finish reports a failure without a message");
      return false;
    }
    again = f.again;
  }
  if (accumulator && work_.previous) std::memcpy(protocol(reinterpret_cast<std::byte*>(work_.previous)), accumulator, work_.plan.accumulator_bytes);
  if (work_.again) *protocol(reinterpret_cast<std::uint32_t*>(work_.again)) = again;
  place.line->leave_kernel();
  mode_.put_back();
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
