/* cadre check: examines the kernels of a plug-in. */
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <nlohmann/json.hpp>

#include <cadre/engine/flags.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/engine/step.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/shm/temporary_folder.hpp>

#include "commands.hpp"
#include "output.hpp"
#include "plugin_check.hpp"
#include "tool.hpp"

namespace cadre::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct CheckArguments {
  std::string plugin, kernel;
  std::vector<std::string> in, params;
  std::uint64_t rows = 6000;
};

DType first_type(std::uint32_t types) {
  for (const DType type : {DType::f64, DType::i64, DType::f32, DType::i32})
    if (types >> static_cast<int>(type) & 1) return type;
  return static_cast<DType>(__builtin_ctz(types));
}

struct Examination {
  std::string kernel;
  std::vector<Answer> answers;
  double ns = -1;
  std::string digest;

  bool good() const {
    for (const Answer& a : answers)
      if (!a.good) return false;
    return true;
  }
};

/** Binds the kernel to the files given, or to samples, which go to files of the folder. */
Step make_step(const CheckArguments& a, const cadre_kernel& k, const std::string& folder, std::vector<Sample>& samples) {
  Step step{.kernel = k.name};
  for (const std::string& text : a.params) step.params.push_back(parse_param(text));
  for (std::uint32_t p = 0; p < k.n_params; ++p) {
    bool given = k.params[p].presence != CADRE_PARAM_REQUIRED;
    for (const auto& [name, value] : step.params) given |= name == k.params[p].name;
    if (!given) step.params.emplace_back(k.params[p].name, std::int64_t{10});
  }
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::string& text : a.in) files.push_back(parse_binding(text));
  std::uint64_t rows = a.rows;
  for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
    std::string file;
    for (std::size_t f = 0; f < files.size(); ++f)
      if (files[f].first == k.inputs[i].name || (files[f].first.empty() && f == i)) file = files[f].second;
    if (file.empty()) {
      samples.push_back(make_sample(k.inputs[i], first_type(k.inputs[i].types), rows));
      file = folder + "/" + k.inputs[i].name + ".npy";
      write_npy(file, samples.back().type, samples.back().shape, samples.back().bytes.data());
    } else {
      if (file.find('/') == std::string::npos) file = "./" + file;
      const AnyArray array = open_npy(file);
      samples.push_back({array.type, array.shape, {array.data, array.data + array.bytes()}});
      if (k.inputs[i].role == CADRE_ROWS && !array.shape.empty()) rows = static_cast<std::uint64_t>(array.shape[0]);
    }
    step.in.emplace_back(k.inputs[i].name, file);
  }
  for (std::uint32_t o = 0; o < k.n_outputs; ++o)
    if (!(k.outputs[o].flags & CADRE_OUT_OPTIONAL)) step.out.emplace_back(k.outputs[o].name, folder + "/out_" + k.outputs[o].name + ".npy");
  return step;
}

/** The whole engine, on every backend, each in a program of its own. */
Answer ask_backends(const CheckArguments& a, const Step& step, const std::string& folder, std::string& digest) {
  std::vector<CommandLine> commands;
  const char* backends[] = {"serial", "threads", "processes"};
  for (const char* backend : backends) {
    CommandLine c{"/proc/self/exe", "run", step.kernel, "--plugin", a.plugin, "--backend", backend, "--json", "--no-progress"};
    if (std::strcmp(backend, "serial") != 0) c.insert(c.end(), {"--workers", "4"});
    for (const auto& [name, file] : step.in) c.insert(c.end(), {"--in", name + "=" + file});
    for (const auto& [name, file] : step.out) c.insert(c.end(), {"--out", name + "=" + file + "." + backend + ".npy"});
    for (const auto& [name, value] : step.params)
      c.insert(c.end(), {"--param", name + "=" + (std::holds_alternative<std::int64_t>(value) ? std::to_string(std::get<std::int64_t>(value)) : shortest(std::get<double>(value)))});
    commands.push_back(std::move(c));
  }
  commands[0][0] = commands[1][0] = commands[2][0] = fs::read_symlink("/proc/self/exe");
  unsetenv("CADRE_PLUGIN_PATH");
  const std::vector<ToolResult> results = run_tools(commands, folder);
  std::string words, digests[3];
  for (int b = 0; b < 3; ++b) {
    Json report;
    for (std::size_t at = results[b].output.find('{'); at != std::string::npos && !report.is_object(); at = results[b].output.find('{', at + 1))
      report = Json::parse(results[b].output.substr(at, results[b].output.find('\n', at) - at), nullptr, false);
    if (results[b].exit != 0) {
      std::string why = report.is_object() && report.contains("error") ? report["error"].get<std::string>() : results[b].exit > 128 ? "ended by signal " + std::to_string(results[b].exit - 128) : results[b].output;
      words += (words.empty() ? "" : "; ") + std::string(backends[b]) + ": " + why;
    } else if (report.is_object() && report.contains("digest")) {
      digests[b] = report["digest"].get<std::string>();
    }
  }
  if (!words.empty()) return {"backends", false, words};
  if (digests[0] != digests[1] || digests[0] != digests[2])
    return {"backends", false, "the digests differ: serial " + digests[0] + ", threads " + digests[1] + ", processes " + digests[2]};
  digest = digests[0];
  return {"backends", true, "digest " + digest + " on serial, threads, processes"};
}

