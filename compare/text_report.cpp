#include <cadre/compare/text_report.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include <cadre/compare/explanation.hpp>
#include <cadre/shm/memory.hpp>

namespace cadre::compare {
namespace {

using Json = nlohmann::ordered_json;

/* ---- text ---- */

/** Columns as wide as their widest cell; the first is aligned to the left, the others to the right. */
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const {
    std::vector<std::size_t> width(rows_[0].size());
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
    std::string all;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string space(width[i] - row[i].size(), ' ');
        line += (i ? "  " : "") + (i ? space + row[i] : row[i] + space);
      }
      all += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return all;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string fixed(double v, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

std::string ratio_text(const Point& point, const ContestantResult& c, const Interval& ratio, int against) {
  if (against < 0) return "";
  return is_told(point, c, against) ? fixed(ratio.value, 3) : "too short";
}

std::string half_width(const Interval& i) { return std::isfinite(i.high) && i.value > 0 ? "+-" + fixed((i.high - i.low) / 2 / i.value * 100, 1) + "%" : "-"; }

std::string rate_text(double bytes_per_second, double elements_per_second) {
  if (bytes_per_second > 0) return bytes_per_second >= 1e9 ? three_digits(bytes_per_second / 1e9) + " GB/s" : three_digits(bytes_per_second / 1e6) + " MB/s";
  return elements_per_second >= 1e9 ? three_digits(elements_per_second / 1e9) + " G/s" : elements_per_second >= 1e6 ? three_digits(elements_per_second / 1e6) + " M/s" : three_digits(elements_per_second / 1e3) + " k/s";
}

std::string share_text(double share) { return share > 0 ? fixed(share * 100, share < 0.1 ? 1 : 0) + "%" : "-"; }

std::string times_table(const Comparison& all, const Point& point) {
  Table table({"backend", "workers", "median", "95 %", "of serial", "of other", "95 %", "rate", "of stream", "of FMA", "cold", "start-up"});
  for (const ContestantResult& c : point.contestants) {
    if (!c.ran()) {
      table.add({name_of(point, c), std::to_string(c.workers), "failed"});
      continue;
    }
    table.add({name_of(point, c), std::to_string(c.workers), time_text(c.median), half_width(c.seconds), ratio_text(point, c, c.to_serial, c.serial == static_cast<int>(&c - point.contestants.data()) ? -1 : c.serial),
               ratio_text(point, c, c.to_other, c.other), is_told(point, c, c.other) ? half_width(c.to_other) : "", rate_text(c.bytes_per_second, c.elements_per_second),
               point.bytes > 0 && !leaves_caches(all, point) ? "in cache" : share_text(share_of_stream(all, point, c)), share_text(share_of_arithmetic(all, c)), time_text(c.cold_seconds.value), time_text(c.start_up.value)});
  }
  return table.text();
}

std::string number(double n) { return n >= 1e5 ? three_digits(n / 1e3) + "k" : fixed(n, n == std::floor(n) ? 0 : 1); }

std::string evidence_table(const Point& point) {
  Table table({"each run", "faults", "cold faults", "switches", "queue", "wake", "kernel", "combine", "locks", "idle", "steals", "moves", "PSS/worker"});
  for (const ContestantResult& c : point.contestants) {
    if (!c.ran()) continue;
    const Usage& u = c.warm_usage;
    const bool processes = c.spec.backend == Backend::processes;
    double pss = 0;
    std::size_t members = 0;
    for (const WorkerMemory& m : c.memory)
      if (!processes || m.who != "caller") {
        pss += static_cast<double>(m.use.pss);
        ++members;
      }
    const double sharers = processes ? static_cast<double>(std::max<std::size_t>(members, 1)) : c.workers;
    table.add({name_of(point, c), number(static_cast<double>(u.minor + u.major)), number(static_cast<double>(c.cold_usage.minor + c.cold_usage.major)),
               std::to_string(u.voluntary) + "+" + std::to_string(u.involuntary), time_text(u.wait / std::max(c.workers, 1)), time_text(c.figures.wake), time_text(c.figures.kernel), time_text(c.figures.combine),
               time_text(c.figures.lock_wait), time_text(c.figures.idle), processes ? std::to_string(c.figures.steals) : "-", c.missing[4].empty() ? number(static_cast<double>(u.counters[4])) : "-",
               human_bytes(static_cast<std::uint64_t>(pss / sharers))});
  }
  return table.text();
}

std::string counters_table(const Point& point) {
  bool some = false;
  Table table({"each run", "cycles", "instructions", "cache misses", "TLB misses"});
  for (const ContestantResult& c : point.contestants) {
    if (!c.ran()) continue;
    std::vector<std::string> row{name_of(point, c)};
    for (std::size_t i = 0; i < 4; ++i) {
      some |= c.missing[i].empty();
      row.push_back(c.missing[i].empty() ? number(static_cast<double>(c.warm_usage.counters[i])) : "-");
    }
    table.add(row);
  }
  return some ? table.text() : "";
}

/** Counters that could not be had, and why. */
std::string missing_text(const Comparison& comparison) {
  std::string names, why;
  for (const Point& point : comparison.points)
    for (const ContestantResult& c : point.contestants) {
      if (!c.ran()) continue;
      for (std::size_t i = 0; i < kCounters; ++i)
        if (!c.missing[i].empty()) {
          names += (names.empty() ? "" : ", ") + std::string(kCounterNames[i]);
          why = c.missing[i];
        }
      return names.empty() ? "" : "not to be had: " + names + " (" + why + ")\n";
    }
  return "";
}

/** Lines of at most `width` columns. */
std::string wrapped(const std::string& text, std::size_t width) {
  std::string all;
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (column > 0 && column + 1 + (end - at) > width) {
      all += '\n';
      column = 0;
    }
    if (column > 0) {
      all += ' ';
      ++column;
    }
    all += text.substr(at, end - at);
    column += end - at;
    at = end + 1;
  }
  return all + "\n";
}

/* ---- JSON ---- */

Json json_of(const Interval& i) {
  if (i.value <= 0) return nullptr;
  return {{"low", std::isfinite(i.high) ? Json(i.low) : Json(nullptr)}, {"value", i.value}, {"high", std::isfinite(i.high) ? Json(i.high) : Json(nullptr)}};
}

Json json_of(const Usage& u, const std::array<std::string, kCounters>& missing) {
  Json j{{"cpu", u.cpu}, {"queue", u.wait}, {"minor_faults", u.minor}, {"major_faults", u.major}, {"voluntary_switches", u.voluntary}, {"involuntary_switches", u.involuntary}};
  for (std::size_t i = 0; i < kCounters; ++i) j[kCounterNames[i]] = missing[i].empty() ? Json(u.counters[i]) : Json(nullptr);
  return j;
}

/** As it was measured: what clocks and /proc tell is in nanoseconds, and a difference of two doubles would be written with twice the digits. */
double raw_seconds(double seconds) { return std::round(seconds * 1e9) / 1e9; }

Json json_of(const Run& run, std::size_t block) {
  Json workers = Json::array();
  for (const WorkerUsage& w : run.workers) workers.push_back({std::llround(w.usage.cpu * 1e9), std::llround(w.usage.wait * 1e9), w.usage.minor, w.usage.major, w.usage.voluntary, w.usage.involuntary});
  return {name_of(run.kind), block, raw_seconds(run.seconds), raw_seconds(run.wall), std::move(workers)};
}

Json json_of(const TraceFigures& f) {
  return {{"wake", f.wake}, {"kernel", f.kernel}, {"combine", f.combine}, {"lock_wait", f.lock_wait}, {"idle", f.idle}, {"tail", f.tail}, {"steals", f.steals}, {"workers_that_ran", f.participants}};
}

Json json_of(const PassTrace& t) {
  Json chunks = Json::array(), waits = Json::array();
  for (const ChunkTrace& c : t.chunks) chunks.push_back({c.chunk, c.slot, raw_seconds(c.begin), raw_seconds(c.computed), raw_seconds(c.end), raw_seconds(c.waited)});
  for (const double w : t.segment_waits) waits.push_back(raw_seconds(w));
  return {{"kernel", t.kernel}, {"seconds", t.seconds}, {"chunks", std::move(chunks)}, {"segment_waits", std::move(waits)}};
}

Json json_of(const Point& point, const ContestantResult& c, bool raw) {
  Json j{{"backend", c.spec.text}, {"name", name_of(point, c)}, {"workers", c.workers}, {"isa", c.isa}, {"error", c.error.empty() ? Json(nullptr) : Json(c.error)}};
  j["digests"] = Json::object();
  for (const auto& [digest, times] : c.digests) j["digests"][digest] = times;
  if (!c.ran()) return j;
  j["median"] = c.median;
  j["seconds"] = json_of(c.seconds);
  j["cold"] = json_of(c.cold_seconds);
  j["start_up"] = json_of(c.start_up);
  j["to_serial"] = is_told(point, c, c.serial) ? json_of(c.to_serial) : Json(nullptr);
  j["to_other"] = is_told(point, c, c.other) ? json_of(c.to_other) : Json(nullptr);
  j["other"] = c.other < 0 ? Json(nullptr) : Json(name_of(point, point.contestants[static_cast<std::size_t>(c.other)]));
  j["bytes_per_second"] = c.bytes_per_second;
  j["elements_per_second"] = c.elements_per_second;
  j["operations_per_second"] = c.operations_per_second;
  j["evidence"] = {{"warm", json_of(c.warm_usage, c.missing)}, {"cold", json_of(c.cold_usage, c.missing)}, {"trace", json_of(c.figures)}};
  Json memory = Json::array();
  for (const WorkerMemory& m : c.memory) memory.push_back({{"who", m.who}, {"pss", m.use.pss}, {"private", m.use.private_bytes}, {"page_tables", m.use.page_tables}});
  j["memory"] = std::move(memory);
  if (!raw) return j;
  Json runs = Json::array(), starts = Json::array(), trace = Json::array();
  for (std::size_t b = 0; b < c.blocks.size(); ++b) {
    if (b < c.cold.size()) runs.push_back(json_of(c.cold[b], b));
    if (b < c.first.size()) runs.push_back(json_of(c.first[b], b));
    for (const Run& run : c.blocks[b]) runs.push_back(json_of(run, b));
  }
  for (const StartUp& s : c.start_ups) starts.push_back({raw_seconds(s.seconds), raw_seconds(s.engine_seconds)});
  for (const PassTrace& t : c.trace) trace.push_back(json_of(t));
  j["start_ups"] = std::move(starts);
  j["runs"] = std::move(runs);
  j["trace"] = std::move(trace);
  return j;
}

}  // namespace

std::string to_text(const Comparison& comparison) {
  std::string text;
  for (const Point& point : comparison.points) {
    std::size_t runs = 0;
    const std::size_t blocks = blocks_of(point);
    for (const ContestantResult& c : point.contestants)
      for (const auto& block : c.blocks) runs = std::max(runs, block.size());
    text += comparison.job + ": " + (blocks == 0 ? "no backend got as far as to be measured, " : std::to_string(point.elements) + " elements in " + std::to_string(point.chunks) + " chunks, " + human_bytes(static_cast<std::uint64_t>(point.bytes)) + " a run; " + std::to_string(blocks) +
            (blocks == 1 ? " block" : " blocks") + " of up to " + std::to_string(runs) + " rounds, ") + time_text(point.seconds) + "\n";
    text += times_table(comparison, point) + "\n" + evidence_table(point) + counters_table(point) + "\n";
  }
  const MachineLimits& m = comparison.machine;
  for (const Roof& r : m.roofs)
    text += "limits on " + std::to_string(r.cores) + (r.cores == 1 ? " core:  " : " cores: ") + three_digits(r.read / 1e9) + " GB/s read, " + three_digits(r.triad / 1e9) + " GB/s triad, " + three_digits(r.fma / 1e9) + " GFLOP/s FMA\n";
  text += missing_text(comparison);
  text += "\n" + wrapped(comparison.verdict, 110);
  return text;
}

std::string to_json(const Comparison& comparison, bool raw) {
  const MachineLimits& m = comparison.machine;
  Json roofs = Json::array(), points = Json::array();
  for (const Roof& r : m.roofs) roofs.push_back({{"cores", r.cores}, {"read", r.read}, {"triad", r.triad}, {"fma", r.fma}});
  for (const Point& p : comparison.points) {
    Json contestants = Json::array();
    for (const ContestantResult& c : p.contestants) contestants.push_back(json_of(p, c, raw));
    points.push_back({{"workers", p.workers}, {"rows", p.rows ? Json(p.rows) : Json(nullptr)}, {"elements", p.elements}, {"chunks", p.chunks}, {"bytes", p.bytes}, {"output_bytes", p.output_bytes}, {"operations", p.operations}, {"copied", p.copied},
                      {"narrow", p.narrow}, {"seconds", p.seconds}, {"contestants", std::move(contestants)}});
  }
  Json j{{"job", comparison.job},
         {"version", CADRE_VERSION},
         {"verdict", comparison.verdict},
         {"warnings", comparison.warnings},
         {"machine",
          {{"cpu", m.cpu}, {"system", m.kernel}, {"isa", m.level}, {"cpus", m.cpus}, {"memory", m.memory}, {"last_cache", m.last_cache}, {"huge_pages", m.huge_pages}, {"shared_huge_pages", m.shared_huge_pages},
           {"fault_seconds", m.fault_seconds}, {"roofs", std::move(roofs)}}},
         {"noise", {{"other_load", comparison.noise.other_load}, {"stolen", comparison.noise.stolen}, {"drift", comparison.noise.drift}}},
         {"columns", {{"runs", {"kind", "block", "seconds", "wall", "workers"}}, {"workers", {"cpu_ns", "queue_ns", "minor_faults", "major_faults", "voluntary_switches", "involuntary_switches"}},
                      {"chunks", {"chunk", "slot", "begin", "computed", "end", "waited"}}, {"start_ups", {"seconds", "engine_seconds"}}}},
         {"points", std::move(points)}};
  if (!comparison.error.empty()) j["error"] = comparison.error;
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_csv(const Comparison& comparison) {
  std::string text = "backend,workers,rows,elements,block,kind,seconds,wall,cpu,queue,minor_faults,major_faults,voluntary_switches,involuntary_switches\n";
  for (const Point& p : comparison.points)
    for (const ContestantResult& c : p.contestants) {
      const auto line = [&](const Run& run, std::size_t block) {
        Usage sum;
        for (const WorkerUsage& w : run.workers) sum += w.usage;
        char numbers[256];
        std::snprintf(numbers, sizeof numbers, ",%d,%llu,%llu,%zu,%s,%.9g,%.9g,%.9g,%.9g,%llu,%llu,%llu,%llu\n", c.workers, static_cast<unsigned long long>(p.rows), static_cast<unsigned long long>(p.elements), block,
                      name_of(run.kind), run.seconds, run.wall, sum.cpu, sum.wait, static_cast<unsigned long long>(sum.minor), static_cast<unsigned long long>(sum.major),
                      static_cast<unsigned long long>(sum.voluntary), static_cast<unsigned long long>(sum.involuntary));
        text += name_of(p, c) + numbers;
      };
      for (std::size_t b = 0; b < c.blocks.size(); ++b) {
        if (b < c.cold.size()) line(c.cold[b], b);
        if (b < c.first.size()) line(c.first[b], b);
        for (const Run& run : c.blocks[b]) line(run, b);
      }
    }
  return text;
}

}  // namespace cadre::compare
