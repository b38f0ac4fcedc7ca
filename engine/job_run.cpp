#include <cadre/engine/job_run.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include <cadre/engine/digest.hpp>
#include <cadre/engine/plan.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre {

namespace {

namespace fs = std::filesystem;

/** Among the arrays of a job, what a pass has handed on to the next: no name of a step is empty. */
const std::string kCarried;

/** Where a step's output goes: into an array of the program, into a file, or into a temporary. */
bool is_output_file(const Job& job, const std::string& name) { return !job.arrays.contains(name) && is_file_name(name); }

/** The file that a name of a step means: itself, or what [arrays] says. None for arrays of the program and temporaries. */
std::optional<std::string> file_of(const Job& job, const std::string& name) {
  if (job.arrays.contains(name)) return std::nullopt;
  if (const auto at = job.files.find(name); at != job.files.end()) return at->second;
  return is_file_name(name) ? std::optional(name) : std::nullopt;
}

/** A step bound, with outputs that are names of [arrays] replaced by the files. */
BoundStep bind(const Job& job, const Step& step, const KernelTable& table) {
  BoundStep bound = bind_step(step, table);
  for (std::string& out : bound.outputs)
    if (const auto file = file_of(job, out)) out = is_file_name(*file) ? *file : "./" + *file;
  return bound;
}

cadre_shape shape_of(const AnyArray& array) {
  cadre_shape s{to_cadre(array.type), static_cast<std::int32_t>(array.shape.size()), {}};
  std::copy(array.shape.begin(), array.shape.end(), s.shape);
  return s;
}

class Checker {
 public:
  Checker(const Job& job, const KernelTable& table) : job_(job), table_(table) {
    for (const auto& [name, array] : job.arrays) known_[name] = Header{array.type, array.shape};
  }

  void check() {
    if (job_.steps.empty()) throw Error(job_.name + ": there are no steps");
    for (const Step& step : job_.steps) check_step(bind(job_, step, table_));
  }

 private:
  std::optional<Header> find(const BoundStep& step, const std::string& name) {
    const auto path = file_of(job_, name);
    // What an earlier step wrote has taken the place of the file that was there.
    if (path)
      if (const auto made = made_files_.find(canonical_path(*path)); made != made_files_.end()) return made->second;
    if (const auto at = known_.find(name); at != known_.end()) return at->second;
    if (!path) {
      std::vector<std::string> names;
      for (const auto& [n, header] : known_) names.push_back(n);
      for (const auto& [n, file] : job_.files) names.push_back(n);
      const std::string near = nearest_name(name, names);
      throw Error(prefix(step) + "there is no array " + name + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    NpyInfo info;
    try {
      info = inspect_npy(*path);
    } catch (const Error& e) {
      throw Error((step.where.empty() ? "" : step.where + ": ") + e.what(), e.kind());
    }
    if (info.fortran_order) throw Error((step.where.empty() ? "" : step.where + ": ") + *path + " is in Fortran order; save it in C order: np.save(file, np.ascontiguousarray(a))");
    known_[name] = Header{info.type, info.shape};
    return known_[name];
  }

  void check_step(const BoundStep& step) {
    const cadre_kernel& k = step.kernel();
    std::vector<std::optional<Header>> headers;
    for (const std::string& name : step.inputs) headers.push_back(find(step, name));
    std::set<std::string> here;
    for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
      const std::string& name = step.outputs[o];
      if (name.empty()) continue;
      const bool file = is_output_file(job_, name);
      const std::string key = file ? canonical_path(name) : name;
      if (!here.insert(key).second) throw Error(prefix(step) + "two outputs have the name " + name);
      check_overlap(step, o);
      if (file && !all_files_.insert(key).second) throw Error(prefix(step) + name + " is written by two steps");
      if (file) NpyOutput::check(name);
      for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
        const auto in = file_of(job_, step.inputs[i]);
        if ((file && in ? canonical_path(*in) : step.inputs[i]) == key && !(k.flags & CADRE_ELEMENTWISE))
          throw Error(prefix(step) + "output " + k.outputs[o].name + " (" + name + ") is also an input, and this kernel is not elementwise: give it another name");
      }
    }
    const bool known = std::all_of(headers.begin(), headers.end(), [](const auto& h) { return h.has_value(); });
    std::optional<cadre_plan> plan;
    if (known) {
      std::vector<Header> inputs;
      for (auto& h : headers) inputs.push_back(*h);
      plan = plan_pass(step, table_, 0, inputs, nullptr);
      if (k.passes == 1) check_unbound(step, *plan);
    }
    for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
      const std::string& name = step.outputs[o];
      if (name.empty()) continue;
      // What a later pass decides is not known before it runs.
      std::optional<Header> header;
      if (plan && k.passes == 1) header = header_of(plan->outputs[o]);
      if (const auto array = job_.arrays.find(name); array != job_.arrays.end()) {
        if (!array->second.writable) throw Error(prefix(step) + "array " + name + " may only be read");
        if (header && (header->type != array->second.type || header->shape != array->second.shape))
          throw Error(prefix(step) + "array " + name + " is " + name_of(array->second.type) + " " + to_string(array->second.shape) + "; the output is " + name_of(header->type) + " " + to_string(header->shape));
      }
      known_[name] = header;
      if (is_output_file(job_, name)) made_files_[canonical_path(name)] = header;
    }
  }

