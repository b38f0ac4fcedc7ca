#include <cadre/engine/executor.hpp>

#include <signal.h>
#include <sys/wait.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include <cadre/engine/combine.hpp>
#include <cadre/engine/digest.hpp>
#include <cadre/engine/engine.hpp>
#include <cadre/engine/inspection.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/engine/operation.hpp>
#include <cadre/engine/partial.hpp>
#include <cadre/engine/plan.hpp>
#include <cadre/engine/stack.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/memory.hpp>

namespace cadre {

namespace {

std::atomic<int> requested_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

constexpr std::uint64_t kBulkFrom = 4u << 20;    // bytes: less is done by the caller
constexpr std::uint64_t kStreamFrom = 32u << 20;  // bytes of map outputs that no cache keeps

std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }
std::uint64_t address_of(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

// Lines that have not changed stay in the workers' caches: of a small job, fetching its description is most of the cost.
void publish(const Work& draft, Work& work) {
  static_assert(std::is_trivially_copyable_v<Work>);
  constexpr std::size_t kLine = 64;
  const auto* from = reinterpret_cast<const std::byte*>(&draft);
  auto* to = reinterpret_cast<std::byte*>(&work);
  for (std::size_t at = 0; at < sizeof(Work); at += kLine) {
    const std::size_t bytes = std::min(kLine, sizeof(Work) - at);
    if (std::memcmp(from + at, to + at, bytes) != 0) std::memcpy(to + at, from + at, bytes);
  }
}

std::string real_text(auto value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

// The element as JSON: a number, or a row of up to 16 of them.
std::string value_text(const AnyArray& array, std::uint64_t row) {
  std::uint64_t width = 1;
  for (std::size_t d = 1; d < array.shape.size(); ++d) width *= static_cast<std::uint64_t>(array.shape[d]);
  if (width > 16 || array.shape.empty() || row >= static_cast<std::uint64_t>(array.shape[0])) return "";
  std::string text;
  with_operation(CADRE_ADD, to_cadre(array.type), [&]<cadre_op, class T>() {
    const T* values = reinterpret_cast<const T*>(array.data) + row * width;
    for (std::uint64_t i = 0; i < width; ++i) {
      text += i ? ", " : "";
      if constexpr (std::is_floating_point_v<T>)
        text += std::isfinite(values[i]) ? real_text(values[i]) : std::string("null");
      else
        text += std::to_string(values[i]);
    }
  });
  return array.shape.size() > 1 ? "[" + text + "]" : text;
}

}  // namespace

std::string sentence_of(const Poison& p) {
  std::string text = "element " + std::to_string(p.index) + (p.value.empty() ? "" : " (value " + p.value + ")") + ": ";
  const bool killed = (p.signal == "SIGKILL" || p.signal == "SIGTERM") && !p.what.empty();
  if (killed)
    text += p.what;
  else if (!p.signal.empty())
    text += p.signal + (p.stack.empty() ? "" : " in " + p.stack.front()) + (p.what.empty() ? "" : ": " + p.what);
  else if (p.exit >= 0)
    text += "the kernel left with exit code " + std::to_string(p.exit);
  else
    text += p.what;
  return text + ", " + std::to_string(p.attempts) + (p.attempts == 1 ? " time" : " times") + " out of " + std::to_string(p.attempts);
}

void request_stop(int signal) noexcept { requested_signal.store(signal); }
int stop_requested() noexcept { return requested_signal.load(); }

struct Executor::Shared {
  Work work;
  std::atomic<const void*> truncated;
  Complaint complaints[];                // [slots]
};

Executor::Executor(Backend backend, const HandsPlan& plan, const FaultLimits& limits, bool journal, std::optional<std::uint64_t> resumed)
    : plan_(plan), limits_(limits), in_caller_(backend != Backend::processes) {
  // Everything has its place whatever the number of workers and the options, and is reserved in one order, so that the next program finds it.
  Arena& arena = Arena::instance();
  constexpr std::size_t bytes = sizeof(Shared) + kMaxWorkers * sizeof(Complaint), trouble_bytes = kMaxWorkers * sizeof(SlotTrouble);
  std::byte* memory = arena.reserve(bytes);
  shared_ = reinterpret_cast<Shared*>(memory);
  troubles_ = reinterpret_cast<SlotTrouble*>(arena.reserve(trouble_bytes));  // fresh memory is zero: no search
  most_poison_ = static_cast<std::uint32_t>(limits.max_skipped) + kMaxWorkers;
  poison_ = reinterpret_cast<PoisonList*>(arena.reserve(sizeof(PoisonList) + (kMostSkipped + kMaxWorkers) * sizeof(PoisonEntry)));
  if (journal) ledger_.keep();
  arena.secure(memory, bytes);
  arena.secure(troubles_, trouble_bytes);
  arena.secure(poison_, sizeof(PoisonList) + most_poison_ * sizeof(PoisonEntry));
  if (!resumed) {
    new (memory) Shared{};
  } else {
    shared_->truncated.store(nullptr);
    for (int slot = 0; slot < kMaxWorkers; ++slot) shared_->complaints[slot].epoch.store(0);
  }
  plan_.work = &shared_->work;
  plan_.troubles = troubles_;
  plan_.truncated = &shared_->truncated;
  plan_.attach = resumed.has_value();
  switch (backend) {
    case Backend::serial: hands_ = make_serial(plan_); break;
    case Backend::threads: hands_ = make_threads(plan_); break;
    case Backend::processes: hands_ = make_processes(plan_); break;
  }
  slots_ = std::max(hands_->slots(), plan.workers);
  if (resumed) {
    take_up(troubles_, static_cast<std::uint32_t>(slots_), *poison_, most_poison_);
    ledger_.attach(*resumed);
    hands_->pool()->set_epoch(ledger_.epoch());
    arena.discard_unused();
  }
}

Executor::~Executor() {
  hands_.reset();
  for (void* memory : {static_cast<void*>(shared_), static_cast<void*>(troubles_), static_cast<void*>(poison_)}) Arena::instance().release(static_cast<std::byte*>(memory));
}

const void* Executor::capture_address() const { return shared_->work.code.capture; }

std::byte* Executor::kept(std::shared_ptr<Storage>& storage, Role role, std::uint64_t bytes, std::uint32_t index) {
  if (!storage || storage->bytes() < bytes) {
    storage.reset();
    storage = ledger_.allocate(role, index, bytes, false);
  } else {
    ledger_.note(role, index, *storage);
  }
  return storage->data();
}

// For what has room for more slots than there are now.
std::byte* Executor::kept_sparse(std::shared_ptr<Storage>& storage, Role role, std::uint64_t bytes, std::uint64_t secured) {
  if (!ledger_.kept()) return kept(storage, role, secured);
  if (!storage || storage->bytes() < bytes) {
    storage.reset();
    storage = ledger_.reserve(role, 0, bytes, secured);
  } else {
    ledger_.note(role, 0, *storage, true);
    Arena::instance().secure(storage->data(), secured);
  }
  return storage->data();
}

void Executor::add_mapping(const AnyArray& array, bool writable) {
  const Storage& storage = *array.storage;
  const Storage::File* file = storage.file();
  if (in_caller_) {
    if (file) mapped_.push_back(array);
    return;
  }
  if ((!file && !writable) || storage.bytes() == 0) return;
  Work& w = draft_;
  Mapping m{.address = address_of(storage.data()), .bytes = storage.bytes(), .serial = file ? file->serial : 0, .fd = file ? file->fd : -1, .writable = writable};
  for (std::uint32_t i = 0; i < w.n_mappings; ++i)
    if (w.mappings[i].address == m.address && w.mappings[i].writable == m.writable) return;
  CADRE_CHECK(w.n_mappings < kMaxMappings);
  w.mappings[w.n_mappings++] = m;
  mapped_.push_back(array);
}

void Executor::give_partials(std::uint64_t bytes) {
  partials_.resize(slots());
  auto* list = reinterpret_cast<std::uint64_t*>(
      kept_sparse(partial_list_, Role::partial_list, kMaxWorkers * sizeof(std::uint64_t), slots() * sizeof(std::uint64_t)));
  for (std::size_t slot = 0; slot < slots(); ++slot)
    list[slot] = address_of(kept(partials_[slot], Role::partial, bytes, static_cast<std::uint32_t>(slot)));
  draft_.partials = address_of(list);
  draft_.partial_bytes = bytes;
}

void Executor::describe(Pass& pass) {
  Work& w = draft_;
  w.kind = WorkKind::kernel;
  w.slots = static_cast<std::uint32_t>(slots_);
  w.code = pass.code;
  w.plan = pass.plan;
  w.n_mappings = w.n_columns = w.n_segments = w.ordered = w.copies = w.n_results = w.n_bulk = w.stream = 0;
  w.trace = w.segment_waits = w.copies_of_columns = 0;
  w.accumulators = w.segments = w.images = w.partials = w.partial_bytes = w.previous = 0;
  w.scatter = ScatterMode::none;
  w.lines = address_of(hands_->lines());
  w.complaints = address_of(shared_->complaints);
  w.stop = address_of(hands_->stop());
  w.troubles = address_of(troubles_);
  w.poison = address_of(poison_);
  w.most_poison = most_poison_;
  w.retries = static_cast<std::uint32_t>(limits_.retries);
  w.skip = limits_.skip;
  w.max_skipped = static_cast<std::uint32_t>(limits_.max_skipped);
  w.allowed_ns = plan_.timeout_ns;
  w.verify = static_cast<std::uint32_t>(limits_.verify_fraction * 4294967295.0);
  mapped_.clear();
  columns_.clear();

  w.n_inputs = static_cast<std::uint32_t>(pass.inputs.size());
  for (std::size_t i = 0; i < pass.inputs.size(); ++i) {
    const AnyArray& array = pass.inputs[i].array;
    WorkInput& in = w.inputs[i];
    in = {.address = address_of(array.data), .shape = pass.plan.inputs[i], .whole = pass.inputs[i].whole};
    in.row_bytes = size_of(array.type);
    for (std::size_t d = 1; d < array.shape.size(); ++d) in.row_bytes *= static_cast<std::uint64_t>(array.shape[d]);
    add_mapping(array, false);
  }
  w.n_outputs = static_cast<std::uint32_t>(pass.outputs.size());
  for (std::size_t o = 0; o < pass.outputs.size(); ++o) {
    const PassOutput& given = pass.outputs[o];
    WorkOutput& out = w.outputs[o];
    out = {.shape = pass.plan.outputs[o], .map = given.kind == CADRE_OUT_MAP, .fill = given.fill};
    if (given.kind == CADRE_OUT_COLUMN || !given.array.storage) continue;
    out.address = address_of(given.array.data);
    if (!out.map) continue;
    out.row_bytes = size_of(given.array.type);
    for (std::size_t d = 1; d < given.array.shape.size(); ++d) out.row_bytes *= static_cast<std::uint64_t>(given.array.shape[d]);
    add_mapping(given.array, true);
    if (limits_.strict) w.copies = 1;
    // An output that is also an input is computed aside and copied: a copy may be repeated, a[i] = f(a[i]) may not.
    for (const PassInput& input : pass.inputs)
      if (input.array.storage == given.array.storage) w.copies = 1;
  }
}

void Executor::describe_scatter(Pass& pass, std::uint64_t row_bytes) {
  Work& w = draft_;
  w.rows = pass.plan.scatter.rows + pass.plan.scatter.hidden;
  if (w.rows >= (std::uint64_t{1} << 32) - (1u << 20)) throw Error(pass.kernel + ": " + std::to_string(w.rows) + " rows are more than a combined result may have (4293918720)");
  w.segment_shift = segment_shift(w.rows, row_bytes, w.scatter);
  w.n_segments = static_cast<std::uint32_t>((w.rows + (std::uint64_t{1} << w.segment_shift) - 1) >> w.segment_shift);
  for (std::size_t o = 0; o < pass.outputs.size(); ++o) {
    PassOutput& out = pass.outputs[o];
    if (out.kind != CADRE_OUT_COLUMN) continue;
    const cadre_dtype type = pass.plan.outputs[o].dtype;
    WorkColumn& column = w.columns[w.n_columns++];
    column = {.dtype = type, .op = out.op, .counts = out.counts};
    // Floating-point sums depend on the order, and so do min and max of zeros with different signs.
    if (type.code == CADRE_FLOAT) w.ordered = 1;
    // A big column is set to its identity by the workers.
    const std::uint64_t bytes = rows_padded(w) * size_of(type);
    const bool zero = out.op == CADRE_ADD && bytes < kBulkFrom;
    auto storage = ledger_.allocate(Role::column, w.n_columns - 1, bytes, zero);
    column.address = address_of(storage->data());
    if (!zero && bytes < kBulkFrom && ledger_.fresh()) fill_identity(column, storage->data(), rows_padded(w));
    if (bytes >= kBulkFrom) w.bulk[w.n_bulk++] = {.to = column.address, .bytes = bytes, .column = w.n_columns - 1};
    Shape shape(pass.plan.outputs[o].shape, pass.plan.outputs[o].shape + pass.plan.outputs[o].ndim);
    columns_.emplace_back(storage, storage->data(), to_dtype(type), std::move(shape), true);
  }
}

void Executor::give_private_copies(const Pass& pass, std::uint64_t row_bytes) {
  Work& w = draft_;
  if (w.ordered) throw Error(pass.kernel + ": combines floating-point numbers: in private copies the order would depend on which thread ran what, and so would the result");
  w.columns_stride = round_up(rows_padded(w) * row_bytes, 4096);
  const auto same = [&](const WorkColumn& a, const WorkColumn& b) { return b.address == rows_padded(w) && a.op == b.op && a.dtype.code == b.dtype.code && a.dtype.bits == b.dtype.bits; };
  const bool as_new = std::equal(w.columns.begin(), w.columns.begin() + w.n_columns, private_shape_.begin(), private_shape_.end(), same);
  if (!as_new) {
    private_columns_.reset();
    private_columns_ = allocate_storage(w.columns_stride * slots(), false);
  }
  w.copies_of_columns = address_of(private_columns_->data());
  for (std::uint32_t slot = 0; slot < slots() && !as_new; ++slot)
    for (std::uint32_t c = 0; c < w.n_columns; ++c) fill_identity(w.columns[c], copy_of_column(w, slot, c), rows_padded(w));
  private_shape_.clear();  // until they are put together again
}

void Executor::merge_private_copies(Pass& pass) {
  Work& w = draft_;
  w.kind = WorkKind::merge;
  post(PassStage::copy, w.n_segments, pass, {});
  w.kind = WorkKind::kernel;
  private_shape_.assign(w.columns.begin(), w.columns.begin() + w.n_columns);
  for (WorkColumn& column : private_shape_) column.address = rows_padded(w);
}

void Executor::describe_memory(Pass& pass) {
  Work& w = draft_;
  std::uint64_t row_bytes = 0;
  for (std::size_t o = 0; o < pass.outputs.size(); ++o)
    if (pass.outputs[o].kind == CADRE_OUT_COLUMN) row_bytes += size_of(pass.plan.outputs[o].dtype);
  if (row_bytes > 0) w.scatter = choose_scatter(pass.plan, row_bytes);
  const Cut c = cut(pass.plan, pass.chunk, w.scatter, std::max<std::uint64_t>(row_bytes, 1));
  w.elements = pass.plan.elements;
  w.chunk_elements = c.chunk_elements;
  w.chunks = pass.chunks = c.chunks;

  if (pass.plan.accumulator_bytes > 0) {
    w.accumulator_stride = round_up(pass.plan.accumulator_bytes, pass.plan.accumulator_bytes >= 64 ? 64 : 8);
    w.accumulators = address_of(kept(accumulators_, Role::accumulators, std::max<std::uint64_t>(c.chunks, 1) * w.accumulator_stride));
  }
  std::uint64_t partial_bytes = 0, map_bytes = 0;
  for (std::uint32_t o = 0; o < w.n_outputs; ++o)
    if (w.outputs[o].map && w.outputs[o].address) map_bytes += w.outputs[o].row_bytes * w.elements;
  w.stream = !w.copies && map_bytes >= kStreamFrom;
  if (w.scatter != ScatterMode::none) {
    describe_scatter(pass, row_bytes);
    if (limits_.private_copies) give_private_copies(pass, row_bytes);
    if (w.scatter == ScatterMode::dense) {
      partial_bytes += rows_padded(w) * row_bytes;
    } else {
      w.room_pages = room_pages(w.chunk_elements);
      partial_bytes += list_bytes(value_bytes(w)) + w.room_pages * PageLayout(w.n_segments, value_bytes(w)).bytes;
    }
    auto* segments = reinterpret_cast<Segment*>(kept(segments_, Role::segments, w.n_segments * sizeof(Segment)));
    // Until somebody may have locked one nothing of them is believed: a resumed pass may have been killed while its columns were cleared.
    const bool untouched = !ledger_.begun(PassStage::kernel) && !ledger_.over(PassStage::kernel);
    for (std::uint32_t s = 0; s < w.n_segments && untouched; ++s) new (&segments[s]) Segment{};
    w.segments = address_of(segments);
  }
  w.copies_at = round_up(partial_bytes, 64);
  for (std::uint32_t o = 0; w.copies && o < w.n_outputs; ++o)
    if (w.outputs[o].map && w.outputs[o].address) partial_bytes = (partial_bytes == 0 ? w.copies_at : round_up(partial_bytes, 64)) + copy_bytes(w, w.outputs[o]);
  if (partial_bytes > 0) {
    give_partials(partial_bytes);
    w.image_stride = round_up(image_bytes(w), 64);
    w.images = address_of(kept_sparse(images_, Role::images, w.image_stride * kMaxWorkers, w.image_stride * w.slots));
  }
}

void Executor::post(PassStage stage, std::uint64_t chunks, Pass& pass, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (ledger_.over(stage)) {
    if (stage == PassStage::kernel) {
      pass.resumed = chunks;
      collect_poison(ledger_.kernel_epoch(), pass);
    }
    return;
  }
  if (const int signal = stop_requested()) throw Interrupted{signal};
  const bool attach = ledger_.begun(stage);
  if (attach) ledger_.require_layout(draft_);
  // Published again also for a job that is on the board: functions and descriptors are this program's.
  publish(draft_, shared_->work);
  std::uint32_t epoch = hands_->next_epoch();
  const Continuation continuation{attach ? ledger_.epoch() : 0, [&](std::uint32_t given) {
                                    epoch = given;
                                    if (attach) {
                                      require_possible(draft_, hands_->pool()->board(), given);
                                      forget_failures(given);
                                    } else {
                                      ledger_.begin_stage(stage, given, draft_);
                                    }
                                    posted_ = true;
                                  }};
  const PoolResult result = hands_->run(
      chunks, draft_.ordered != 0,
      [&](std::uint64_t done) {
        if (progress) progress(done, chunks);
        return stop_requested() ? Stop::drain : Stop::no;
      },
      continuation);
  if (stage == PassStage::kernel) pass.resumed = result.found_done;
  if (const void* at = shared_->truncated.exchange(nullptr)) {
    for (const AnyArray& a : mapped_)
      if (a.storage->file() && at >= a.storage->data() && at < a.storage->data() + a.storage->bytes())
        throw Error(a.storage->file()->path + " was truncated by another process while it was read", Error::Kind::failed);
    throw Error("a mapped file was truncated by another process while it was read", Error::Kind::failed);
  }
  collect_poison(epoch, pass);
  if (!result.complete) explain(result, epoch, pass);
  ledger_.end_stage(stage);
}

void Executor::begin_job() {
  poison_->taken.store(0);
  found_.clear();
}

// Whoever takes up a job that failed wants what failed to be tried again, as often as at first. What is left out of something that was combined stays so.
// Where elements are skipped nothing was given up.
void Executor::forget_failures(std::uint32_t epoch) {
  if (limits_.skip) return;
  Board& board = hands_->pool()->board();
  for (std::size_t slot = 0; slot < slots(); ++slot) {
    if (!Record::of(board.lines[slot].record.load()).ready)
      for (Search& search : troubles_[slot].search) search.check = 0, search.epoch = 0;
  }
  const std::uint32_t taken = std::min(poison_->taken.load(), most_poison_);
  for (std::uint32_t i = 0; i < taken; ++i) {
    PoisonEntry& e = poison_->entries[i];
    if (!e.is_of(epoch) || board.words[e.chunk].load() == chunk_word(epoch, chunk_state::done)) continue;
    bool combined = false;
    for (std::size_t slot = 0; slot < slots(); ++slot) {
      const Record r = Record::of(board.lines[slot].record.load());
      combined |= board.lines[slot].hint.load() == chunk_word(epoch, e.chunk) && (r.ready || r.from > e.element - range_of(draft_, e.chunk).first);
    }
    if (!combined) e.check.store(0);
  }
}

std::uint64_t Executor::retries() const {
  std::uint64_t sum = 0;
  for (int slot = 0; slot < slots_; ++slot) sum += hands_->lines()[slot].retries.load();
  return sum;
}

// What the workers have written down of the elements that fail. An element that fails in two passes of a step is told once.
void Executor::collect_poison(std::uint32_t epoch, const Pass& pass) {
  const std::uint32_t taken = std::min(poison_->taken.load(), most_poison_);
  std::vector<Poison> now;
  for (std::uint32_t i = 0; i < taken; ++i) {
    const PoisonEntry& e = poison_->entries[i];
    if (!e.is_of(epoch)) continue;
    Poison p{.index = e.element, .exit = e.signal == 0 ? e.exit : -1, .attempts = static_cast<int>(e.attempts), .peak_rss = e.peak_rss};
    if (e.signal) p.signal = signal_name(e.signal);
    if (e.timed_out) p.what = "over its deadline of " + fmt::format("{:g}", static_cast<double>(draft_.allowed_ns) * 1e-9) + " s";
    if (e.out_of_memory) p.what = "killed by the system for want of memory";
    if (p.what.empty() && (e.signal == SIGKILL || e.signal == SIGTERM)) p.what = "ended by " + p.signal + " again and again: by its kernel, or from outside";
    if (i < kToldInFull) {
      Witness told = poison_->told[i];
      told.what[sizeof told.what - 1] = 0;
      if (p.what.empty()) p.what = told.what;
      told.n_frames = std::min(told.n_frames, kMaxFrames);
      for (Frame& f : told.frames) f.file[sizeof f.file - 1] = 0;
      p.stack = name_frames({told.frames, told.n_frames});
    }
    for (const PassInput& input : pass.inputs)
      if (!input.whole) {
        p.value = value_text(input.array, e.element);
        break;
      }
    const bool known = std::any_of(found_.begin(), found_.end(), [&](const Poison& other) { return other.index == p.index; });
    if (!known) now.push_back(std::move(p));
  }
  std::sort(now.begin(), now.end(), [](const Poison& a, const Poison& b) { return a.index < b.index; });
  found_.insert(found_.end(), now.begin(), now.end());
}

void Executor::explain(const PoolResult& result, std::uint32_t epoch, const Pass& pass) {
  const Work& w = draft_;
  const Complaint* first = nullptr;
  for (std::uint32_t s = 0; s < w.slots; ++s) {
    const Complaint& c = shared_->complaints[s];
    if (c.epoch.load(std::memory_order_acquire) == epoch && (!first || c.chunk < first->chunk)) first = &c;
  }
  if (first) {
    std::string text(first->text);
    const ChunkRange r = range_of(w, first->chunk);
    const std::string elements = "elements " + std::to_string(r.first) + " to " + std::to_string(r.first + std::max<std::uint64_t>(r.count, 1) - 1);
    switch (static_cast<ComplaintKind>(first->kind)) {
      case ComplaintKind::bad_data: text = "row " + std::to_string(first->row) + ": " + text; break;
      case ComplaintKind::mapping: text = "a worker can not map " + (first->row < mapped_.size() && mapped_[first->row].storage->file() ? mapped_[first->row].storage->file()->path : std::string("its memory")) + ": " + text; break;
      case ComplaintKind::engine: break;
      case ComplaintKind::finish: text = "while the result was finished: " + text; break;
      case ComplaintKind::impure: text = elements + " gave another result when they were run again (--verify-fraction): the kernel is not a pure function of its inputs"; break;
      case ComplaintKind::vain:
        text = elements + ": " + text + ", " + std::to_string(w.retries + 1) + (w.retries ? " times" : " time") + " out of " + std::to_string(w.retries + 1) +
               "; but none of them alone: they fail only together" + (text == "over its deadline" ? ". Give --timeout a higher value or --chunk a lower one" : "");
        break;
      case ComplaintKind::poison:
      case ComplaintKind::too_many: {
        for (const Poison& p : found_)
          if (p.index == first->row) text = sentence_of(p);
        text = (text.starts_with("element ") ? "" : "element " + std::to_string(first->row) + ": ") + text;
        if (static_cast<ComplaintKind>(first->kind) == ComplaintKind::too_many)
          text = "more than " + std::to_string(w.max_skipped) + (w.max_skipped == 1 ? " element fails" : " elements fail") + " (--max-skipped), the last that was found is " + text;
        break;
      }
    }
    throw Error(pass.kernel + ": " + text, Error::Kind::failed);
  }
  if (result.failure == Failure::outside)
    throw Error(pass.kernel + ": worker processes die of " + signal_name(WTERMSIG(result.status)) + " again and again outside the kernel; the job can not go on", Error::Kind::failed);
  if (result.failure == Failure::restarts) throw Error(pass.kernel + ": worker processes die as soon as they start; the job can not go on", Error::Kind::failed);
  if (result.failure == Failure::refill)
    throw Error(pass.kernel + ": no process can be started in the place of a dead worker (" + std::strerror(result.status) + "); the job can not go on", Error::Kind::failed);
  if (const int signal = stop_requested()) throw Interrupted{signal};
  throw Error(pass.kernel + ": the job was stopped", Error::Kind::failed);
}

void Executor::run(Pass& pass, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  describe(pass);
  describe_memory(pass);
  Work& w = draft_;
  if (w.n_bulk > 0) clear_columns(pass);
  const bool traced = traces_ && !ledger_.kept() && pass.chunks > 0;
  if (traced) prepare_trace();
  const std::uint64_t posted = traced ? monotonic_ns() : 0;
  if (pass.chunks > 0) post(PassStage::kernel, pass.chunks, pass, progress);
  if (traced) collect_trace(pass, posted, monotonic_ns());
  if (w.copies_of_columns && pass.chunks > 0) merge_private_copies(pass);
  if (w.accumulators || !pass.result_names.empty() || pass.always_finish) finish(pass);
  if (!columns_.empty()) copy_columns(pass);
}

// Memory of its own: what a journal keeps does not change with it.
void Executor::prepare_trace() {
  Work& w = draft_;
  const std::uint64_t waits_at = round_up(w.chunks * sizeof(TraceEntry), 64), bytes = waits_at + w.n_segments * sizeof(std::uint64_t);
  if (!trace_area_ || trace_area_->bytes() < bytes) {
    trace_area_.reset();
    trace_area_ = allocate_storage(bytes, false);
  }
  std::memset(trace_area_->data(), 0, bytes);
  w.trace = address_of(trace_area_->data());
  w.segment_waits = w.trace + waits_at;
}

void Executor::collect_trace(const Pass& pass, std::uint64_t posted, std::uint64_t ended) {
  Work& w = draft_;
  const auto seconds = [&](std::uint64_t ns) { return static_cast<double>(ns) * 1e-9; };
  const auto since = [&](std::uint64_t ns) { return ns > posted ? seconds(ns - posted) : 0.0; };
  PassTrace trace{.kernel = pass.kernel, .seconds = since(ended)};
  const auto* entries = reinterpret_cast<const TraceEntry*>(w.trace);
  for (std::uint64_t c = 0; c < w.chunks; ++c)
    if (const TraceEntry& e = entries[c]; e.runs > 0)
      trace.chunks.push_back({static_cast<std::uint32_t>(c), e.slot, since(e.begin), since(e.computed), since(e.end), seconds(e.waited)});
  const auto* waits = reinterpret_cast<const std::uint64_t*>(w.segment_waits);
  for (std::uint32_t s = 0; s < w.n_segments; ++s) trace.segment_waits.push_back(seconds(waits[s]));
  traces_->push_back(std::move(trace));
  w.trace = w.segment_waits = 0;
}

void Executor::post_bulk(PassStage stage, Pass& pass) {
  Work& w = draft_;
  const std::uint32_t ordered = std::exchange(w.ordered, 0);
  w.kind = WorkKind::bulk;
  std::uint64_t blocks = 0;
  for (std::uint32_t i = 0; i < w.n_bulk; ++i) blocks += (w.bulk[i].bytes + kBulkBytes - 1) / kBulkBytes;
  post(stage, blocks, pass, {});
  w.n_bulk = 0;
  w.ordered = ordered;
}

void Executor::clear_columns(Pass& pass) {
  post_bulk(PassStage::clear, pass);
  draft_.kind = WorkKind::kernel;
}

// Hands the columns over, or copies them to where the program wants them.
void Executor::copy_columns(Pass& pass) {
  Work& w = draft_;
  std::size_t next = 0;
  for (PassOutput& out : pass.outputs) {
    if (out.kind != CADRE_OUT_COLUMN) continue;
    const AnyArray& column = columns_[next++];
    if (!out.array.storage)
      out.array = column;
    else if (out.array.bytes() < kBulkFrom || !Arena::instance().contains(out.array.data))
      std::memcpy(out.array.data, column.data, column.bytes());
    else
      w.bulk[w.n_bulk++] = {.to = address_of(out.array.data), .from = address_of(column.data), .bytes = column.bytes()};
  }
  if (w.n_bulk > 0) post_bulk(PassStage::copy, pass);
}

void Executor::finish(Pass& pass) {
  Work& w = draft_;
  w.kind = WorkKind::finish;
  w.n_accumulators = pass.chunks;
  w.ordered = 0;
  w.n_results = static_cast<std::uint32_t>(pass.result_names.size());
  // Results lie together in one small extent, which finish may write; before them a line for what the kernel asks for.
  std::vector<std::uint64_t> at, count;
  std::uint64_t bytes = 64;
  std::uint32_t again = 0;
  for (std::uint32_t r = 0; r < w.n_results; ++r) {
    std::uint64_t n = 1;
    for (int d = 0; d < pass.plan.results[r].ndim; ++d) n *= static_cast<std::uint64_t>(pass.plan.results[r].shape[d]);
    at.push_back(bytes);
    count.push_back(n);
    bytes += round_up(n * 8, 64);
  }
  std::byte* area = kept(finish_area_, Role::finish_area, bytes);
  w.again = address_of(area);
  for (std::uint32_t r = 0; r < w.n_results; ++r) w.results[r] = address_of(area + at[r]);
  if (pass.plan.accumulator_bytes > 0) {
    pass.previous = ledger_.allocate(Role::previous, 0, pass.plan.accumulator_bytes, false);
    w.previous = address_of(pass.previous->data());
  }
  const auto map_storage = [&](const std::shared_ptr<Storage>& s) { add_mapping(AnyArray(s, s->data(), DType::u8, {static_cast<std::int64_t>(s->bytes())}, true), true); };
  map_storage(finish_area_);
  for (const PassOutput& out : pass.outputs)
    if (out.array.storage && out.kind == CADRE_OUT_FINISH) map_storage(out.array.storage);
  for (const AnyArray& column : columns_) map_storage(column.storage);
  post(PassStage::finish, 1, pass, {});
  std::memcpy(&again, area, sizeof again);
  pass.again = again != 0;
  for (std::uint32_t r = 0; r < w.n_results; ++r) {
    const cadre_shape& shape = pass.plan.results[r];
    SmallResult result{.name = pass.result_names[r], .shape = Shape(shape.shape, shape.shape + shape.ndim), .values = std::vector<double>{}};
    const auto read = [&]<class T>(T) {
      const T* values = reinterpret_cast<const T*>(area + at[r]);
      result.values = std::vector<T>(values, values + count[r]);
    };
    if (shape.dtype.code == CADRE_FLOAT) read(double{});
    if (shape.dtype.code == CADRE_INT) read(std::int64_t{});
    if (shape.dtype.code == CADRE_UINT) read(std::uint64_t{});
    pass.results.push_back(std::move(result));
  }
}

std::vector<std::byte> Executor::hash_blocks(const std::vector<AnyArray>& arrays) {
  Pass pass;
  pass.kernel = "digest";
  for (const AnyArray& a : arrays) pass.inputs.push_back({a, true});
  describe(pass);
  Work& w = draft_;
  w.kind = WorkKind::digest;
  std::uint64_t blocks = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    w.inputs[i].row_bytes = arrays[i].bytes();
    blocks += (arrays[i].bytes() + kDigestBlock - 1) / kDigestBlock;
  }
  w.elements = blocks;
  w.chunk_elements = std::max<std::uint64_t>(blocks / 4096, 1);
  w.chunks = (blocks + w.chunk_elements - 1) / w.chunk_elements;
  std::byte* hashes = kept(hashes_, Role::hashes, std::max<std::uint64_t>(blocks * kHashBytes, 64));
  w.hashes = address_of(hashes);
  if (blocks > 0) post(PassStage::digest, w.chunks, pass, {});
  return {hashes, hashes + blocks * kHashBytes};
}

}  // namespace cadre
