#include <cadre/engine/engine.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include <cadre/engine/executor.hpp>
#include <cadre/engine/job_facts.hpp>
#include <cadre/engine/job_run.hpp>
#include <cadre/engine/journal.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/engine/lambda_check.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/pool/pool.hpp>
#include <cadre/pool/program.hpp>
#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

Options resolved(Options o) {
  if (o.workers == 0) o.workers = usable_cpu_count();
  if (o.workers < 1 || o.workers > kMaxWorkers) throw Error("workers must be 1 to " + std::to_string(kMaxWorkers) + ", not " + std::to_string(o.workers));
  if (o.retries < 0 || o.retries > 1000) throw Error("retries must be 0 to 1000, not " + std::to_string(o.retries));
  const auto in_processes = [&](bool asked, const char* flag) {
    if (asked && o.backend != Backend::processes) throw Error(std::string("--") + flag + " needs --backend processes: " + name_of(o.backend) + " can neither end nor replace a kernel that runs");
  };
  in_processes(o.timeout != 0, "timeout");
  in_processes(o.max_chunks_per_worker != 0, "max-chunks-per-worker");
  in_processes(o.max_memory_per_worker != 0, "max-memory-per-worker");
  if (!(o.timeout >= 0 && o.timeout <= 1e9)) throw Error("timeout must be 0 (none) to 1e9 seconds");
  if (o.max_skipped > kMostSkipped) throw Error("max_skipped must be 0 to " + std::to_string(kMostSkipped) + ", not " + std::to_string(o.max_skipped));
  if (!(o.verify_fraction >= 0 && o.verify_fraction <= 1)) throw Error("verify_fraction must be 0 to 1");
  if (o.backend == Backend::serial) o.workers = 1;
  if (o.backend == Backend::processes && o.start != StartMethod::fork) require_init((std::string("the start method ") + name_of(o.start)).c_str());
  if (!o.journal.empty() && o.backend != Backend::processes)
    throw Error(std::string("--journal keeps what worker processes do: it can not be had with --backend ") + name_of(o.backend));
  if (o.resume && o.journal.empty()) throw Error("--resume carries on with a journal: name it with --journal DIR");
  if (o.private_copies && o.backend != Backend::threads) throw Error(std::string("private copies of combined results are for --backend threads, not ") + name_of(o.backend));
  if (o.sandbox && o.backend != Backend::processes) throw Error(std::string("--sandbox confines worker processes; --backend ") + name_of(o.backend) + " runs kernels in this program: use processes");
  o.isa = resolve_isa(o.isa);
  return o;
}

HandsPlan hands_plan(const Options& o) {
  HandsPlan plan;
  plan.plugins = o.plugins;
  plan.workers = o.workers;
  plan.pin = o.pin;
  plan.timeout_ns = static_cast<std::uint64_t>(o.timeout * 1e9);
  plan.max_chunks = o.max_chunks_per_worker;
  plan.max_memory = o.max_memory_per_worker;
  plan.start = o.start;
  plan.sandbox = o.sandbox;
  return plan;
}

FaultLimits fault_limits(const Options& o) {
  return {.retries = o.retries, .skip = o.on_poison == OnPoison::skip, .max_skipped = o.max_skipped, .strict = o.strict, .verify_fraction = o.verify_fraction, .private_copies = o.private_copies};
}

// Whoever finds that something of a journal can not be gone on with knows the thing alone: what is to be done about it is said here.
std::string with_remedy(const Error& e, const std::string& directory) {
  const bool damaged = e.kind() == Error::Kind::damaged && !directory.empty();
  return e.what() + (damaged ? "; the job can not be carried on with: remove " + directory + " and the temporaries beside the outputs (.NAME.ID.tmp), and begin it again without --resume"
                             : std::string());
}

void tell_skipped(Report& report) {
  const std::size_t n = report.faults.poison.size();
  if (report.error.empty() && n > 0)
    report.error = std::to_string(n) + (n == 1 ? " element was skipped: " : " elements were skipped, the first: ") + sentence_of(report.faults.poison.front());
}

}  // namespace

void check_job(const Job& job, const Options& options) { check_steps(job, KernelTable(resolved(options))); }

bool is_computed(const Options& options) noexcept {
  return options.resume && !options.journal.empty() && Journal::is_computed(options.journal);
}