Examination examine_kernel(const CheckArguments& a, const KernelTable& table, const cadre_kernel& k, std::uint32_t index) {
  Examination e{.kernel = k.name};
  const TemporaryFolder folder("check");
  Subject subject{.plugin = a.plugin, .kernel = index, .declared = k};
  Step step;
  try {
    step = make_step(a, k, folder.path(), subject.inputs);
    const BoundStep bound = bind_step(step, table);
    std::vector<Header> headers;
    for (const Sample& s : subject.inputs) headers.push_back({s.type, s.shape});
    subject.params = bound.params;
    subject.plan = plan_pass(bound, table, 0, headers, nullptr);
    // As it was before the kernel told: the examiner has it plan again.
    cadre_plan given{};
    given.size = sizeof given;
    given.n_inputs = subject.plan.n_inputs;
    given.n_params = subject.plan.n_params;
    given.outputs_wanted = subject.plan.outputs_wanted;
    std::memcpy(given.inputs, subject.plan.inputs, sizeof given.inputs);
    std::memcpy(given.params, subject.plan.params, sizeof given.params);
    subject.plan = given;
  } catch (const Error& error) {
    e.answers.push_back({"declaration", false, std::string(error.what()) + " (sample inputs are used where none are given: --in NAME=FILE.npy, --param NAME=VALUE)"});
    return e;
  }
  const auto some = [](std::uint32_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); };
  e.answers.push_back({"declaration", true, some(k.n_inputs, "input") + ", " + some(k.n_params, "parameter") + ", " + some(k.n_outputs, "output") + ", " + some(k.n_results, "result")});
  for (Answer& answer : examine(subject, e.ns)) e.answers.push_back(std::move(answer));
  e.answers.push_back(ask_backends(a, step, folder.path(), e.digest));
  return e;
}

int check(const CheckArguments& a, const Context& context) {
  if (a.plugin.empty()) throw Error("check what? cadre check FILE.so");
  if (a.rows < 4 || a.rows > 100'000'000) throw Error("--rows " + std::to_string(a.rows) + ": not from 4 to 100000000");
  const KernelTable table(Options{.plugins = {a.plugin}});  // refuses what can not be loaded, from a probe
  const PluginDeclarations declared = probe_plugin(a.plugin);
  Json all{{"plugin", a.plugin}, {"ok", true}, {"kernels", Json::array()}};
  std::string text;
  bool good = true, found = false;
  for (std::uint32_t i = 0; i < declared.kernels().size(); ++i) {
    const cadre_kernel& k = *declared.kernels()[i];
    if (!a.kernel.empty() && a.kernel != k.name) continue;
    found = true;
    const Examination e = examine_kernel(a, table, k, i);
    good = good && e.good();
    text += (text.empty() ? "" : "\n") + std::string(k.name) + ": " + k.doc + "\n";
    Json checks = Json::array();
    for (const Answer& answer : e.answers) {
      text += "  " + answer.question + std::string(14 - std::min<std::size_t>(answer.question.size(), 13), ' ') + (answer.good ? "ok     " : "WRONG  ") + answer.words + "\n";
      checks.push_back({{"check", answer.question}, {"ok", answer.good}, {"words", answer.words}});
    }
    char speed[32];
    std::snprintf(speed, sizeof speed, "%.3g", e.ns);
    if (e.ns >= 0) text += std::string("  speed         ") + speed + " ns per element on one core\n";
    all["kernels"].push_back({{"kernel", k.name}, {"ok", e.good()}, {"checks", checks}, {"ns_per_element", e.ns >= 0 ? Json(e.ns) : Json()}, {"digest", e.digest.empty() ? Json() : Json(e.digest)}});
  }
  if (!found) throw Error(a.plugin + " has no kernel " + a.kernel);
  all["ok"] = good;
  write_out(context.json ? all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" : text);
  if (!good) complain(a.plugin + ": something is wrong; see above");
  return good ? 0 : 1;
}

}  // namespace

Command add_check(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("check", "Examine the kernels of a plug-in");
  app->allow_extras();
  app->footer(
      "Asks of every kernel, each in a process of its own: does it write its chunk's rows, all of them and nothing else (rows); do the same rows give the same\n"
      "bits again (pure); is it elementwise where it says so; does it read every element type that it declares (types); does it bear threads; does it\n"
      "leave the process as it was (surroundings); is the digest the same on all backends. Inputs are made up where none are given.\n\n"
      "exit code: 0 all is well, 1 something is wrong, 2 the plug-in can not be loaded");
  auto a = std::make_shared<CheckArguments>();
  app->add_option("FILE.so", a->plugin, "the plug-in")->type_name("");
  app->add_option("--kernel", a->kernel, "this kernel alone")->type_name("NAME");
  const auto repeatable = [&](const char* flag, std::vector<std::string>& into, const char* value, const char* doc) {
    app->add_option(flag, into, doc)->type_name(value)->allow_extra_args(false)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  repeatable("--in", a->in, "[NAME=]FILE.npy", "an input in place of made-up numbers; repeatable");
  repeatable("--param", a->params, "NAME=VALUE", "a parameter (required ones are 10 otherwise); repeatable");
  app->add_option("--rows", a->rows, "rows of made-up inputs (default 6000)")->type_name("N");
  app->add_flag("--json", context.json, "one JSON object on stdout, nothing else there");
  return {app, [a, &context] { return check(*a, context); }};
}

}  // namespace cadre::cli
