#include <cadre/compare/comparison.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include <cadre/compare/clock.hpp>
#include <cadre/compare/explanation.hpp>
#include <cadre/compare/subject.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/shm/memory.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre::compare {
namespace {

constexpr std::size_t kLeastBlocks = 5;
constexpr std::size_t kLeastRounds = 3, kMostRounds = 25;
constexpr double kLeastPatience = 5;       // seconds that an answer may take however short the time is: processes are started, data loaded

/** CPU seconds of this process and all descendants that have been waited for. */
double own_cpu() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    sum += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  }
  return sum;
}

std::string counted(std::size_t n, const char* one, const char* many) { return std::to_string(n) + " " + (n == 1 ? one : many); }

/** One point of the comparison while it is measured. */
class PointRun {
 public:
  PointRun(const ComparisonPlan& plan, const Job& job, Point& point, double budget, const std::string& label)
      : plan_(plan), job_(job), point_(point), budget_(budget), label_(label), began_(Clock::now()) {
    for (const BackendSpec& spec : plan.backends) {
      ContestantResult& c = point_.contestants.emplace_back();
      c.spec = spec;
      c.workers = spec.backend == Backend::serial ? 1 : point.workers;
    }
    // Every contestant has a copy, and so has what it writes; half of the memory is left to the system.
    const std::uint64_t copies = Subject::input_bytes(job) * plan.backends.size();
    point_.copied = copies <= available_memory().bytes / 2;
  }

  void run() {
    for (block_ = 0; block_ < kMostBlocks; ++block_) {
      if (runners() == 0 || (block_ > 0 && seconds_since(began_) + block_seconds_ > budget_)) break;
      const auto begin = Clock::now();
      run_block();
      block_seconds_ = std::max(block_seconds_, seconds_since(begin));
      if (block_ + 1 >= kLeastBlocks && is_narrow()) break;
    }
    point_.narrow = is_narrow();
    point_.seconds = seconds_since(began_);
  }

 private:
  struct Seat {
    ContestantResult* result;
    std::unique_ptr<Contestant> contestant;
    bool cheap_digest = false;
  };

  /** Then even what a block should have is left out. */
  bool is_far_over() const { return seconds_since(began_) > budget_ + std::max(budget_, kLeastPatience); }

  std::size_t runners() const { return static_cast<std::size_t>(std::count_if(point_.contestants.begin(), point_.contestants.end(), [](const auto& c) { return c.error.empty(); })); }

  Options options_of(const BackendSpec& spec) const {
    Options o = plan_.options;
    o.backend = spec.backend;
    o.workers = spec.backend == Backend::serial ? 1 : point_.workers;
    o.start = spec.start;
    o.pin = spec.pin;
    o.private_copies = spec.private_copies;
    if (spec.backend != Backend::processes) {  // what only processes can do
      o.timeout = 0;
      o.max_chunks_per_worker = o.max_memory_per_worker = 0;
      o.sandbox = false;
    }
    return o;
  }

  /** How long an answer may take: half of the time that is left, so that one that hangs leaves some to the others. Whoever needs more for a run can not be compared in this time. */
  double patience() const { return std::max({(budget_ - seconds_since(began_)) / 2, budget_ / 4, kLeastPatience}); }

  /** Whatever a contestant is asked: when it can not answer any more, its row says why, and the others go on. */
  template <class F>
  bool guarded(Seat& seat, F&& f) {
    if (!seat.contestant) return false;
    try {
      seat.contestant->allow(patience());
      f();
      if (!seat.result->error.empty()) seat.contestant.reset();
    } catch (const ContestantEnded& e) {
      seat.result->error = e.what();
      seat.contestant.reset();
    }
    return seat.contestant != nullptr;
  }

  Run one_run(Seat& seat, RunKind kind, bool digest) {
    std::this_thread::sleep_for(kSettle);
    Run run = seat.contestant->run(kind, digest);
    if (!run.digest.empty()) ++seat.result->digests[run.digest];
    if (!run.error.empty() && run.exit_code != 3) seat.result->error = run.error;
    if (run.elements > 0) {
      point_.elements = run.elements;
      point_.chunks = run.chunks;
      point_.bytes = run.bytes;
      point_.operations = run.operations;
    }
    return run;
  }