  // Arrays of the program may have several names, or be views of one memory.
  void check_overlap(const BoundStep& step, std::uint32_t output) const {
    const cadre_kernel& k = step.kernel();
    const auto out = job_.arrays.find(step.outputs[output]);
    if (out == job_.arrays.end()) return;
    const std::string what = prefix(step) + "output " + k.outputs[output].name + " (" + out->first + ")";
    for (const std::string& name : step.inputs)
      if (const auto in = job_.arrays.find(name); in != job_.arrays.end() && overlap(in->second, out->second)) {
        if (!(k.flags & CADRE_ELEMENTWISE)) throw Error(what + " is also an input, and this kernel is not elementwise: give it an array of its own");
        if (in->second.data != out->second.data || in->second.type != out->second.type) throw Error(what + " lies across input " + name + ": give it an array of its own, or the same one");
      }
    for (std::uint32_t other = 0; other < output; ++other)
      if (const auto at = job_.arrays.find(step.outputs[other]); at != job_.arrays.end() && overlap(at->second, out->second))
        throw Error(what + " and output " + k.outputs[other].name + " (" + at->first + ") are one memory: give each an array of its own");
  }

  const Job& job_;
  const KernelTable& table_;
  std::map<std::string, std::optional<Header>> known_;
  std::map<std::string, std::optional<Header>> made_files_;
  std::set<std::string> all_files_;
};

}  // namespace

void check_steps(const Job& job, const KernelTable& table) { Checker(job, table).check(); }

JobRun::JobRun(const Job& job, const KernelTable& table, Executor& executor, Journal* journal)
    : job_(job), table_(table), executor_(executor), journal_(journal) {
  // With all computed, an output may have taken an input's place.
  if (!journal || journal->checkpoint().state == Checkpoint::State::running) check_steps(job, table);
  for (const Step& step : job.steps) steps_.push_back(bind(job, step, table));
  arrays_ = job.arrays;
  for (const auto& [name, array] : job.arrays)
    if (array.bytes() > 0 && (array.storage == nullptr || !(Arena::instance().contains(array.data) || Arena::instance().contains_file(array.data))))
      throw Error("array " + name + " does not lie in shared memory: make it with engine.array<T>(n)");
}

AnyArray JobRun::source(const BoundStep&, const std::string& name) {
  const auto path = file_of(job_, name);
  if (path)
    for (const Output& out : outputs_)
      if (canonical_path(out.file) == canonical_path(*path)) return out.mapped ? out.mapped->array() : out.array;
  if (const auto at = arrays_.find(name); at != arrays_.end()) return at->second;
  return arrays_[name] = open_npy(*path);
}

