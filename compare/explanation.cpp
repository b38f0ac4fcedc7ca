#include <cadre/compare/explanation.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include <cadre/compare/comparison.hpp>

namespace cadre::compare {
namespace {

constexpr double kNoisyLoad = 0.05;   // CPUs
constexpr double kNoisyDrift = 0.03;
constexpr double kTooWide = 0.05;     // of an interval that holds 1
constexpr double kNearRoof = 0.75;    // of the memory stream: from here on memory is what a run waits for
constexpr double kSomeArithmetic = 0.1;  // of the fused multiply-adds: worth telling

std::string percent(double share) { return three_digits(share * 100) + " %"; }

std::string grouped(double n) {
  std::string digits = std::to_string(static_cast<long long>(std::llround(n)));
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string list_of(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  return text;
}

std::string interval_text(const Interval& i) {
  char text[64];
  if (!std::isfinite(i.high)) return "one block: no interval";
  std::snprintf(text, sizeof text, "%.3f to %.3f", i.low, i.high);
  return text;
}

/** Something that a run pays, in seconds of its duration. */
struct Cost {
  std::string amount, words;  // "5,120" "page faults a run"
  double seconds;
};

/** What each run of a contestant pays besides the kernel. Those that are per worker count as far as they hold up the run: on the average of the workers. */
std::vector<Cost> costs_of(const Comparison& all, const ContestantResult& c) {
  const double n = std::max(c.workers, 1);
  const auto faults = static_cast<double>(c.warm_usage.minor);
  return {
      {grouped(faults), " page faults a run (at " + time_text(all.machine.fault_seconds) + " each as measured here)", faults * all.machine.fault_seconds / n},
      {time_text(c.warm_usage.wait / n), " of each worker's run in the queue for a CPU", c.warm_usage.wait / n},
      {time_text(c.figures.lock_wait), " of waiting for the locks of segments", c.figures.lock_wait},
      {time_text(c.figures.combine), " of combining partial results", c.figures.combine},
      {time_text(c.figures.wake), " until its last worker begins its first chunk", c.figures.wake},
      {time_text(c.figures.idle), " of idle time for each worker", c.figures.idle},
      {time_text(c.figures.kernel), " in the kernel for each worker", c.figures.kernel},
  };
}
constexpr std::size_t kKernelCost = 6;

std::string why_different(const Comparison& all, const Point& point, const ContestantResult& fast, const ContestantResult& slow) {
  const double gap = slow.median - fast.median;
  const std::vector<Cost> f = costs_of(all, fast), s = costs_of(all, slow);
  struct Reason {
    std::size_t kind;
    double seconds;
  };
  std::vector<Reason> reasons;
  for (std::size_t i = 0; i < f.size(); ++i)
    if (const double seconds = s[i].seconds - f[i].seconds; seconds > 0.15 * gap) reasons.push_back({i, seconds});
  // Faults, queues and combining that lie within kernel or idle time are the better explanation of it.
  const bool narrower = std::any_of(reasons.begin(), reasons.end(), [](const Reason& r) { return r.kind < 4; });
  if (narrower) std::erase_if(reasons, [](const Reason& r) { return r.kind >= kKernelCost - 1; });
  std::sort(reasons.begin(), reasons.end(), [](const Reason& a, const Reason& b) { return a.seconds > b.seconds; });
  std::string text;
  double explained = 0;
  std::vector<std::string> parts;
  for (const Reason& r : reasons) {
    explained += r.seconds;
    parts.push_back(s[r.kind].amount + s[r.kind].words + ", against " + f[r.kind].amount + " (" + percent(r.seconds / gap) + " of the difference)");
  }
  const std::string loser = name_of(point, slow), winner = name_of(point, fast);
  if (!parts.empty()) text += " What it costs more on " + loser + " than on " + winner + ": " + list_of(parts) + ".";
  if (explained < 0.5 * gap) {
    text += parts.empty() ? " None of the figures below explains it" : " That leaves " + percent(1 - explained / gap) + " of the difference unexplained";
    text += ": it lies in what is not measured here (cache and TLB misses where the machine has no counters for them, where memory happens to lie).";
  }
  if (slow.figures.participants + 0.5 < slow.workers && slow.workers > 1)
    text += " On " + loser + " only " + three_digits(slow.figures.participants) + " of " + std::to_string(slow.workers) + " workers ran a chunk: the job was over before the others had woken.";
  return text;
}

std::string arithmetic_text(const ContestantResult& c, double share) {
  return three_digits(c.operations_per_second / 1e9) + " GFLOP/s, " + percent(share) + " of what these cores' fused multiply-adds give at most";
}

std::string why_equal(const Comparison& all, const Point& point, const ContestantResult& a, const ContestantResult& b) {
  const double share = std::max(share_of_stream(all, point, a), share_of_stream(all, point, b));
  const double arithmetic = std::max(share_of_arithmetic(all, a), share_of_arithmetic(all, b));
  const double n = std::max(a.workers, 1), overhead = std::max(a.warm_usage.wait / n + a.figures.idle, b.warm_usage.wait / n + b.figures.idle) / std::max(a.median, 1e-12);
  if (share >= kNearRoof && point.bytes > static_cast<double>(all.machine.last_cache))
    return " Both wait for memory: they move " + three_digits(a.bytes_per_second / 1e9) + " and " + three_digits(b.bytes_per_second / 1e9) + " GB/s, " + percent(share) + " of the " + three_digits(stream_roof(all, point, a.workers) / 1e9) +
           " GB/s that these cores stream at most, and how the workers are made changes nothing about memory.";
  if (overhead < 0.1)
    return " Both spend " + percent(std::min(a.figures.kernel / a.median, 1.0)) + " and " + percent(std::min(b.figures.kernel / b.median, 1.0)) +
           " of a run inside the same kernel on the same chunks; queues, faults, locks and idle time are too small to tell them apart." +
           (arithmetic >= kSomeArithmetic ? " It computes at " + arithmetic_text(a.operations_per_second >= b.operations_per_second ? a : b, arithmetic) + "." : "");
  return " What they lose beside the kernel is alike: " + time_text(a.figures.idle) + " and " + time_text(b.figures.idle) + " of idle time for each worker.";
}

std::string cold_text(const Point& point, const ContestantResult& processes, const ContestantResult& threads) {
  if (processes.cold.empty() || threads.cold.empty()) return "";
  const double p = processes.cold_seconds.value, t = threads.cold_seconds.value;
  std::string text = " The first run over files just mapped takes " + time_text(t) + " on " + name_of(point, threads) + " and " + time_text(p) + " on " + name_of(point, processes) + ", with " +
                     grouped(static_cast<double>(threads.cold_usage.minor)) + " and " + grouped(static_cast<double>(processes.cold_usage.minor)) + " page faults";
  text += static_cast<double>(processes.cold_usage.minor) > 1.3 * static_cast<double>(threads.cold_usage.minor) ? ": threads share one page table, each process fills its own." : ".";
  return text + " To be ready takes " + time_text(threads.start_up.value) + " and " + time_text(processes.start_up.value) + ".";
}

std::string explain_point(const Comparison& all, const Point& point) {
  const ContestantResult *processes = nullptr, *threads = nullptr, *serial = nullptr;
  std::vector<const ContestantResult*> running;
  for (const ContestantResult& c : point.contestants) {
    if (!c.ran()) continue;
    running.push_back(&c);
    if (c.spec.backend == Backend::processes && !processes) processes = &c;
    if (c.spec.backend == Backend::threads && !threads) threads = &c;
    if (c.spec.backend == Backend::serial && !serial) serial = &c;
  }
  if (running.size() < 2) return running.empty() ? "No backend got to the end of the job." : "Only " + name_of(point, *running[0]) + " got to the end of the job: there is nothing to hold it against.";
  // The two that the question is about; else the first two.
  const ContestantResult& a = processes && threads ? *processes : *running[0];
  const ContestantResult& b = processes && threads ? *threads : *running[1];
  const double shortest = std::min(a.median, b.median);
  if (shortest < kTooShort)
    return "Too short to tell: a run takes " + time_text(shortest) + ", of which handing out " + grouped(static_cast<double>(point.chunks)) + (point.chunks == 1 ? " chunk" : " chunks") +
           " and waking workers is the greater part, so a ratio would be one of dispatch, not of the kernel. Give it more data (--sizes 1M,16M).";
  const Interval ratio = ratio_of(b.times(), a.times());  // above 1: a is faster
  const std::string name_a = name_of(point, a), name_b = name_of(point, b);
  std::string text;
  const bool known = std::isfinite(ratio.high);
  if (!known) {
    text = "There was time for one block only, so that no interval can be given: " + name_a + " took " + time_text(a.median) + ", " + name_b + " " + time_text(b.median) + ". Give --max-time more seconds.";
  } else if (ratio.holds(1) && ratio.relative_width() > kTooWide) {
    text = "Which of " + name_a + " and " + name_b + " is faster can not be told: the ratio may be anything from " + interval_text(ratio) + " (95 %). See the warnings, or give --max-time more seconds.";
  } else if (ratio.holds(1) || std::abs(ratio.value - 1) < 0.005) {
    text = "On " + name_a + " and on " + name_b + " the job takes the same time as far as can be told: the ratio is " + three_digits(ratio.value) + " (95 %: " + interval_text(ratio) + ")." + why_equal(all, point, a, b);
  } else {
    const ContestantResult &fast = ratio.value > 1 ? a : b, &slow = ratio.value > 1 ? b : a;
    const double by = ratio.value > 1 ? ratio.value : 1 / ratio.value;
    const Interval of_fast = ratio.value > 1 ? ratio : Interval{1 / ratio.high, 1 / ratio.value, 1 / ratio.low};
    text = "On " + name_of(point, fast) + " the job is faster than on " + name_of(point, slow) + ", by " + percent(by - 1) + " (ratio " + three_digits(by) + ", 95 %: " + interval_text(of_fast) + "; " + time_text(fast.median) + " against " +
           time_text(slow.median) + ")." + why_different(all, point, fast, slow);
    const double share = share_of_stream(all, point, fast), arithmetic = share_of_arithmetic(all, fast);
    if (share >= kNearRoof && point.bytes > static_cast<double>(all.machine.last_cache))
      text += " That is " + percent(share) + " of what memory streams here at most.";
    else if (arithmetic >= kSomeArithmetic)
      text += " That is " + arithmetic_text(fast, arithmetic) + ".";
  }
  if (serial && processes && threads && processes->workers > 1)
    text += " Against serial the speed-up is " + three_digits(processes->to_serial.value) + " with " + std::to_string(processes->workers) + " processes and " + three_digits(threads->to_serial.value) + " with as many threads.";
  if (processes && threads) text += cold_text(point, *processes, *threads);
  return text;
}

/** Which digest each backend gave, and how often. */
std::string digests_text(const Point& point) {
  std::vector<std::string> parts;
  for (const ContestantResult& c : point.contestants) {
    if (c.digests.empty()) continue;
    parts.push_back(c.digests.size() == 1 ? name_of(point, c) + " gives " + c.digests.begin()->first.substr(0, 8) + " every time"
                                          : name_of(point, c) + " gives " + std::to_string(c.digests.size()) + " different ones");
  }
  return list_of(parts);
}

std::string judge_point(const Point& point) {
  const ContestantResult *odd = nullptr, *right = nullptr;  // right: the first that is not on threads, as far as anybody is
  bool threads_differ = false, others_vary = false;
  for (const ContestantResult& c : point.contestants)
    if (!c.digests.empty() && (!right || (right->spec.backend == Backend::threads && c.spec.backend != Backend::threads))) right = &c;
  for (const ContestantResult& c : point.contestants) {
    if (c.digests.empty()) continue;
    const bool threads = c.spec.backend == Backend::threads, like = c.digests.size() == 1 && c.digests.begin()->first == right->digests.begin()->first;
    threads_differ |= threads && !like;
    others_vary |= !threads && c.digests.size() > 1;
    if (!threads && !like) odd = &c;
  }
  const std::string what = "the results differ: " + digests_text(point) + ". ";
  if (others_vary) return what + "The kernel is not a function of its inputs: even one backend gives several results";
  if (odd)
    return what + "The result depends on where the kernel runs (" + name_of(point, *odd) + " is not like " + name_of(point, *right) + "): it uses something that is not an input, like its process, its thread or how many calls came before";
  if (threads_differ)
    return what + "The kernel is not thread-safe: on threads it changes what other threads are using (a static or global variable?), and times of a wrong result mean nothing. --backends serial,processes compares what is right; cadre check looks closer";
  std::string failed, finished;
  bool died = false;
  for (const ContestantResult& c : point.contestants) {
    if (!c.error.empty()) {
      failed += (failed.empty() ? "" : "; ") + name_of(point, c) + ": " + c.error;
      died |= c.error.find("its process died") == 0;
    } else if (c.ran()) {
      finished += (finished.empty() ? "" : ", ") + name_of(point, c) + " in " + time_text(c.median) + " a run";
    }
  }
  if (failed.empty()) return "";
  return failed + (died ? ". A kernel that crashes in the program itself or on one of its threads takes the whole program along" : "") + (finished.empty() ? "" : ". To the end of the job got " + finished);
}

}  // namespace

std::string three_digits(double v) {
  char text[64];
  const double size = std::abs(v);
  std::snprintf(text, sizeof text, "%.*f", size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2, v);
  return text;
}

std::string time_text(double seconds) {
  if (seconds >= 1) return three_digits(seconds) + " s";
  if (seconds >= 1e-3) return three_digits(seconds * 1e3) + " ms";
  return seconds >= 1e-6 || seconds <= 0 ? three_digits(seconds * 1e6) + " us" : three_digits(seconds * 1e9) + " ns";
}

std::string name_of(const Point& point, const ContestantResult& contestant) {
  std::size_t before = 0, in_all = 0;
  for (const ContestantResult& c : point.contestants) {
    if (c.spec.text != contestant.spec.text) continue;
    if (&c < &contestant) ++before;
    ++in_all;
  }
  return in_all < 2 ? contestant.spec.text : contestant.spec.text + " #" + std::to_string(before + 1);
}

void judge_results(Comparison& comparison) {
  for (const Point& point : comparison.points)
    if (comparison.error.empty()) comparison.error = judge_point(point);
}

void note_noise(Comparison& comparison) {
  auto& w = comparison.warnings;
  const Noise& noise = comparison.noise;
  if (noise.other_load > kNoisyLoad) w.push_back("other programs kept " + three_digits(noise.other_load) + " CPUs busy meanwhile: absolute times are too long, and intervals wider than they would be");
  if (noise.stolen > 0.01) w.push_back("the hypervisor gave " + three_digits(noise.stolen) + " CPUs of this machine to others meanwhile");
  if (std::abs(noise.drift) > kNoisyDrift)
    w.push_back("the machine became " + percent(std::abs(noise.drift)) + (noise.drift > 0 ? " slower" : " faster") + " meanwhile (last third of the runs against the first): ratios are taken within rounds and stand, absolute times do not");
  std::vector<std::string> wide, brief, uncopied;
  double widest = 0;
  for (const Point& point : comparison.points) {
    const std::string where = std::to_string(point.workers) + (point.workers == 1 ? " worker" : " workers") + (point.rows ? " and " + std::to_string(point.rows) + " rows" : "");
    double here = 0;
    bool shortest = false;
    for (const ContestantResult& c : point.contestants) {
      if (!c.ran()) continue;
      if (c.other >= 0) here = std::max(here, c.to_other.relative_width());
      shortest |= c.median < kTooShort;
    }
    if (shortest) {
      brief.push_back(where);
    } else if (!point.narrow) {
      wide.push_back(where);
      if (std::isfinite(here)) widest = std::max(widest, here);
    }
    if (!point.copied) uncopied.push_back(where);
  }
  // One line for all the points that it holds for.
  const auto warn = [&](const std::vector<std::string>& where, const std::string& what) {
    if (where.empty()) return;
    std::string points;
    for (const std::string& point : where) points += (points.empty() ? "" : &point == &where.back() ? " and with " : ", ") + point;
    w.push_back((where.size() == comparison.points.size() ? "" : "with " + points + " ") + what);
  };
  warn(brief, "a run takes less than " + time_text(kTooShort) + ": what is compared is dispatch, not the kernel");
  warn(wide, "the time was up before every ratio was known to 2 %" + (widest > 0 ? ": the widest interval spans " + percent(widest) : std::string()) + "; --max-time gives more");
  warn(uncopied, "there was no memory for a copy of the inputs for each backend: warm runs read the mapped files, in 4 KiB pages");
}

std::string explain(const Comparison& comparison) {
  if (!comparison.error.empty()) return "No verdict: " + comparison.error + ".";
  // Where there are several points, the one with the most of everything, and how the others differ from it.
  const Point* most = nullptr;
  for (const Point& point : comparison.points)
    if (!most || point.rows > most->rows || (point.rows == most->rows && point.workers > most->workers)) most = &point;
  if (!most) return "";
  std::string text = comparison.points.size() > 1 ? "With " + std::to_string(most->workers) + " workers" + (most->rows ? " and " + grouped(static_cast<double>(most->rows)) + " rows" : "") + ": " : "";
  text += explain_point(comparison, *most);
  if (!text.empty() && comparison.points.size() == 1) text[0] = static_cast<char>(std::toupper(text[0]));
  return text;
}

}  // namespace cadre::compare