  void open(Seat& seat) {
    ContestantResult& c = *seat.result;
    if (!c.error.empty()) return;
    seat.contestant = std::make_unique<Contestant>(ContestantPlan{.spec = c.spec, .options = options_of(c.spec), .job = job_, .copy_inputs = point_.copied, .silent = block_ > 0});
    guarded(seat, [&] {
      c.start_ups.push_back(seat.contestant->start());
      c.isa = c.start_ups.back().isa;
      c.missing = c.start_ups.back().missing;
      const Run cold = one_run(seat, RunKind::cold, false);
      if (!c.error.empty()) return;
      c.cold.push_back(cold);
      seat.contestant->load();
      Run first = one_run(seat, RunKind::first, true);
      seat.cheap_digest = first.wall - first.seconds < std::max(200e-6, 0.02 * first.seconds);
      c.first.push_back(std::move(first));
      c.blocks.emplace_back();
    });
  }

  void close(Seat& seat) {
    guarded(seat, [&] {
      ContestantResult& c = *seat.result;
      c.trace = seat.contestant->trace();
      c.traced.push_back(figures_of(c.trace, c.workers, c.spec.backend));
      c.memory = seat.contestant->memory();
      if (!is_far_over()) one_run(seat, RunKind::warm, true);
    });
    seat.contestant.reset();
  }

  void say(std::size_t round) const {
    if (plan_.progress) plan_.progress(label_ + "block " + std::to_string(block_ + 1) + ", round " + std::to_string(round + 1) + ", " + std::to_string(static_cast<int>(seconds_since(began_))) + " s");
  }

  void run_block() {
    std::vector<Seat> seats;
    for (ContestantResult& c : point_.contestants) seats.push_back({&c, nullptr});
    const auto in_turn = [&](std::size_t round, auto&& f) {
      for (std::size_t i = 0; i < seats.size(); ++i) f(seats[(i + round) % seats.size()]);
    };
    const auto begin = Clock::now();
    const double share = budget_ / (1.2 * kLeastBlocks);  // some of it is for the end of the block
    say(0);
    in_turn(block_, [&](Seat& seat) { open(seat); });
    for (std::size_t round = 0; round < kMostRounds; ++round) {
      if (round > 0 && is_far_over()) break;
      if (round >= kLeastRounds && (seconds_since(begin) > share || seconds_since(began_) > budget_)) break;
      say(round);
      in_turn(block_ + round, [&](Seat& seat) {
        guarded(seat, [&] {
          Run run = one_run(seat, RunKind::warm, seat.cheap_digest);
          if (seat.result->error.empty()) seat.result->blocks.back().push_back(std::move(run));
        });
      });
    }
    in_turn(block_, [&](Seat& seat) { close(seat); });
  }

  /** Whether every ratio that is told is known well enough. */
  bool is_narrow() const {
    const auto& all = point_.contestants;
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = i + 1; j < all.size(); ++j)
        if (all[i].ran() && all[j].ran() && ratio_of(all[i].times(), all[j].times()).relative_width() > plan_.wanted_width) return false;
    return true;
  }

  const ComparisonPlan& plan_;
  const Job& job_;
  Point& point_;
  const double budget_;
  const std::string label_;
  const Clock::time_point began_;
  std::size_t block_ = 0;
  double block_seconds_ = 0;
};

/** How much all times of a point changed from its first third to its last, each contestant by itself. */
double drift_of(const Point& point) {
  std::vector<double> changes;
  for (const ContestantResult& c : point.contestants) {
    std::vector<double> times;
    for (const auto& block : c.blocks)
      for (const Run& run : block) times.push_back(run.seconds);
    const std::size_t third = times.size() / 3;
    if (third < 3) continue;
    const double early = median({times.begin(), times.begin() + static_cast<std::ptrdiff_t>(third)}), late = median({times.end() - static_cast<std::ptrdiff_t>(third), times.end()});
    if (early > 0 && late > 0) changes.push_back(std::log(late / early));
  }
  return changes.empty() ? 0 : std::exp(median(changes)) - 1;
}

