/* cadre run: a job from a job file, or one kernel on files named on the command line. */
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <cadre/engine/engine.hpp>
#include <cadre/engine/flags.hpp>

#include <cadre/kernels/registry.hpp>

#include "commands.hpp"
#include "expression.hpp"
#include "output.hpp"
#include "plugin_build.hpp"
#include "plugin_path.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "stdout_aside.hpp"
#include "summary.hpp"

namespace cadre::cli {
namespace {

struct Arguments {
  std::string target;
  std::vector<std::string> in, out, params, plugins;
  std::string expression;
  std::map<std::string, std::string> values;  // flags with a value, as typed
  std::map<std::string, bool> switches;
};

/** "file", "NAME=file": a bare word on the command line is a file too, not the name of an array. */
std::pair<std::string, std::string> file_binding(const std::string& flag, const std::string& text) {
  auto [name, file] = parse_binding(text);
  if (file.empty()) throw Error(flag + " " + text + ": no file is named; " + flag + " [NAME=]FILE.npy");
  if (!file.ends_with(".npy") && file.find('/') == std::string::npos) file = "./" + file;
  return {name, file};
}

Job kernel_job(const Arguments& a) {
  Step step{.kernel = a.target};
  for (const std::string& text : a.in) step.in.push_back(file_binding("--in", text));
  for (const std::string& text : a.out) step.out.push_back(file_binding("--out", text));
  std::set<std::string> given;
  for (const std::string& text : a.params) {
    step.params.push_back(parse_param(text));
    if (!given.insert(step.params.back().first).second) throw Error("--param " + text + ": " + step.params.back().first + " was given before");
  }
  Job job;
  job.name = a.target;
  job.steps.push_back(std::move(step));
  return job;
}

/** The expression, compiled or found compiled, as a kernel of a plug-in. `built` keeps the library while the job runs. */
Job expression_job(const Arguments& a, RunSettings& settings, std::optional<Build>& built) {
  if (!a.target.empty()) throw Error("--expr and " + a.target + ": an expression takes the place of a kernel; give one of the two");
  std::vector<std::string> params;
  for (const std::string& text : a.params) params.push_back(parse_param(text).first);
  const Expression expression = parse_expression(a.expression, params);
  Arguments as_kernel = a;
  as_kernel.target = "expression";
  Job job = kernel_job(as_kernel);
  job.name = a.expression;
  for (const auto& [name, file] : job.steps[0].in)
    if (!name.empty() && std::find(expression.inputs.begin(), expression.inputs.end(), name) == expression.inputs.end())
      throw Error("--in " + name + "=" + file + ": the expression " + a.expression + " does not use it");
  // Compiled for this CPU alone: the bits are the same on every level.
  built.emplace(build_plugin({.sources = {}, .text = expression.source, .levels = {name_of(best_level())}}));
  settings.options.plugins.push_back(built->library);
  return job;
}

Job file_job(const Arguments& a, RunSettings& settings) {
  const char* misplaced = !a.in.empty() ? "--in" : !a.out.empty() ? "--out" : !a.params.empty() ? "--param" : nullptr;
  if (misplaced) throw Error(std::string(misplaced) + " goes with a kernel; a job file says it itself, under [[steps]]");
  JobFile file = read_job_file(a.target);
  for (const auto& [name, value] : file.options) apply_flag(settings, name, value, a.target + ":" + std::to_string(file.option_lines[name]));
  return std::move(file.job);
}

int run(const Arguments& a, Context& context) {
  for (const Flag& flag : run_flags())
    if (!flag.built && (a.values.contains(flag.name) || a.switches.contains(flag.name))) throw Error(std::string("--") + flag.name + " is not built yet");
  if (a.target.empty() && a.expression.empty()) throw Error("run what? cadre run KERNEL --in FILE.npy, or cadre run JOB.toml; cadre kernels lists the kernels");

  RunSettings settings;
  std::optional<Build> built;
  Job job = !a.expression.empty() ? expression_job(a, settings, built) : a.target.ends_with(".toml") ? file_job(a, settings) : kernel_job(a);
  for (const auto& [name, value] : a.values) apply_flag(settings, name, value, "");
  for (const std::string& file : a.plugins) apply_flag(settings, "plugin", file, "");
  for (const auto& [name, given] : a.switches) apply_flag(settings, name, "true", "");
  add_plugins_of_path(settings.options.plugins);
  context.json = settings.json;
  job.chunk = settings.chunk;
  job.digest = settings.digest;

  if (!is_computed(settings.options)) check_job(job, settings.options);
  StopSignals signals(settings.json);
  Report report;
  {
    const StdoutAside aside(!settings.options.plugins.empty());
    Engine engine(settings.options);
    Progress progress(STDERR_FILENO, job.steps.size(), settings.progress && !settings.quiet);
    if (progress.enabled())
      job.progress = [&](std::size_t step, std::uint64_t done, std::uint64_t chunks) { progress.update(step, done, chunks); };
    report = engine.run(job);
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
  auto a = std::make_shared<Arguments>();
  app->add_option("KERNEL|JOB.toml", a->target, "A kernel's name, or a job file (recognised by .toml)")->type_name("");
  auto repeatable = [&](const char* flag, std::vector<std::string>& into, const char* value, const char* doc) {
    app->add_option(flag, into, doc)->type_name(value)->allow_extra_args(false)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  repeatable("--in", a->in, "[NAME=]FILE.npy", "an input, in the kernel's order or by name; repeatable");
  repeatable("--out", a->out, "[NAME=]FILE.npy", "an output; repeatable");
  repeatable("--param", a->params, "NAME=VALUE", "a parameter; repeatable");
  for (const Flag& flag : run_flags()) {
    const std::string dashed = std::string("--") + flag.name;
    const std::string doc = flag.doc;
    CLI::Option* option = nullptr;
    if (std::string(flag.name) == "plugin") {
      repeatable("--plugin", a->plugins, flag.value, flag.doc);
      continue;
    }
    if (flag.value)
      option = app->add_option_function<std::string>(dashed, [a, flag](const std::string& v) { a->values[flag.name] = v; }, doc)->type_name(flag.value)->take_last();
    else
      option = app->add_flag_callback(dashed, [a, flag] { a->switches[flag.name] = true; }, doc);
    if (!flag.built) option->group("Not built yet");
  }
  app->add_option("--expr", a->expression, "an expression instead of a kernel: \"y = a*sqrt(x)\"; compiled once, then kept")->type_name("TEXT");
  return {app, [a, &context] { return run(*a, context); }};
}

}  // namespace cadre::cli