AnyArray JobRun::fresh_array(std::uint32_t output, const Header& header) {
  const std::uint64_t bytes = std::max<std::uint64_t>(elements_of(header.shape, size_of(header.type)) * size_of(header.type), 1);
  auto storage = executor_.ledger().allocate(Role::output, output, bytes, false);
  return AnyArray(storage, storage->data(), header.type, header.shape, true);
}

// Where a map output, or one that finish writes, goes: an array of the program or an earlier step of that name, type and shape; the mapped file; new memory.
AnyArray JobRun::target(const BoundStep& step, std::uint32_t output, const Header& header) {
  const std::string& name = step.outputs[output];
  const bool map = step.kernel().outputs[output].kind == CADRE_OUT_MAP;
  const auto fresh = [&] { return fresh_array(output, header); };
  if (is_output_file(job_, name)) {
    Output& out = outputs_.emplace_back();
    out.file = name;
    if (map) {
      out.mapped = journal_ ? std::make_unique<NpyOutput>(fs::absolute(name).string(), header.type, header.shape, journal_->id(),
                                                          !executor_.ledger().fresh())
                            : std::make_unique<NpyOutput>(name, header.type, header.shape);
      return out.mapped->array();
    }
    return out.array = fresh();
  }
  if (const auto at = arrays_.find(name); !name.empty() && at != arrays_.end() && at->second.writable && at->second.type == header.type && at->second.shape == header.shape) return at->second;
  if (job_.arrays.contains(name))
    throw Error(prefix(step) + "array " + name + " is " + name_of(arrays_[name].type) + " " + to_string(arrays_[name].shape) + "; the output is " + name_of(header.type) + " " + to_string(header.shape), Error::Kind::failed);
  return fresh();
}

void JobRun::run(Report& report, const std::function<void()>& computed) {
  const struct Tracing {
    Executor& executor;
    ~Tracing() { executor.trace_to(nullptr); }
  } tracing{executor_};
  executor_.trace_to(job_.trace ? &report.trace : nullptr);
  if (journal_) restore(report);
  const bool to_compute = !journal_ || journal_->checkpoint().state == Checkpoint::State::running;
  if (to_compute) {
    run_steps(report);
    compute_rest(report);
  }
  report.faults.resumed_chunks = resumed_;
  if (computed) computed();
  commit(report);
}

void JobRun::run_steps(Report& report) {
  for (std::size_t i = first_step_; i < steps_.size(); ++i) {
    StepReport told = std::exchange(told_, {});
    told.kernel = steps_[i].kernel().name;
    run_step(i, steps_[i], report, told);
    report.steps.push_back(std::move(told));
    report.elements = report.steps.back().elements;
    report.chunks = report.steps.back().chunks;
    forget_temporaries(i);
    checkpoint(i + 1, 0, nullptr, report, {});
  }
}

void JobRun::compute_rest(Report& report) {
  const std::uint64_t begin = monotonic_ns();
  for (Output& out : outputs_)
    if (!out.mapped)
      out.written = std::make_unique<NpyOutput>(
          journal_ ? NpyOutput::written(fs::absolute(out.file).string(), out.array.type, out.array.shape, out.array.data, journal_->id())
                   : NpyOutput::written(out.file, out.array.type, out.array.shape, out.array.data));
  report.seconds += static_cast<double>(monotonic_ns() - begin) * 1e-9;
  report.bytes_per_second = report.seconds > 0 ? static_cast<double>(bytes_) / report.seconds : 0;
  if (job_.digest) report.digest = digest_of(executor_.hash_blocks(digested_), report.steps.back().result);
}

// With a journal a kill may come between two names: the next program gives the rest of them.
void JobRun::commit(const Report& report) {
  if (!journal_) {
    for (Output& out : outputs_) (out.mapped ? out.mapped : out.written)->commit();
    return;
  }
  Checkpoint end = journal_->checkpoint();
  if (end.state == Checkpoint::State::running) {
    end = snapshot(report);
    end.state = Checkpoint::State::committing;
    end.step = static_cast<std::uint32_t>(steps_.size());
    end.arrays.clear();
    end.digested.clear();
    journal_->save(end);
  }
  end.report = report;
  for (const KeptOutput& out : end.outputs) commit_kept(out.file);
  journal_->finish(end);
  Arena::instance().forget_file();
}