Usage median_usage(const std::vector<const Run*>& runs) {
  Usage result;
  const auto of = [&](auto&& figure) {
    std::vector<double> values;
    for (const Run* run : runs) {
      double sum = 0;
      for (const WorkerUsage& w : run->workers) sum += static_cast<double>(figure(w.usage));
      values.push_back(sum);
    }
    return median(std::move(values));
  };
  const auto whole = [&](auto&& figure) { return static_cast<std::uint64_t>(std::llround(of(figure))); };
  result.cpu = of([](const Usage& u) { return u.cpu; });
  result.wait = of([](const Usage& u) { return u.wait; });
  result.minor = whole([](const Usage& u) { return u.minor; });
  result.major = whole([](const Usage& u) { return u.major; });
  result.voluntary = whole([](const Usage& u) { return u.voluntary; });
  result.involuntary = whole([](const Usage& u) { return u.involuntary; });
  for (std::size_t i = 0; i < kCounters; ++i) result.counters[i] = whole([i](const Usage& u) { return u.counters[i]; });
  return result;
}

TraceFigures median_figures(const std::vector<TraceFigures>& all) {
  const auto of = [&](auto TraceFigures::*member) {
    std::vector<double> values;
    for (const TraceFigures& f : all) values.push_back(static_cast<double>(f.*member));
    return median(std::move(values));
  };
  return {.wake = of(&TraceFigures::wake), .kernel = of(&TraceFigures::kernel), .combine = of(&TraceFigures::combine), .lock_wait = of(&TraceFigures::lock_wait), .idle = of(&TraceFigures::idle),
          .tail = of(&TraceFigures::tail), .steals = static_cast<std::uint64_t>(std::llround(of(&TraceFigures::steals))), .participants = of(&TraceFigures::participants)};
}

/** The contestant that a row is held against besides serial: the first of the other kind, else the first other one. */
int other_of(const std::vector<ContestantResult>& all, std::size_t i) {
  const auto find = [&](auto&& fits) {
    for (std::size_t j = 0; j < all.size(); ++j)
      if (j != i && all[j].spec.backend != Backend::serial && fits(all[j])) return static_cast<int>(j);
    return -1;
  };
  if (all[i].spec.backend == Backend::serial) return -1;
  const int of_another_kind = find([&](const ContestantResult& c) { return c.spec.backend != all[i].spec.backend; });
  return of_another_kind >= 0 ? of_another_kind : find([](const ContestantResult&) { return true; });
}

void summarise_point(Point& point) {
  auto& all = point.contestants;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ContestantResult& c = all[i];
    c.serial = c.other = -1;
    if (!c.ran()) continue;
    for (std::size_t j = 0; j < all.size() && c.serial < 0; ++j)
      if (all[j].spec.backend == Backend::serial && all[j].ran()) c.serial = static_cast<int>(j);
    const auto times = c.times();
    c.seconds = level_of(times);
    std::vector<double> flat;
    std::vector<const Run*> warm, cold;
    for (const auto& block : c.blocks)
      for (const Run& run : block) {
        flat.push_back(run.seconds);
        warm.push_back(&run);
      }
    c.median = median(flat);
    c.bytes_per_second = c.median > 0 ? point.bytes / c.median : 0;
    c.elements_per_second = c.median > 0 ? static_cast<double>(point.elements) / c.median : 0;
    c.operations_per_second = c.median > 0 ? point.operations / c.median : 0;
    std::vector<std::vector<double>> cold_times, starts;
    for (const Run& run : c.cold) {
      cold_times.push_back({run.wall});
      cold.push_back(&run);
    }
    for (const StartUp& s : c.start_ups) starts.push_back({s.seconds});
    c.cold_seconds = level_of(cold_times);
    c.start_up = level_of(starts);
    c.warm_usage = median_usage(warm);
    c.cold_usage = median_usage(cold);
    c.figures = median_figures(c.traced);
    const int other = other_of(all, i);
    if (other >= 0 && all[static_cast<std::size_t>(other)].ran()) c.other = other;
    if (c.serial >= 0 && c.serial != static_cast<int>(i)) c.to_serial = ratio_of(all[static_cast<std::size_t>(c.serial)].times(), times);
    if (c.other >= 0) c.to_other = ratio_of(all[static_cast<std::size_t>(c.other)].times(), times);
  }
}

