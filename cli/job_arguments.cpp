#include "job_arguments.hpp"

#include <algorithm>
#include <set>

#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

#include "expression.hpp"
#include "plugin_path.hpp"

namespace cadre::cli {
namespace {

/** "file", "NAME=file": a bare word on the command line is a file too, not the name of an array. */
std::pair<std::string, std::string> file_binding(const std::string& flag, const std::string& text) {
  auto [name, file] = parse_binding(text);
  if (file.empty()) throw Error(flag + " " + text + ": no file is named; " + flag + " [NAME=]FILE.npy");
  if (!file.ends_with(".npy") && file.find('/') == std::string::npos) file = "./" + file;
  return {name, file};
}

Job kernel_job(const JobArguments& a) {
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
Job expression_job(const JobArguments& a, RunSettings& settings, std::optional<Build>& built) {
  if (!a.target.empty()) throw Error("--expr and " + a.target + ": an expression takes the place of a kernel; give one of the two");
  std::vector<std::string> params;
  for (const std::string& text : a.params) params.push_back(parse_param(text).first);
  const Expression expression = parse_expression(a.expression, params);
  JobArguments as_kernel = a;
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

Job file_job(const JobArguments& a, RunSettings& settings) {
  const char* misplaced = !a.in.empty() ? "--in" : !a.out.empty() ? "--out" : !a.params.empty() ? "--param" : nullptr;
  if (misplaced) throw Error(std::string(misplaced) + " goes with a kernel; a job file says it itself, under [[steps]]");
  JobFile file = read_job_file(a.target);
  for (const auto& [name, value] : file.options) apply_flag(settings, name, value, a.target + ":" + std::to_string(file.option_lines[name]));
  return std::move(file.job);
}

}  // namespace

void add_job_arguments(CLI::App& app, JobArguments& a, const std::vector<std::string>& other) {
  app.add_option("KERNEL|JOB.toml", a.target, "A kernel's name, or a job file (recognised by .toml)")->type_name("");
  auto repeatable = [&](const char* flag, std::vector<std::string>& into, const char* value, const char* doc) {
    app.add_option(flag, into, doc)->type_name(value)->allow_extra_args(false)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  repeatable("--in", a.in, "[NAME=]FILE.npy", "an input, in the kernel's order or by name; repeatable");
  repeatable("--out", a.out, "[NAME=]FILE.npy", "an output; repeatable");
  repeatable("--param", a.params, "NAME=VALUE", "a parameter; repeatable");
  for (const Flag& flag : run_flags()) {
    if (std::find(other.begin(), other.end(), flag.name) != other.end()) continue;
    const std::string dashed = std::string("--") + flag.name;
    const std::string doc = flag.doc;
    CLI::Option* option = nullptr;
    if (std::string(flag.name) == "plugin") {
      repeatable("--plugin", a.plugins, flag.value, flag.doc);
      continue;
    }
    if (flag.value)
      option = app.add_option_function<std::string>(dashed, [&a, flag](const std::string& v) { a.values[flag.name] = v; }, doc)->type_name(flag.value)->take_last();
    else
      option = app.add_flag_callback(dashed, [&a, flag] { a.switches[flag.name] = true; }, doc);
    if (!flag.built) option->group("Not built yet");
  }
  app.add_option("--expr", a.expression, "an expression instead of a kernel: \"y = a*sqrt(x)\"; compiled once, then kept")->type_name("TEXT");
}

Job job_of(const JobArguments& a, RunSettings& settings, std::optional<Build>& built, const std::string& command) {
  for (const Flag& flag : run_flags())
    if (!flag.built && (a.values.contains(flag.name) || a.switches.contains(flag.name))) throw Error(std::string("--") + flag.name + " is not built yet");
  if (a.target.empty() && a.expression.empty()) throw Error(command + " what? cadre " + command + " KERNEL --in FILE.npy, or cadre " + command + " JOB.toml; cadre kernels lists the kernels");
  Job job = !a.expression.empty() ? expression_job(a, settings, built) : a.target.ends_with(".toml") ? file_job(a, settings) : kernel_job(a);
  for (const auto& [name, value] : a.values) apply_flag(settings, name, value, "");
  for (const std::string& file : a.plugins) apply_flag(settings, "plugin", file, "");
  for (const auto& [name, given] : a.switches) apply_flag(settings, name, "true", "");
  add_plugins_of_path(settings.options.plugins);
  job.chunk = settings.chunk;
  job.digest = settings.digest;
  return job;
}

}  // namespace cadre::cli