void JobRun::sync() {
  for (Output& out : outputs_)
    if (NpyOutput* file = out.mapped ? out.mapped.get() : out.written.get()) file->sync();
}

void JobRun::discard() noexcept {
  for (Output& out : outputs_)
    if (NpyOutput* file = out.mapped ? out.mapped.get() : out.written.get()) file->discard();
  if (journal_) journal_->discard();
}

KeptArray JobRun::keep(const std::string& name, const AnyArray& array) const {
  KeptArray kept{.name = name, .type = array.type, .shape = array.shape};
  for (std::size_t o = 0; o < outputs_.size(); ++o)
    if (outputs_[o].mapped && outputs_[o].mapped->array().storage == array.storage) {
      kept.output = static_cast<std::uint32_t>(o);
      return kept;
    }
  kept.extent = {reinterpret_cast<std::uint64_t>(array.storage->data()), array.storage->bytes()};
  kept.offset = static_cast<std::uint64_t>(array.data - array.storage->data());
  return kept;
}

Checkpoint JobRun::snapshot(const Report& report) const {
  Checkpoint c;
  c.bytes = bytes_;
  c.chunks = chunks_;
  for (const Output& out : outputs_) {
    KeptOutput kept{.file = {.path = fs::absolute(out.file).string()}, .mapped = out.mapped != nullptr};
    if (const NpyOutput* file = out.mapped ? out.mapped.get() : out.written.get()) kept.file = file->kept();
    if (out.mapped)
      kept.array = {.type = out.mapped->array().type, .shape = out.mapped->array().shape};
    else
      kept.array = keep("", out.array);
    c.outputs.push_back(std::move(kept));
  }
  for (const auto& [name, array] : arrays_)
    if (Arena::instance().contains(array.data)) c.arrays.push_back(keep(name, array));  // files are opened again
  for (const AnyArray& array : digested_) c.digested.push_back(keep("", array));
  c.report = report;
  c.report.faults.poison = executor_.poison();
  return c;
}

void JobRun::checkpoint(std::size_t step, std::uint32_t pass, const std::shared_ptr<Storage>& previous, const Report& report,
                        const StepReport& told) {
  if (!journal_) return;
  Checkpoint c = snapshot(report);
  c.step = static_cast<std::uint32_t>(step);
  c.pass = pass;
  if (previous)
    c.previous = keep("", AnyArray(previous, previous->data(), DType::u8, {static_cast<std::int64_t>(previous->bytes())}, true));
  c.told = told;
  journal_->save(std::move(c));
  executor_.ledger().begin(journal_->checkpoint().generation);
  Arena::instance().settle();  // what the last checkpoint needed and this one does not
}

