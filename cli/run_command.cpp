/* cadre run: a job from a job file, or one kernel on files named on the command line. */
#include <unistd.h>

#include <memory>
#include <optional>

#include <cadre/engine/engine.hpp>

#include "commands.hpp"
#include "job_arguments.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "stdout_aside.hpp"
#include "summary.hpp"

namespace cadre::cli {
namespace {

int run_job(const JobArguments& a, Context& context) {
  RunSettings settings;
  std::optional<Build> built;
  Job job = job_of(a, settings, built, "run");
  context.json = settings.json;

  if (!is_computed(settings.options)) check_job(job, settings.options);
  StopSignals signals(settings.json);
  Report report;
  {
    StdoutAside aside(!settings.options.plugins.empty());
    signals.results_to(aside.results());
    {
      Engine engine(settings.options);
      Progress progress(STDERR_FILENO, job.steps.size(), settings.progress && !settings.quiet);
      if (progress.enabled())
        job.progress = [&](std::size_t step, std::uint64_t done, std::uint64_t chunks) { progress.update(step, done, chunks); };
      signals.started(report_before(job, engine.options()), engine.options().journal);
      report = engine.run(job);
    }
    aside.put_back();
    signals.results_to(STDOUT_FILENO);
  }
  if (!report.error.empty()) complain(report.error);
  write_out(settings.json ? to_json(report) + "\n" : settings.quiet ? bare_results(report) : summary(report));
  return report.exit_code;
}

}  // namespace

Command add_run(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("run", "Run a kernel on files, or the steps of a job file");
  app->allow_extras();
  app->footer(
      "examples\n"
      "  cadre run sum --in prices.npy\n"
      "  cadre run histogram --in x.npy --param bins=1000 --param lo=0 --param hi=1 --out counts.npy --json\n"
      "  cadre run --expr \"y = a*sqrt(x) + log1p(x)\" --in x=x.npy --param a=2 --out y=y.npy\n"
      "  cadre run fares.toml --workers 8\n\n"
      "cadre kernels lists the kernels, cadre kernels NAME says what one takes and gives.");
  auto a = std::make_shared<JobArguments>();
  add_job_arguments(*app, *a);
  return {app, [a, &context] { return run_job(*a, context); }};
}

}  // namespace cadre::cli
