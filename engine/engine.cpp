#include <cadre/engine/engine.hpp>

#include <algorithm>
#include <cstring>
#include <mutex>

#include <cadre/engine/executor.hpp>
#include <cadre/engine/job_run.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/engine/lambda_check.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/pool/pool.hpp>
#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

Options resolved(Options o) {
  if (o.workers == 0) o.workers = usable_cpu_count();
  if (o.workers < 1 || o.workers > kMaxWorkers) throw Error("workers must be 1 to " + std::to_string(kMaxWorkers) + ", not " + std::to_string(o.workers));
  if (o.retries < 0 || o.retries > 1000) throw Error("retries must be 0 to 1000, not " + std::to_string(o.retries));
  if (o.backend == Backend::serial) o.workers = 1;
  if (o.backend == Backend::processes && o.start != StartMethod::fork) throw Error(std::string("--start ") + name_of(o.start) + " is not built yet; use fork");
  o.isa = resolve_isa(o.isa);
  return o;
}

HandsPlan hands_plan(const Options& o) {
  HandsPlan plan;
  plan.plugins = o.plugins;
  plan.workers = o.workers;
  plan.pin = o.pin;
  plan.retries = o.retries;
  return plan;
}

}  // namespace

void check_job(const Job& job, const Options& options) { check_steps(job, KernelTable(resolved(options))); }

struct Engine::Impl {
  Options options;
  KernelTable table;
  ProgramImage image;
  Executor executor;
  std::mutex one_job;

  explicit Impl(const Options& o) : options(resolved(o)), table(options), executor(options.backend, hands_plan(options)) {}
};

Engine::Engine(Options options) {
  Arena::instance();
  impl_ = std::make_unique<Impl>(options);
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
    faults.retries = counts.retries;
  }
  return faults;
}

Report Engine::run(const Job& job) {
  const std::lock_guard lock(impl_->one_job);
  JobRun run(job, impl_->table, impl_->executor);
  Report report;
  report.job = job.name.empty() && !job.steps.empty() ? job.steps.front().kernel : job.name;
  report.backend = impl_->options.backend;
  report.start = impl_->options.start;
  report.workers = impl_->options.workers;
  report.isa = impl_->options.isa;
  const Faults before = faults();
  try {
    run.run(report);
  } catch (const Interrupted& stopped) {
    report.error = "interrupted by " + signal_name(stopped.signal);
    report.exit_code = 128 + stopped.signal;
  } catch (const Error& e) {
    if (e.kind() == Error::Kind::usage) throw;
    report.error = e.what();
    report.exit_code = 1;
  }
  if (!report.error.empty()) report.outputs.clear();  // files get their names when all steps are done
  const Faults after = faults();
  report.faults.crashes = after.crashes - before.crashes;
  report.faults.retries = after.retries - before.retries;
  return report;
}

std::vector<std::byte> Engine::run_lambda(const detail::Lambda& lambda, std::vector<AnyArray> inputs, std::vector<AnyArray> outputs, AnyArray* column) {
  const std::lock_guard lock(impl_->one_job);
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
    pass.outputs.push_back({.kind = CADRE_OUT_MAP, .array = AnyArray(a.storage, a.data, a.type, {static_cast<std::int64_t>(a.elements())}, true)});
  }
  if (column) {
    pass.plan.scatter.rows = lambda.rows;
    pass.plan.scatter.value = lambda.value;
    pass.plan.outputs[0] = {lambda.value, 1, {static_cast<std::int64_t>(lambda.rows)}};
    pass.outputs.push_back({.kind = CADRE_OUT_COLUMN, .op = CADRE_ADD});
  }
  // A fold's combine() gets the plan alone: there it finds the captures too.
  if (lambda.accumulator_bytes > 0) pass.plan.previous = impl_->executor.capture_address();
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

}  // namespace cadre