void JobRun::restore(Report& report) {
  const Checkpoint& c = journal_->checkpoint();
  if (!journal_->resumed()) {
    executor_.ledger().begin(c.generation);
    return;
  }
  if (c.step > steps_.size() || (c.step < steps_.size() && c.pass >= steps_[c.step].kernel().passes))
    throw Error("the journal in " + journal_->directory() + " tells of a step that the job does not have");
  first_step_ = c.step;
  first_pass_ = c.pass;
  told_ = c.told;
  bytes_ = c.bytes;
  chunks_ = resumed_ = c.chunks;
  report.elements = c.report.elements;
  report.chunks = c.report.chunks;
  report.seconds = c.report.seconds;
  report.bytes_per_second = c.report.bytes_per_second;
  report.digest = c.report.digest;
  report.steps = c.report.steps;
  report.outputs = c.report.outputs;
  report.exit_code = c.report.exit_code;
  executor_.carry_on(c.report.faults.poison);
  if (c.state != Checkpoint::State::running) return;
  std::map<std::uint64_t, std::shared_ptr<Storage>> storages;
  for (const ArenaExtent& e : extents_of(c)) storages[e.address] = own_storage(reinterpret_cast<std::byte*>(e.address), e.bytes);
  for (const KeptOutput& kept : c.outputs) {
    Output& out = outputs_.emplace_back();
    out.file = kept.file.path;
    if (kept.mapped) out.mapped = std::make_unique<NpyOutput>(kept.file.path, kept.array.type, kept.array.shape, journal_->id(), true);
  }
  const auto array_of = [&](const KeptArray& kept) {
    if (kept.extent.bytes == 0) return outputs_.at(kept.output).mapped->array();
    const auto& storage = storages.at(kept.extent.address);
    return AnyArray(storage, storage->data() + kept.offset, kept.type, kept.shape, true);
  };
  for (std::size_t o = 0; o < c.outputs.size(); ++o)
    if (!c.outputs[o].mapped) outputs_[o].array = array_of(c.outputs[o].array);
  for (const KeptArray& kept : c.arrays) arrays_[kept.name] = array_of(kept);
  for (const KeptArray& kept : c.digested) digested_.push_back(array_of(kept));
  if (c.previous) previous_ = array_of(*c.previous).storage;
}

void JobRun::run_step(std::size_t index, const BoundStep& step, Report& report, StepReport& told) {
  const cadre_kernel& k = step.kernel();
  const bool last_step = index + 1 == steps_.size();
  std::vector<AnyArray> inputs;
  std::vector<Header> headers;
  for (const std::string& name : step.inputs) {
    inputs.push_back(source(step, name));
    headers.push_back({inputs.back().type, inputs.back().shape});
    bytes_ += inputs.back().bytes();
  }
  std::shared_ptr<Storage> previous = std::exchange(previous_, nullptr);
  for (std::uint32_t p = std::exchange(first_pass_, 0), next; p < k.passes; p = next) {
    next = p + 1;
    const bool last_pass = p + 1 == k.passes;
    Pass pass;
    pass.kernel = (step.where.empty() ? "" : step.where + ": ") + k.name;
    pass.plan = plan_pass(step, table_, p, headers, previous ? previous->data() : nullptr);
    if (last_pass) check_unbound(step, pass.plan);
    pass.chunk = last_pass ? job_.chunk : preparing_chunk(pass.plan, job_.chunk);
    pass.code = {.run = k.run, .identity = k.identity, .combine = k.combine, .finish = k.finish, .state = k.state, .plugin = step.ref.plugin, .kernel = step.ref.index};
    for (std::uint32_t i = 0; i < k.n_inputs; ++i) pass.inputs.push_back({inputs[i], k.inputs[i].role == CADRE_WHOLE});
    if (const auto carried = arrays_.find(kCarried); carried != arrays_.end()) {
      pass.inputs.push_back({carried->second, true});
      pass.plan.inputs[k.n_inputs] = shape_of(carried->second);
    }
    const bool carries = !last_pass && pass.plan.carried.dtype.bits != 0;
    if (carries) {
      pass.plan.outputs[0] = pass.plan.carried;
      pass.outputs.push_back({.array = fresh_array(0, header_of(pass.plan.carried))});
    }
    const std::uint32_t wanted = wanted_outputs(step);
    for (std::uint32_t o = 0; o < k.n_outputs && last_pass; ++o) {
      PassOutput out{.kind = k.outputs[o].kind, .op = k.outputs[o].op, .counts = k.outputs[o].counts, .fill = k.outputs[o].fill};
      // A combined result gets memory of its own, and is copied to an array of the program.
      if (out.kind == CADRE_OUT_COLUMN ? job_.arrays.contains(step.outputs[o]) : wanted >> o & 1) out.array = target(step, o, header_of(pass.plan.outputs[o]));
      pass.outputs.push_back(std::move(out));
    }
    if (last_pass)
      for (std::uint32_t r = 0; r < k.n_results; ++r) pass.result_names.push_back(k.results[r].name);
    pass.always_finish = k.finish != nullptr && (last_pass || pass.plan.accumulator_bytes > 0);
    const std::uint64_t begin = monotonic_ns();
    executor_.run(pass, [&](std::uint64_t done, std::uint64_t chunks) {
      if (job_.progress) job_.progress(index, done, chunks);
    });
    const double seconds = static_cast<double>(monotonic_ns() - begin) * 1e-9;
    told.seconds += seconds;
    report.seconds += seconds;
    told.elements = pass.plan.elements;
    told.chunks = pass.chunks;
    if (const double operations = static_cast<double>(pass.plan.elements) * pass.plan.operations; std::isfinite(report.operations + operations) && operations > 0) report.operations += operations;
    chunks_ += pass.chunks;
    resumed_ += pass.resumed;
    if (!last_pass) {
      if (pass.again && pass.previous) next = p;
      arrays_.erase(kCarried);
      if (carries) arrays_[kCarried] = pass.outputs[0].array;
      checkpoint(index, next, pass.previous, report, told);
      previous = pass.previous;
      continue;
    }
    for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
      const std::string& name = step.outputs[o];
      if (name.empty()) continue;
      AnyArray& array = pass.outputs[o].array;
      const bool file = is_output_file(job_, name);
      if (file) {
        report.outputs.emplace_back(k.outputs[o].name, name);
        if (pass.outputs[o].kind == CADRE_OUT_COLUMN) outputs_.push_back({name, nullptr, array, nullptr});
      } else {
        arrays_[name] = array;
      }
      bytes_ += array.bytes();
      if (last_step) digested_.push_back(array);
    }
    keep_results(step, pass, told);
  }
}