struct Engine::Impl {
  Options options;
  std::unique_ptr<Journal> journal;
  KernelTable table;
  ProgramImage image;
  Executor executor;
  std::mutex one_job;

  explicit Impl(const Options& o)
      : options(resolved(o)),
        journal(open_journal(options)),
        table(options),
        executor(options.backend, hands_plan(options), fault_limits(options), kept(),
                 kept() && journal->resumed() ? std::optional(journal->checkpoint().generation) : std::nullopt) {}

  // A journal that is finished has no memory any more, and needs none.
  bool kept() const { return journal && !journal->finished(); }

  static std::unique_ptr<Journal> open_journal(const Options& options) {
    std::unique_ptr<Journal> journal;
    if (!options.journal.empty()) journal = std::make_unique<Journal>(options);
    if (journal && !journal->finished())
      Arena::make_in(journal->arena_file());
    else
      Arena::instance();
    return journal;
  }

  // The job has ended before its time: the journal is put onto the disk as it is.
  void keep_journal(JobRun& run, Report& report) {
    const std::string& directory = journal->directory();
    try {
      run.sync();
      journal->close();
      report.error += "; the same command with --resume carries on from the journal in " + directory;
    } catch (const Error& e) {
      report.error += "; the journal in " + directory + " is not on the disk (" + e.what() +
                      "): until the machine is started again, the same command with --resume carries on from it";
    }
  }
};

Engine::Engine(Options options) {
  // Forking would copy the other threads' locks in whatever state they are.
  if (options.backend == Backend::processes && options.start == StartMethod::fork && is_initialised() && threads_of_this_process() > 1) options.start = StartMethod::forkserver;
  try {
    impl_ = std::make_unique<Impl>(options);
  } catch (const Error& e) {
    if (e.kind() != Error::Kind::damaged) throw;
    throw Error(with_remedy(e, options.journal));
  }
}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

const Options& Engine::options() const noexcept { return impl_->options; }

Engine::Pids Engine::pids() const {
  Pids pids;
  if (Pool* pool = impl_->executor.pool()) {
    pids.workers = pool->worker_pids();
    pids.zygote = pool->zygote();
    pids.standby = pool->standby();
  }
  return pids;
}

Faults Engine::faults() const {
  Faults faults;
  if (Pool* pool = impl_->executor.pool()) {
    const PoolCounts counts = pool->counts();
    faults.crashes = counts.crashes;
    faults.timeouts = counts.timeouts;
  }
  faults.retries = impl_->executor.retries();
  faults.poison = impl_->executor.poison();
  return faults;
}

Report Engine::run(const Job& job) {
  const std::lock_guard lock(impl_->one_job);
  Journal* const journal = impl_->journal.get();
  if (journal) {
    if (!job.arrays.empty())
      throw Error("array " + job.arrays.begin()->first +
                  ": a job with a journal takes files alone: the program's own arrays end with the program");
    // What the checks say of bad input is said before a journal is begun for it.
    if (journal->checkpoint().state == Checkpoint::State::running) check_steps(job, impl_->table);
    journal->begin(job_facts(job, impl_->table),
                   journal->checkpoint().state == Checkpoint::State::running ? input_facts(job, impl_->table) : std::vector<Fact>{});
    if (journal->finished()) {
      Report told = journal->checkpoint().report;
      tell_skipped(told);
      return told;
    }
  }
  JobRun run(job, impl_->table, impl_->executor, journal);
  Report report = report_before(job, impl_->options);
  if (!journal || !journal->resumed()) impl_->executor.begin_job();
  const Faults before = journal && journal->resumed() ? Faults{} : faults();  // what was counted before a resume lies in the journal with the rest
  const auto tell_faults = [&] {
    const Faults after = faults();
    report.faults.crashes = after.crashes - before.crashes;
    report.faults.timeouts = after.timeouts - before.timeouts;
    report.faults.retries = after.retries - before.retries;
    report.faults.poison = after.poison;
    if (report.error.empty() && !after.poison.empty()) report.exit_code = 3;
  };
  bool can_go_on = true;
  try {
    run.run(report, tell_faults);
  } catch (const Interrupted& stopped) {
    report.error = "interrupted by " + signal_name(stopped.signal);
    report.exit_code = 128 + stopped.signal;
  } catch (const Error& e) {
    const bool damaged = e.kind() == Error::Kind::damaged;
    if (e.kind() != Error::Kind::failed && !(journal && impl_->executor.has_posted())) {
      if (journal && !journal->resumed()) run.discard();
      if (damaged) throw Error(with_remedy(e, impl_->options.journal));
      throw;
    }
    report.error = with_remedy(e, impl_->options.journal);
    report.exit_code = 1;
    can_go_on = !damaged;
  }
  if (!report.error.empty()) {
    report.outputs.clear();  // files get their names when all steps are done
    tell_faults();
    if (journal && can_go_on) impl_->keep_journal(run, report);
  }
  tell_skipped(report);
  return report;
}