/** Bytes of the arrays that steps write: told by the plan of the whole less what is read. */
double output_bytes_of(const Point& point, const Job& job) {
  double read = 0;
  for (const Step& step : job.steps) {
    std::set<std::string> names;
    for (const auto& [input, name] : step.in) names.insert(name);
    for (const auto& [name, file] : Subject::input_files(job))
      if (names.contains(name)) {
        const NpyInfo info = inspect_npy(file);
        read += static_cast<double>(elements_of(info.shape, size_of(info.type)) * size_of(info.type));
      }
  }
  return job.steps.size() == 1 ? std::max(point.bytes - read, 0.0) : 0;
}

/** Whether a run reached more than what was measured as the most: then that was measured at a bad moment. */
bool is_beyond(Comparison& comparison) {
  for (Point& point : comparison.points) {
    summarise_point(point);
    for (const ContestantResult& c : point.contestants)
      if (c.ran() && ((share_of_stream(comparison, point, c) > 1 && leaves_caches(comparison, point)) || share_of_arithmetic(comparison, c) > 1)) return true;
  }
  return false;
}

}  // namespace

bool leaves_caches(const Comparison& all, const Point& point) { return point.bytes > static_cast<double>(all.machine.last_cache); }

bool is_told(const Point& point, const ContestantResult& c, int against) {
  return against >= 0 && c.median >= kTooShort && point.contestants[static_cast<std::size_t>(against)].median >= kTooShort;
}

std::size_t blocks_of(const Point& point) {
  std::size_t blocks = 0;
  for (const ContestantResult& c : point.contestants) blocks = std::max(blocks, c.blocks.size());
  return blocks;
}

std::vector<std::vector<double>> ContestantResult::times() const {
  std::vector<std::vector<double>> all;
  for (const auto& block : blocks) {
    all.emplace_back();
    for (const Run& run : block) all.back().push_back(run.seconds);
  }
  return all;
}

TraceFigures figures_of(const std::vector<PassTrace>& passes, int workers, Backend backend) {
  TraceFigures f;
  std::set<std::uint32_t> taking_part;
  for (const PassTrace& pass : passes) {
    if (pass.chunks.empty()) continue;
    std::map<std::uint32_t, std::pair<double, double>> span;  // slot -> first begin, last end
    double busy = 0;
    for (const ChunkTrace& c : pass.chunks) {
      const auto [at, fresh] = span.try_emplace(c.slot, c.begin, c.end);
      at->second = {std::min(at->second.first, c.begin), std::max(at->second.second, c.end)};
      f.kernel += c.computed - c.begin;
      f.lock_wait += c.waited;
      f.combine += std::max(c.end - c.computed - c.waited, 0.0);
      busy += c.end - c.begin;
      taking_part.insert(c.slot);
      if (backend == Backend::processes) {
        const std::uint64_t slots = static_cast<std::uint64_t>(workers), chunks = pass.chunks.back().chunk + std::uint64_t{1};
        const bool own = c.chunk >= c.slot * chunks / slots && c.chunk < (c.slot + std::uint64_t{1}) * chunks / slots;
        f.steals += !own;
      }
    }
    double first = 1e300, last_start = 0, end = 0;
    for (const auto& [slot, s] : span) {
      first = std::min(first, s.first);
      last_start = std::max(last_start, s.first);
      end = std::max(end, s.second);
    }
    const double n = static_cast<double>(span.size());
    f.wake = std::max(f.wake, last_start);
    f.idle += (n * (end - first) - busy) / n;
    for (const auto& [slot, s] : span) f.tail += (end - s.second) / n;
  }
  const double n = std::max<double>(static_cast<double>(taking_part.size()), 1);
  f.participants = static_cast<double>(taking_part.size());
  f.kernel /= n;
  f.combine /= n;
  f.lock_wait /= n;
  return f;
}