// Outputs that were given no name and are small, then the declared results; both in declared order.
void JobRun::keep_results(const BoundStep& step, Pass& pass, StepReport& told) {
  const cadre_kernel& k = step.kernel();
  for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
    const AnyArray& a = pass.outputs[o].array;
    if (!step.outputs[o].empty() || !a.storage || a.elements() > kSmallResult) continue;
    SmallResult result{.name = k.outputs[o].name, .shape = a.shape, .values = std::vector<double>{}};
    const auto widen = [&]<class T, class Wide>() {
      const T* values = reinterpret_cast<const T*>(a.data);
      result.values = std::vector<Wide>(values, values + a.elements());
    };
    switch (a.type) {
      case DType::f64: widen.operator()<double, double>(); break;
      case DType::f32: widen.operator()<float, double>(); break;
      case DType::i8: widen.operator()<std::int8_t, std::int64_t>(); break;
      case DType::i16: widen.operator()<std::int16_t, std::int64_t>(); break;
      case DType::i32: widen.operator()<std::int32_t, std::int64_t>(); break;
      case DType::i64: widen.operator()<std::int64_t, std::int64_t>(); break;
      case DType::u8: widen.operator()<std::uint8_t, std::uint64_t>(); break;
      case DType::u16: widen.operator()<std::uint16_t, std::uint64_t>(); break;
      case DType::u32: widen.operator()<std::uint32_t, std::uint64_t>(); break;
      case DType::u64: widen.operator()<std::uint64_t, std::uint64_t>(); break;
    }
    told.result.push_back(std::move(result));
  }
  for (SmallResult& r : pass.results) {
    const std::size_t count = std::visit([](const auto& v) { return v.size(); }, r.values);
    if (count <= kSmallResult) told.result.push_back(std::move(r));
  }
}

// Memory of temporaries goes back as soon as no later step names them.
void JobRun::forget_temporaries(std::size_t done) {
  std::erase_if(arrays_, [&](const auto& entry) {
    if (job_.arrays.contains(entry.first)) return false;
    for (std::size_t later = done + 1; later < steps_.size(); ++later) {
      const auto& in = steps_[later].inputs;
      if (std::find(in.begin(), in.end(), entry.first) != in.end()) return false;
    }
    return true;
  });
}

}  // namespace cadre
