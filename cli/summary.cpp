#include "summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <cadre/shm/memory.hpp>

#include "output.hpp"

namespace cadre::cli {
namespace {

constexpr std::size_t kMargin = 9;  // columns of the label in front of each line

/** Whole numbers, most often counts, with all their digits: 200000, not 2e+05. */
std::string text_of(double v) { return std::abs(v) >= 1 && std::abs(v) < 1e15 && v == std::trunc(v) ? std::to_string(static_cast<std::int64_t>(v)) : shortest(v); }
std::string text_of(std::int64_t v) { return std::to_string(v); }
std::string text_of(std::uint64_t v) { return std::to_string(v); }

/** "1.5", "[1, 2, 3]", and matrices with a row on each line, `indent` columns in. */
template <class T>
std::string values_text(const std::vector<T>& values, const std::vector<std::int64_t>& shape, std::size_t indent) {
  if (shape.empty()) return values.empty() ? "" : text_of(values[0]);
  auto row_text = [&](std::size_t first, std::size_t count) {
    std::string row = "[";
    for (std::size_t i = first; i < first + count; ++i) row += (i > first ? ", " : "") + text_of(values.at(i));
    return row + "]";
  };
  if (shape.size() == 1) return row_text(0, values.size());
  std::string text;
  const auto columns = static_cast<std::size_t>(shape[1]);
  for (std::size_t row = 0; row < static_cast<std::size_t>(shape[0]); ++row)
    text += (row ? "\n" + std::string(indent, ' ') : "") + row_text(row * columns, columns);
  return text;
}

std::string pad(const std::string& text, std::size_t width) { return text + std::string(width > text.size() ? width - text.size() : 0, ' '); }

std::string line(const std::string& label, const std::string& text) { return pad(label, kMargin) + text + "\n"; }

/** The results, each with its name in a column; the label stands before the first. */
std::string results_block(const std::string& label, const std::vector<SmallResult>& results, bool margin) {
  std::size_t width = 0;
  for (const SmallResult& r : results) width = std::max(width, r.name.size() + (margin ? 2 : 1));
  std::string text;
  for (const SmallResult& r : results) {
    const std::size_t indent = width + (margin ? kMargin : 0);
    const std::string values = std::visit([&](const auto& v) { return values_text(v, r.shape, indent); }, r.values);
    text += (margin ? pad(text.empty() ? label : "", kMargin) : "") + pad(r.name, width) + values + "\n";
  }
  return text;
}

/** Three significant digits of a number from 1 up: "1.50", "41.2", "123". */
std::string three_digits(double v) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v);
  return text;
}

std::string time_text(double seconds) {
  return seconds >= 1 ? three_digits(seconds) + " s" : seconds >= 1e-3 ? three_digits(seconds * 1e3) + " ms" : three_digits(seconds * 1e6) + " us";
}

std::string rate_text(double bytes_per_second) {
  if (!(bytes_per_second > 0)) return "";
  return ", " + (bytes_per_second >= 1e9 ? three_digits(bytes_per_second / 1e9) + " GB/s" : three_digits(bytes_per_second / 1e6) + " MB/s");
}

std::string work_text(double seconds, std::uint64_t elements, std::uint64_t chunks) {
  return time_text(seconds) + ", " + grouped(elements) + (elements == 1 ? " element" : " elements") + " in " + grouped(chunks) + (chunks == 1 ? " chunk" : " chunks");
}

std::string counted(std::uint64_t n, const char* one, const char* many) { return grouped(n) + " " + (n == 1 ? one : many); }

std::string faults_text(const Faults& f) {
  std::string text;
  auto add = [&](std::uint64_t n, const char* one, const char* many) {
    if (n) text += (text.empty() ? "" : ", ") + counted(n, one, many);
  };
  add(f.crashes, "crash", "crashes");
  add(f.timeouts, "timeout", "timeouts");
  add(f.retries, "retry", "retries");
  add(f.resumed_chunks, "chunk resumed", "chunks resumed");
  return text;
}

std::string poison_text(const Poison& p) {
  std::string text = "element " + grouped(p.index) + (p.value.empty() ? "" : " (" + p.value + ")") + ": ";
  text += !p.signal.empty() ? p.signal : p.exit >= 0 ? "exit " + std::to_string(p.exit) : "failed";
  if (!p.what.empty()) text += ", " + p.what;
  text += ", " + counted(static_cast<std::uint64_t>(p.attempts), "attempt", "attempts");
  if (p.peak_rss) text += ", at most " + human_bytes(p.peak_rss) + " of memory";
  for (const std::string& frame : p.stack) text += "\n" + std::string(kMargin + 2, ' ') + frame;
  return text;
}

std::string place_text(const Report& r) {
  std::string how = name_of(r.backend);
  if (r.backend == Backend::processes) how += std::string(", ") + name_of(r.start);
  return counted(static_cast<std::uint64_t>(r.workers), "worker", "workers") + " (" + how + "), isa " + name_of(r.isa);
}

}  // namespace

std::string summary(const Report& r) {
  std::string text;
  if (r.steps.size() > 1) {
    for (std::size_t i = 0; i < r.steps.size(); ++i) {
      const StepReport& step = r.steps[i];
      text += line("step " + std::to_string(i + 1), step.kernel + ": " + work_text(step.seconds, step.elements, step.chunks));
      text += results_block("", step.result, true);
    }
  } else if (!r.steps.empty()) {
    text += results_block("result", r.steps[0].result, true);
  }
  std::size_t width = 0;
  for (const auto& [name, file] : r.outputs) width = std::max(width, name.size() + 2);
  for (std::size_t i = 0; i < r.outputs.size(); ++i)
    text += line(i == 0 ? "written" : "", r.outputs.size() == 1 ? r.outputs[i].second : pad(r.outputs[i].first, width) + r.outputs[i].second);
  if (!r.digest.empty()) text += line("digest", r.digest);
  if (r.seconds > 0)
    text += line("time", (r.steps.size() > 1 ? time_text(r.seconds) + " in all" : work_text(r.seconds, r.elements, r.chunks)) + rate_text(r.bytes_per_second));
  text += line("ran on", place_text(r));
  if (const std::string faults = faults_text(r.faults); !faults.empty()) text += line("faults", faults);
  for (const Poison& p : r.faults.poison) text += line("poison", poison_text(p));
  return text;
}

std::string bare_results(const Report& r) { return r.steps.empty() ? "" : results_block("", r.steps.back().result, false); }

}  // namespace cadre::cli
