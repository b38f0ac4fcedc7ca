#include <cadre/compare/explanation.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>
#include <utility>
#include <vector>

#include <cadre/compare/comparison.hpp>

namespace cadre::compare {
namespace {

constexpr double kNoisyLoad = 0.05;   // CPUs
constexpr double kHeavyLoad = 0.3;    // CPUs: may decide by itself who is faster
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

/** Something that a run of one contestant takes longer with than that of another. */
struct Reason {
  double seconds;
  std::string words;
};

/** What the slower one pays more, for each of its workers. The kernel, combining, locks and idle time are parts of a run; faults, queues for a CPU and waking lie within the
   kernel or the idle time, and what they explain is taken out of it, so that nothing counts twice. */
std::vector<Reason> reasons(const Comparison& all, const ContestantResult& fast, const ContestantResult& slow, double least) {
  std::vector<Reason> found;
  const auto add = [&](double seconds, const std::string& of_slow, const std::string& of_fast) {
    if (seconds <= least) return 0.0;
    found.push_back({seconds, of_slow + ", against " + of_fast});
    return seconds;
  };
  const auto add_time = [&](double of_slow, double of_fast, const std::string& what, double taken_out = 0) { return add(of_slow - of_fast - taken_out, time_text(of_slow) + what, time_text(of_fast)); };
  const TraceFigures &s = slow.figures, &f = fast.figures;
  const double workers_of_slow = std::max(slow.workers, 1), workers_of_fast = std::max(fast.workers, 1), fault = all.machine.fault_seconds;
  const auto faults_of_slow = static_cast<double>(slow.warm_usage.minor), faults_of_fast = static_cast<double>(fast.warm_usage.minor);
  const double faults = add((faults_of_slow / workers_of_slow - faults_of_fast / workers_of_fast) * fault,
                            grouped(faults_of_slow) + " page faults a run (at " + time_text(fault) + " each as measured here)", grouped(faults_of_fast));
  const double queue = add_time(slow.warm_usage.wait / workers_of_slow, fast.warm_usage.wait / workers_of_fast, " of each worker's run in the queue for a CPU");
  add_time(s.lock_wait, f.lock_wait, " of waiting for the locks of segments");
  add_time(s.combine, f.combine, " of combining partial results");
  const double wake = add_time(s.wake, f.wake, " until its last worker begins its first chunk");
  const double in_kernel = std::clamp(s.kernel - f.kernel - faults, 0.0, queue);  // of the queue
  add_time(s.kernel, f.kernel, faults + in_kernel > 0 ? " in the kernel for each worker, these included" : " in the kernel for each worker", faults + in_kernel);
  add_time(s.idle, f.idle, wake > 0 ? " of idle time for each worker, waking included" : " of idle time for each worker", wake + queue - in_kernel);
  std::sort(found.begin(), found.end(), [](const Reason& x, const Reason& y) { return x.seconds > y.seconds; });
  return found;
}

std::string why_different(const Comparison& all, const Point& point, const ContestantResult& fast, const ContestantResult& slow, double by) {
  const double gap = slow.median * (1 - 1 / by);
  const std::vector<Reason> found = reasons(all, fast, slow, 0.15 * gap);
  const std::string loser = name_of(point, slow), winner = name_of(point, fast);
  std::string text;
  double explained = 0;
  for (const Reason& r : found) explained += r.seconds;
  // Some of these are of the runs with a trace, whose times are not quite those of the others.
  const bool in_proportion = explained <= 1.25 * gap;
  std::vector<std::string> parts;
  for (const Reason& r : found) parts.push_back(r.words + (in_proportion ? " (" + percent(r.seconds / gap) + " of the difference)" : ""));
  if (!parts.empty()) text += " What it costs more on " + loser + " than on " + winner + ": " + list_of(parts) + ".";
  const double saved = fast.figures.kernel - slow.figures.kernel;
  if (!in_proportion)
    text += saved > 0.15 * gap ? " In exchange each worker spends " + time_text(saved) + " less in the kernel there." : " That is more than the whole difference: these times vary by more than it.";
  if (parts.empty())
    text += " None of the figures here explains it: it lies in what is not measured here (cache and TLB misses where the machine has no counters for them, where memory happens to lie).";
  else if (explained < 0.7 * gap)
    text += " That leaves " + percent(1 - explained / gap) + " of the difference unexplained.";
  const double kernel = slow.figures.kernel - fast.figures.kernel - std::max(0.0, slow.warm_usage.wait / std::max(slow.workers, 1) - fast.warm_usage.wait / std::max(fast.workers, 1));
  if (kernel > 0.4 * gap && (in_proportion || found.size() == 1))
    text += std::string(" The kernel's code is the same: what makes it slower there is what it waits for, be it memory, caches or the system") +
            (slow.spec.backend == Backend::threads ? ", of which threads share more than processes do: an allocator, one address space and its lock, static variables." : ".");
  if (slow.figures.participants + 0.5 < slow.workers && slow.workers > 1)
    text += " On " + loser + " only " + three_digits(slow.figures.participants) + " of " + std::to_string(slow.workers) + " workers ran a chunk: the others had none before the job was over.";
  return text;
}

std::string arithmetic_text(const ContestantResult& c, double share) {
  return three_digits(c.operations_per_second / 1e9) + " GFLOP/s, " + percent(share) + " of what these cores' fused multiply-adds give at most";
}

/** "85 % of the 30 GB/s that these cores stream at most". */
std::string of_stream_text(const Comparison& all, const Point& point, const ContestantResult& c, double share) {
  const std::string roof = three_digits(stream_roof(all, point, c.workers) / 1e9) + " GB/s";
  return share > 1.02 ? "more than the " + roof + " that these cores streamed when that was measured" : percent(share) + " of the " + roof + " that these cores stream at most";
}

/** What both have in common, which leaves little to tell them apart; "" where that is little. */
std::string what_is_shared(const Comparison& all, const Point& point, const ContestantResult& a, const ContestantResult& b) {
  const double share = std::max(share_of_stream(all, point, a), share_of_stream(all, point, b));
  const double arithmetic = std::max(share_of_arithmetic(all, a), share_of_arithmetic(all, b));
  const double n = std::max(a.workers, 1), overhead = std::max(a.warm_usage.wait / n + a.figures.idle, b.warm_usage.wait / n + b.figures.idle) / std::max(a.median, 1e-12);
  if (share >= kNearRoof && leaves_caches(all, point))
    return " Both wait for memory: they move " + three_digits(a.bytes_per_second / 1e9) + " and " + three_digits(b.bytes_per_second / 1e9) + " GB/s, " + of_stream_text(all, point, a, share) +
           ", and how the workers are made changes nothing about memory.";
  // Figures are of runs with a trace, which may have taken longer.
  const auto part = [](const ContestantResult& c, double TraceFigures::*what) {
    const TraceFigures& f = c.figures;
    return f.*what / std::max({c.median, f.kernel + f.combine + f.lock_wait + f.idle, 1e-12});
  };
  const auto shares = [&](double TraceFigures::*what) { return percent(part(a, what)) + " and " + percent(part(b, what)); };
  const double combining = std::max(part(a, &TraceFigures::combine), part(b, &TraceFigures::combine));
  if (overhead < 0.1)
    return " Both spend " + shares(&TraceFigures::kernel) + " of a run inside the same kernel on the same chunks" +
           (combining >= 0.05 ? ", and " + shares(&TraceFigures::combine) + " combining what these gave" : std::string()) + "; queues, faults, locks and idle time are too small to tell them apart." +
           (arithmetic >= kSomeArithmetic ? " It computes at " + arithmetic_text(a.operations_per_second >= b.operations_per_second ? a : b, arithmetic) + "." : "");
  return "";
}

std::string why_equal(const Comparison& all, const Point& point, const ContestantResult& a, const ContestantResult& b) {
  if (const std::string shared = what_is_shared(all, point, a, b); !shared.empty()) return shared;
  const double n = std::max(a.workers, 1);
  const auto spends = [&](const ContestantResult& c) {
    return name_of(point, c) + " " + time_text(c.figures.kernel) + " in the kernel, " + time_text(c.figures.idle) + " idle and " + time_text(c.warm_usage.wait / n) + " in the queue for a CPU";
  };
  return " They come to it with these times for each worker: " + spends(a) + "; " + spends(b) + ".";
}

std::string cold_text(const Point& point, const ContestantResult& processes, const ContestantResult& threads) {
  if (processes.cold.empty() || threads.cold.empty()) return "";
  const double p = processes.cold_seconds.value, t = threads.cold_seconds.value;
  std::string text = " The first run over files just mapped takes " + time_text(t) + " on " + name_of(point, threads) + " and " + time_text(p) + " on " + name_of(point, processes) + ", with " +
                     grouped(static_cast<double>(threads.cold_usage.minor)) + " and " + grouped(static_cast<double>(processes.cold_usage.minor)) + " page faults";
  text += static_cast<double>(processes.cold_usage.minor) > 1.3 * static_cast<double>(threads.cold_usage.minor) ? ": threads share one page table, each process fills its own." : ".";
  return text + " To be ready takes " + time_text(threads.start_up.value) + " and " + time_text(processes.start_up.value) + ".";
}

/** The first of a kind that got to the end. */
const ContestantResult* first_of(const Point& point, Backend backend) {
  for (const ContestantResult& c : point.contestants)
    if (c.ran() && c.spec.backend == backend) return &c;
  return nullptr;
}

/** The two that the question is about: processes and threads, else the first two that got to the end. */
std::pair<const ContestantResult*, const ContestantResult*> in_question(const Point& point) {
  const ContestantResult *processes = first_of(point, Backend::processes), *threads = first_of(point, Backend::threads);
  if (processes && threads) return {processes, threads};
  std::pair<const ContestantResult*, const ContestantResult*> two{};
  for (const ContestantResult& c : point.contestants)
    if (c.ran()) {
      (two.first ? two.second : two.first) = &c;
      if (two.second) break;
    }
  return two;
}

/** Whoever else ran, held against the first of the two. */
std::string others_text(const Point& point, const ContestantResult& a, const ContestantResult& b) {
  std::vector<std::string> parts, alike;
  for (const ContestantResult& c : point.contestants) {
    if (!c.ran() || &c == &a || &c == &b || c.spec.backend == Backend::serial || c.median < kTooShort) continue;
    const Interval ratio = ratio_of(a.times(), c.times());
    if (!std::isfinite(ratio.high)) continue;
    if (ratio.holds(1) || std::abs(ratio.value - 1) < 0.01)
      alike.push_back(name_of(point, c));
    else
      parts.push_back(name_of(point, c) + (ratio.value > 1 ? " is faster by " : " is slower by ") + percent((ratio.value > 1 ? ratio.value : 1 / ratio.value) - 1));
  }
  if (!alike.empty()) parts.push_back("of " + list_of(alike) + " no difference can be told");
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? " Against " + name_of(point, a) + ", " : "; ") + part;
  return text.empty() ? "" : text + ".";
}

std::string explain_point(const Comparison& all, const Point& point) {
  const ContestantResult *processes = first_of(point, Backend::processes), *threads = first_of(point, Backend::threads), *serial = first_of(point, Backend::serial);
  std::vector<const ContestantResult*> running;
  for (const ContestantResult& c : point.contestants)
    if (c.ran()) running.push_back(&c);
  if (running.empty()) return "No backend got to the end of the job.";
  if (running.size() < 2)
    return point.contestants.size() < 2 ? "There is one backend only, " + name_of(point, *running[0]) + ": name another with --backends to hold it against."
                                        : "Only " + name_of(point, *running[0]) + " got to the end of the job: there is nothing to hold it against.";
  const ContestantResult &a = *in_question(point).first, &b = *in_question(point).second;
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
    text = "Which of " + name_a + " and " + name_b + " is faster can not be told: the ratio may be anything from " + interval_text(ratio) + " (95 %). See the warnings, or give --max-time more seconds." + what_is_shared(all, point, a, b);
  } else if (ratio.holds(1) || std::abs(ratio.value - 1) < 0.005) {
    text = "On " + name_a + " and on " + name_b + " the job takes the same time as far as can be told: the ratio is " + three_digits(ratio.value) + " (95 %: " + interval_text(ratio) + ")." + why_equal(all, point, a, b);
  } else {
    const ContestantResult &fast = ratio.value > 1 ? a : b, &slow = ratio.value > 1 ? b : a;
    const double by = ratio.value > 1 ? ratio.value : 1 / ratio.value;
    const double by_medians = slow.median / fast.median;
    const Interval of_fast = ratio.value > 1 ? ratio : Interval{1 / ratio.high, 1 / ratio.value, 1 / ratio.low};
    text = "On " + name_of(point, fast) + " the job is faster than on " + name_of(point, slow) + ", by " + percent(by - 1) + " (ratio " + three_digits(by) + ", 95 %: " + interval_text(of_fast) + "; " + time_text(fast.median) + " against " +
           time_text(slow.median) + ")." + (by_medians < of_fast.low || by_medians > of_fast.high ? " The ratio is taken within rounds, where both met the same machine; the two times are medians of all rounds, and the machine's speed changed between those." : "") +
           why_different(all, point, fast, slow, by);
    const double share = share_of_stream(all, point, fast), arithmetic = share_of_arithmetic(all, fast);
    if (share >= kNearRoof && leaves_caches(all, point))
      text += " On " + name_of(point, fast) + " it moves " + three_digits(fast.bytes_per_second / 1e9) + " GB/s, " + of_stream_text(all, point, fast, share) + ".";
    else if (arithmetic >= kSomeArithmetic)
      text += " On " + name_of(point, fast) + " it computes at " + arithmetic_text(fast, arithmetic) + ".";
  }
  if (serial && processes && threads && processes->workers > 1)
    text += " Against serial the speed-up is " + three_digits(processes->to_serial.value) + " with " + std::to_string(processes->workers) + " processes and " + three_digits(threads->to_serial.value) + " with as many threads.";
  if (processes && threads) text += cold_text(point, *processes, *threads);
  return text + others_text(point, a, b);
}