double stream_roof(const Comparison& all, const Point& point, int workers) {
  const Roof& roof = all.machine.roof(workers);
  return point.output_bytes > 0.1 * point.bytes ? roof.triad : roof.read;
}

double share_of_stream(const Comparison& all, const Point& point, const ContestantResult& c) {
  const double roof = stream_roof(all, point, c.workers);
  return roof > 0 ? c.bytes_per_second / roof : 0;
}

double share_of_arithmetic(const Comparison& all, const ContestantResult& c) {
  const double roof = all.machine.roof(c.workers).fma;
  return roof > 0 ? c.operations_per_second / roof : 0;
}

void summarise(Comparison& comparison) {
  for (Point& point : comparison.points) summarise_point(point);
  comparison.error.clear();
  comparison.warnings.clear();
  judge_results(comparison);
  note_noise(comparison);
  comparison.verdict = explain(comparison);
}

Comparison compare_backends(const ComparisonPlan& plan) {
  Comparison comparison;
  comparison.job = plan.job.name;
  Options shared = plan.options;
  for (const BackendSpec& spec : plan.backends)
    if (spec.backend == Backend::processes) shared.backend = Backend::processes;
  const Subject subject(plan.job, shared);
  for (const std::uint64_t rows : plan.sizes) subject.check_size(rows);  // not after the others have been measured

  const std::vector<int> workers = plan.workers.empty() ? std::vector<int>{usable_cpu_count()} : plan.workers;
  std::vector<std::uint64_t> sizes = plan.sizes;
  if (sizes.empty()) sizes.push_back(0);
  std::vector<int> cores = workers;
  cores.push_back(1);
  if (plan.progress) plan.progress("measuring what the machine can do");
  comparison.machine = plan.limits ? *plan.limits : measure_limits(cores);

  const auto began = Clock::now();
  const CpuTimes before = cpu_times();
  const double own_before = own_cpu();
  std::size_t left = workers.size() * sizes.size();
  std::vector<double> drifts;
  for (const std::uint64_t rows : sizes) {
    std::vector<std::unique_ptr<SizedFile>> files;
    const Job job = rows ? subject.sized(rows, files) : subject.job();
    if (Subject::input_bytes(job) <= available_memory().bytes / 2) Subject::read_ahead(job);
    for (const int w : workers) {
      Point& point = comparison.points.emplace_back();
      point.workers = w;
      point.rows = rows;
      // What a point did not need is there for the others.
      const double budget = std::max(plan.max_time - seconds_since(began), 0.0) / static_cast<double>(left--);
      std::string label = workers.size() > 1 ? counted(static_cast<std::size_t>(w), "worker, ", "workers, ") : "";
      if (rows) label = std::to_string(rows) + " rows, " + label;
      PointRun(plan, job, point, budget, label).run();
      point.output_bytes = output_bytes_of(point, job);
      drifts.push_back(drift_of(point));
    }
  }
  if (is_beyond(comparison)) {
    if (plan.progress) plan.progress("measuring again what the machine can do");
    comparison.machine.raise(measure_limits(cores));
  }
  const double elapsed = std::max(seconds_since(began), 1e-3);
  const CpuTimes after = cpu_times();
  comparison.noise.other_load = std::max(0.0, (after.busy - before.busy - (own_cpu() - own_before)) / elapsed);
  comparison.noise.stolen = std::max(0.0, (after.stolen - before.stolen) / elapsed);
  for (const double d : drifts)
    if (std::abs(d) > std::abs(comparison.noise.drift)) comparison.noise.drift = d;
  summarise(comparison);
  return comparison;
}

}  // namespace cadre::compare
