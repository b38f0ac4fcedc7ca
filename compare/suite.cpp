#include <cadre/compare/suite.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>

#include <cadre/compare/explanation.hpp>
#include <cadre/compare/included_file.hpp>
#include <cadre/compare/text_report.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/shm/temporary_folder.hpp>

CADRE_INCLUDE_FILE(suite_kernels, CADRE_SUITE_KERNELS);

namespace cadre::compare {
namespace {

constexpr std::int64_t kBaseRows = 1 << 20;

/** Evenly spread in [0, 1), the same in every run (splitmix64). */
std::vector<double> spread(std::uint64_t seed) {
  std::vector<double> values(kBaseRows);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    values[i] = static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  return values;
}

struct Entry {
  const char *name, *what, *kernel;
  std::vector<const char*> in;
  std::vector<std::pair<std::string, Param>> params;
  std::uint64_t rows;   // 0: told by the parameters
  const char* backends;
  std::uint64_t chunk = 0;
  bool skip = false;    // leave out what crashes
};

std::vector<Entry> entries() {
  constexpr const char* kThree = "serial,threads,processes";
  return {
      {"memory, read", "sum of 512 MiB: nothing to compute, all to fetch", "sum", {"x"}, {}, 64u << 20, "serial,threads,processes,processes:pages=4k"},
      {"memory, written", "a*x + y over 256 MiB each", "axpy", {"x", "y"}, {{"a", 2.0}}, 32u << 20, kThree},
      {"compute", "half a million simulated paths: registers and cache only", "monte_carlo_option", {}, {{"paths", std::int64_t{500'000}}, {"dates", std::int64_t{12}}}, 0, kThree},
      {"irregular", "Mandelbrot's set: rows that take a hundred times as long as others", "mandelbrot", {}, {{"width", std::int64_t{512}}, {"height", std::int64_t{512}}, {"iterations", std::int64_t{500}}}, 0, kThree},
      {"tiny jobs", "sum of 10,000 numbers in 100 chunks: over before it has begun", "sum", {"x"}, {}, 10'000, kThree, 100},
      {"few bins", "counts of 32 million values in 1,000 bins", "histogram", {"x"}, {{"bins", std::int64_t{1000}}, {"lo", 0.0}, {"hi", 1.0}}, 32u << 20, "serial,threads,threads:combine=private,processes"},
      {"many bins", "counts of 16 million values in 16 million bins: 128 MiB of shared result", "histogram", {"x"}, {{"bins", std::int64_t{16'000'000}}, {"lo", 0.0}, {"hi", 1.0}}, 16u << 20,
       "serial,threads,threads:combine=private,processes"},
      {"small objects", "a list of 64 small objects for each row, made and freed", "suite_nodes", {"x"}, {}, 40'000, kThree},
      {"fresh buffers", "256 KiB of fresh memory for every 64 rows, mapped, touched and given back", "suite_buffers", {"x"}, {}, 40'000, kThree},
      {"global state", "a library with static arrays: threads take turns at a lock", "suite_global_state", {"x"}, {}, 200'000, kThree},
      {"false sharing", "a counter for each worker, all in one cache line", "suite_neighbours", {"x"}, {}, 2u << 20, kThree},
      {"a crash", "one row of a million crashes; processes leave it out", "suite_fragile", {"bad"}, {}, kBaseRows, kThree, 0, true},
  };
}

std::string fixed(double v, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

const ContestantResult* find(const Point& point, const std::string& backend) {
  for (const ContestantResult& c : point.contestants)
    if (c.spec.text == backend) return &c;
  return nullptr;
}

}  // namespace

std::string suite_kernels_text() { return std::string(included_suite_kernels()); }

std::vector<SuiteEntry> run_suite(const SuitePlan& plan) {
  const TemporaryFolder folder("suite");
  const std::vector<double> x = spread(1), y = spread(2);
  std::vector<double> bad = x;
  bad[1234] = -1;
  write_npy(folder / "x.npy", DType::f64, {kBaseRows}, x.data());
  write_npy(folder / "y.npy", DType::f64, {kBaseRows}, y.data());
  write_npy(folder / "bad.npy", DType::f64, {kBaseRows}, bad.data());
  std::vector<SuiteEntry> suite;
  const std::vector<Entry> all = entries();
  std::vector<int> cores = plan.workers;
  cores.insert(cores.end(), {1, usable_cpu_count()});
  const MachineLimits limits = measure_limits(cores);
  for (const Entry& e : all) {
    ComparisonPlan comparison;
    Step step{.kernel = e.kernel};
    for (const char* name : e.in) step.in.emplace_back("", folder / (std::string(name) + ".npy"));
    step.params = e.params;
    for (auto& [name, value] : step.params)
      if (name == "bins" && plan.most_rows < e.rows) value = std::min(std::get<std::int64_t>(value), static_cast<std::int64_t>(plan.most_rows));
    comparison.job = {.name = e.name, .steps = {step}, .chunk = e.chunk};
    comparison.options = plan.options;
    comparison.options.plugins.push_back(plan.plugin);
    if (e.skip) comparison.options.on_poison = OnPoison::skip;
    comparison.backends = parse_backends(e.backends, plan.options);
    comparison.workers = plan.workers;
    if (e.rows) comparison.sizes = {std::min(e.rows, plan.most_rows)};
    comparison.limits = limits;
    comparison.max_time = plan.max_time / static_cast<double>(all.size());
    if (plan.progress) comparison.progress = [&](const std::string& text) { plan.progress(std::string(e.name) + ": " + text); };
    const bool cut = e.rows > plan.most_rows;
    suite.push_back({e.name, e.what + (cut ? " (here cut to " + std::to_string(plan.most_rows) + " rows)" : std::string()), compare_backends(comparison)});
  }
  return suite;
}

std::string to_text(const std::vector<SuiteEntry>& suite) {
  std::string text;
  char line[256];
  std::snprintf(line, sizeof line, "%-16s %12s %12s %12s   %s\n", "", "serial", "threads", "processes", "processes against threads");
  text += line;
  for (const SuiteEntry& entry : suite) {
    const Point& point = entry.comparison.points.back();
    const auto time = [&](const char* backend) {
      const ContestantResult* c = find(point, backend);
      return c && c->ran() ? time_text(c->median) : std::string("failed");
    };
    const ContestantResult *p = find(point, "processes"), *t = find(point, "threads");
    std::string ratio = "-";
    if (p && t && p->ran() && t->ran()) {
      const Interval r = ratio_of(t->times(), p->times());
      ratio = !is_told(point, *p, static_cast<int>(t - point.contestants.data())) ? "too short" : fixed(r.value, 2) + (std::isfinite(r.high) ? " (" + fixed(r.low, 2) + " to " + fixed(r.high, 2) + ")" : " (one block)");
    }
    std::snprintf(line, sizeof line, "%-16s %12s %12s %12s   %s\n", entry.name.c_str(), time("serial").c_str(), time("threads").c_str(), time("processes").c_str(), ratio.c_str());
    text += line;
  }
  text += "\nAbove 1, processes are faster.\n";
  for (const SuiteEntry& entry : suite) text += "\n" + entry.name + ": " + entry.what + "\n" + to_text(entry.comparison);
  return text;
}

std::string to_json(const std::vector<SuiteEntry>& suite, bool raw) {
  std::string text = "{\"suite\":[";
  for (const SuiteEntry& entry : suite) {
    const auto quoted = [](const std::string& s) { return nlohmann::json(s).dump(); };
    text += (&entry == suite.data() ? "" : ",") + std::string("{\"name\":") + quoted(entry.name) + ",\"what\":" + quoted(entry.what) + ",\"comparison\":" + to_json(entry.comparison, raw) + "}";
  }
  return text + "]}";
}

}  // namespace cadre::compare