/** The job at another number of workers or size, in a few words. */
std::string brief_text(const Point& point) {
  const auto [a, b] = in_question(point);
  if (!a || !b) return "not everybody got to the end";
  if (std::min(a->median, b->median) < kTooShort) return "too short to tell";
  const Interval ratio = ratio_of(b->times(), a->times());
  if (!std::isfinite(ratio.high)) return "one block only, no interval";
  if (ratio.holds(1)) return "no difference that can be told (" + interval_text(ratio) + ")";
  return name_of(point, ratio.value > 1 ? *a : *b) + " faster by " + percent((ratio.value > 1 ? ratio.value : 1 / ratio.value) - 1);
}

std::string place_of(const Point& point) {
  return std::to_string(point.workers) + (point.workers == 1 ? " worker" : " workers") + (point.rows ? " and " + grouped(static_cast<double>(point.rows)) + " rows" : "");
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
    return what + "The kernel is not thread-safe: on threads it changes what other threads are using (a static or global variable?) or depends on which thread it runs on, and times of a wrong result mean nothing. --backends serial,processes compares what is right; cadre check looks closer";
  std::string failed, finished;
  bool died = false, killed = false;
  for (const ContestantResult& c : point.contestants) {
    if (!c.error.empty()) {
      failed += (failed.empty() ? "" : "; ") + name_of(point, c) + ": " + c.error;
      died |= c.error.find("its process died") == 0 && c.error.find("SIGKILL") == std::string::npos;
      killed |= c.error.find("its process died of SIGKILL") == 0;
    } else if (c.ran()) {
      finished += (finished.empty() ? "" : ", ") + name_of(point, c) + " in " + time_text(c.median) + " a run";
    }
  }
  if (failed.empty()) return "";
  return failed + (died ? ". A kernel that crashes in the program itself or on one of its threads takes the whole program along" : "") +
         (killed ? ". SIGKILL comes from outside: from somebody, or from a system that is out of memory" : "") + (finished.empty() ? "" : ". To the end of the job got " + finished);
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
  std::vector<std::string> wide, unsettled, brief, uncopied;
  double widest = 0;
  for (const Point& point : comparison.points) {
    const std::string where = place_of(point);
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
      (blocks_of(point) < kMostBlocks ? wide : unsettled).push_back(where);
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
  const std::string span = widest > 0 ? ": the widest interval spans " + percent(widest) : "";
  warn(wide, "the time was up before every ratio was known to 2 %" + span + "; --max-time gives more");
  warn(unsettled, "even after " + std::to_string(kMostBlocks) + " blocks not every ratio was known to 2 %" + span);
  warn(uncopied, "there was no memory for a copy of the inputs for each backend: warm runs read the mapped files, in 4 KiB pages");
}

std::string explain(const Comparison& comparison) {
  if (!comparison.error.empty()) return "No verdict: " + comparison.error + ".";
  // Where there are several points: the one with the most rows and the most workers that have a CPU each, and how the others differ from it.
  const Point* main = nullptr;
  const auto weight = [&](const Point& p) { return std::tuple(p.rows, p.workers <= comparison.machine.cpus, p.workers <= comparison.machine.cpus ? p.workers : -p.workers); };
  for (const Point& point : comparison.points)
    if (!main || weight(point) > weight(*main)) main = &point;
  if (!main) return "";
  std::string text = explain_point(comparison, *main);
  if (text.empty()) return text;
  text[0] = static_cast<char>(comparison.points.size() > 1 ? std::tolower(text[0]) : std::toupper(text[0]));
  if (comparison.points.size() > 1) text = "With " + place_of(*main) + ", " + text;
  if (main->workers > comparison.machine.cpus) text += " There are more workers than the " + std::to_string(comparison.machine.cpus) + (comparison.machine.cpus == 1 ? " CPU" : " CPUs") + " that they may use: they take turns.";
  std::vector<std::string> others;
  for (const Point& point : comparison.points)
    if (&point != main) others.push_back("with " + place_of(point) + (point.workers > comparison.machine.cpus ? ", more than there are CPUs" : "") + ": " + brief_text(point));
  for (std::size_t i = 0; i < others.size(); ++i) text += (i == 0 ? " Elsewhere, " : "; ") + others[i];
  if (!others.empty()) text += ".";
  if (comparison.noise.other_load > kHeavyLoad)
    text += " Other programs kept " + three_digits(comparison.noise.other_load) + " CPUs busy meanwhile. That meets pinned processes and threads that may move in different ways: measure again on a quiet machine before you rely on this.";
  return text;
}

}  // namespace cadre::compare
