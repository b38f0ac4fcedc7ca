/* cadre compare: serial, threads and processes on one job, and which is better, by how much, and why. */
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <cadre/compare/comparison.hpp>
#include <cadre/compare/page.hpp>
#include <cadre/compare/suite.hpp>
#include <cadre/compare/text_report.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/pool/board.hpp>

#include "commands.hpp"
#include "job_arguments.hpp"
#include "output.hpp"

namespace cadre::cli {
namespace {

struct CompareArguments {
  JobArguments job;
  std::string backends, workers, sizes, report, csv;  // "": the default
  std::optional<double> max_time;
  bool suite = false;
};

// Flags of run that mean nothing where a job is run many times on several backends, and what is to be done instead.
constexpr struct {
  const char* flag;
  const char* remedy;
} kRefused[] = {
    {"backend", "--backends says what is compared: serial,threads,processes"},
    {"journal", "a journal keeps one run of a job, and here it is run many times"},
    {"resume", "a journal keeps one run of a job, and here it is run many times"},
};

/** Whether it could be written; else it has been said that it could not. */
bool write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.flush();
  if (!file) complain("write " + path + ": it can not be written");
  return !file.fail();
}

/** Whether it can be written is found out before hours of measuring. */
void check_writable(const std::string& path) {
  if (path.empty()) return;
  if (std::filesystem::is_directory(path)) throw Error(path + ": is a directory; name a file");
  const std::string folder = path.find('/') == std::string::npos ? "." : path.substr(0, path.rfind('/') + 1);
  if (access(path.c_str(), F_OK) == 0 ? access(path.c_str(), W_OK) != 0 : access(folder.c_str(), W_OK) != 0) throw Error(path + ": it can not be written; name a file in a directory that may be written to");
}

/** One line on a terminal, drawn over itself. */
class Line {
 public:
  explicit Line(bool wanted) : enabled_(wanted && isatty(STDERR_FILENO)) {}
  ~Line() {
    if (drawn_) (void)!write(STDERR_FILENO, "\r\x1b[K", 4);
  }
  void show(const std::string& text) {
    if (!enabled_) return;
    const std::string line = "\r\x1b[K" + text.substr(0, 78);
    (void)!write(STDERR_FILENO, line.data(), line.size());
    drawn_ = true;
  }