std::vector<std::byte> Engine::run_lambda(const detail::Lambda& lambda, std::vector<AnyArray> inputs, std::vector<AnyArray> outputs, AnyArray* column) {
  const std::lock_guard lock(impl_->one_job);
  if (impl_->journal)
    throw Error(std::string(lambda.name) +
                ": an engine with a journal runs the one job of it; make another engine for lambdas, without a journal");
  if (impl_->options.backend == Backend::processes) impl_->image.check(lambda);
  for (const auto* arrays : {&inputs, &outputs})
    for (const AnyArray& a : *arrays)
      if (!a.storage) throw Error(std::string(lambda.name) + ": an array is empty or does not lie in shared memory: make it with engine.array<T>(n)");
  for (const AnyArray& out : outputs)
    for (const AnyArray& in : inputs)
      if (overlap(in, out) && (in.data != out.data || in.type != out.type))
        throw Error(std::string(lambda.name) + ": the output lies across an input: give it an array of its own, or the same one");
  Pass pass;
  pass.kernel = lambda.name;
  pass.code.run = lambda.run;
  pass.code.identity = lambda.identity;
  pass.code.combine = lambda.combine;
  pass.code.captured = static_cast<std::uint32_t>(lambda.captured);
  std::memcpy(pass.code.capture, lambda.capture.data(), lambda.captured);
  pass.plan.size = sizeof pass.plan;
  pass.plan.elements = lambda.elements;
  pass.plan.accumulator_bytes = lambda.accumulator_bytes;
  const auto shape_of = [](const AnyArray& a) { return cadre_shape{to_cadre(a.type), 1, {static_cast<std::int64_t>(a.elements())}}; };
  for (const AnyArray& a : inputs) {
    pass.plan.inputs[pass.plan.n_inputs++] = shape_of(a);
    pass.inputs.push_back({AnyArray(a.storage, a.data, a.type, {static_cast<std::int64_t>(a.elements())}, a.writable), false});
  }
  for (const AnyArray& a : outputs) {
    pass.plan.outputs[pass.outputs.size()] = shape_of(a);
    pass.outputs.push_back({.kind = CADRE_OUT_MAP, .fill = std::numeric_limits<double>::quiet_NaN(), .array = AnyArray(a.storage, a.data, a.type, {static_cast<std::int64_t>(a.elements())}, true)});
  }
  if (column) {
    pass.plan.scatter.rows = lambda.rows;
    pass.plan.scatter.value = lambda.value;
    pass.plan.outputs[0] = {lambda.value, 1, {static_cast<std::int64_t>(lambda.rows)}};
    pass.outputs.push_back({.kind = CADRE_OUT_COLUMN, .op = CADRE_ADD});
  }
  // A fold's combine() gets the plan alone: there it finds the captures too.
  if (lambda.accumulator_bytes > 0) pass.plan.previous = impl_->executor.capture_address();
  impl_->executor.begin_job();
  try {
    impl_->executor.run(pass);
  } catch (const Interrupted& stopped) {
    throw Error(std::string(lambda.name) + ": interrupted by " + signal_name(stopped.signal), Error::Kind::failed);
  }
  if (column) *column = pass.outputs[0].array;
  std::vector<std::byte> folded(lambda.accumulator_bytes);
  if (pass.previous) std::memcpy(folded.data(), pass.previous->data(), folded.size());
  return folded;
}

Report report_before(const Job& job, const Options& options) {
  return {.job = job.name.empty() && !job.steps.empty() ? job.steps.front().kernel : job.name, .backend = options.backend, .start = options.start, .workers = options.workers, .isa = options.isa};
}

}  // namespace cadre