 private:
  const bool enabled_;
  bool drawn_ = false;
};

std::vector<int> numbers_of_workers(const CompareArguments& a, const RunSettings& settings) {
  std::vector<int> all;
  if (a.workers.empty()) return settings.options.workers > 0 ? std::vector<int>{settings.options.workers} : all;
  for (const std::uint64_t n : compare::parse_numbers("--workers", a.workers, kMaxWorkers, false)) all.push_back(static_cast<int>(n));
  return all;
}

std::vector<std::uint64_t> sizes_of(const CompareArguments& a) { return a.sizes.empty() ? std::vector<std::uint64_t>{} : compare::parse_numbers("--sizes", a.sizes, std::uint64_t{1} << 40, true); }

int suite(const CompareArguments& a, Context& context) {
  const bool given = !a.job.target.empty() || !a.job.expression.empty() || !a.job.in.empty() || !a.job.out.empty() || !a.job.params.empty();
  if (given) throw Error("--suite has jobs of its own: give no kernel, files or parameters with it");
  if (!a.backends.empty()) throw Error("--suite chooses backends for each of its jobs: leave --backends away");
  if (!a.csv.empty()) throw Error("--csv is of one job: with --suite, --json has every run");
  RunSettings settings;
  for (const auto& [name, value] : a.job.values) apply_flag(settings, name, value, "");
  for (const auto& [name, on] : a.job.switches) apply_flag(settings, name, "true", "");
  context.json = settings.json;
  compare::SuitePlan plan{.options = settings.options, .workers = numbers_of_workers(a, settings)};
  if (a.max_time) plan.max_time = *a.max_time;
  const std::vector<std::uint64_t> sizes = sizes_of(a);
  if (!sizes.empty()) plan.most_rows = sizes.back();
  check_writable(a.report);
  const Build built = build_plugin({.sources = {}, .text = compare::suite_kernels_text(), .levels = {name_of(best_level())}});
  plan.plugin = built.library;
  std::vector<compare::SuiteEntry> entries;
  {
    Line line(settings.progress && !settings.quiet);
    plan.progress = [&](const std::string& text) { line.show(text); };
    entries = compare::run_suite(plan);
  }
  for (const compare::SuiteEntry& entry : entries)
    for (const std::string& warning : entry.comparison.warnings) complain("warning: " + entry.name + ": " + warning);
  write_out(settings.json ? to_json(entries) + "\n" : to_text(entries));
  return write_file(a.report, a.report.empty() ? "" : to_page(entries)) ? 0 : 1;
}

int compare(const CompareArguments& a, Context& context) {
  for (const auto& [flag, remedy] : kRefused)
    if (a.job.values.contains(flag) || a.job.switches.contains(flag)) throw Error(std::string("--") + flag + ": " + remedy);
  if (a.max_time && !(*a.max_time > 0 && *a.max_time <= 1e9)) throw Error("--max-time: not a number of seconds above 0");
  if (a.suite) return suite(a, context);
  RunSettings settings;
  std::optional<Build> built;
  compare::ComparisonPlan plan;
  plan.job = job_of(a.job, settings, built, "compare");
  context.json = settings.json;
  plan.options = settings.options;
  plan.backends = compare::parse_backends(a.backends.empty() ? "serial,threads,processes" : a.backends, settings.options);
  plan.workers = numbers_of_workers(a, settings);
  plan.sizes = sizes_of(a);
  if (a.max_time) plan.max_time = *a.max_time;
  check_writable(a.csv);
  check_writable(a.report);
  if (!a.csv.empty() && a.csv == a.report) throw Error("--csv and --report both name " + a.csv + ": name two files");

  compare::Comparison comparison;
  {
    Line line(settings.progress && !settings.quiet);
    plan.progress = [&](const std::string& text) { line.show("comparing: " + text); };
    comparison = compare::compare_backends(plan);
  }
  for (const std::string& warning : comparison.warnings) complain("warning: " + warning);
  if (!comparison.error.empty()) complain(comparison.error);
  write_out(settings.json ? to_json(comparison) + "\n" : settings.quiet ? comparison.verdict + "\n" : to_text(comparison));
  const bool csv = write_file(a.csv, a.csv.empty() ? "" : to_csv(comparison)), page = write_file(a.report, a.report.empty() ? "" : to_page(comparison));
  return comparison.error.empty() && csv && page ? 0 : 1;
}

}  // namespace

Command add_compare(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("compare", "Run a job on serial, threads and processes, and tell which is better, by how much, and why");
  app->allow_extras();
  app->footer(
      "examples\n"
      "  cadre compare sum --in prices.npy\n"
      "  cadre compare histogram --in x.npy --param bins=1000 --param lo=0 --param hi=1 --workers 1,2,4 --report out.html\n"
      "  cadre compare axpy --in x.npy --in y.npy --param a=2 --backends threads,processes,processes:pages=4k,processes:start=spawn\n"
      "  cadre compare --suite --report suite.html\n"
      "  cadre compare fares.toml --sizes 1M,16M --max-time 300 --json\n\n"
      "Nothing is written but what --report and --csv name. Each backend runs in processes of its own; their runs take turns. Above 1, a ratio says how many times faster.");
  auto a = std::make_shared<CompareArguments>();
  add_job_arguments(*app, a->job, {"workers"});
  for (const auto& [flag, remedy] : kRefused) app->get_option(std::string("--") + flag)->group("");  // understood, to say what is to be done instead
  app->add_option("--backends", a->backends, "what is compared (default serial,threads,processes); settings behind colons: processes:pages=4k, processes:start=spawn, processes:pin=no, threads:combine=private")->type_name("LIST");
  app->add_option("--workers", a->workers, "numbers of workers to compare with, like 1,2,4 (default: the CPUs that this process may really use)")->type_name("LIST");
  app->add_option("--sizes", a->sizes, "rows of the arrays, like 1M,16M: the data are cut off or repeated (default: as they are)")->type_name("LIST");
  app->add_option("--max-time", a->max_time, "stop then, however wide the intervals are (default 60; with --suite 150)")->type_name("SECONDS");
  app->add_flag("--suite", a->suite, "a standard set of jobs instead of one, from memory-bound to crashing; --sizes is then the most rows of any; needs a C++ compiler");
  app->add_option("--report", a->report, "write a page with plots, tables and all samples, which needs nothing else")->type_name("FILE.html");
  app->add_option("--csv", a->csv, "write every run to a file")->type_name("FILE");
  return {app, [a, &context] { return compare(*a, context); }};
}

}  // namespace cadre::cli
