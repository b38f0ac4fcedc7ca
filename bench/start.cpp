/* From nothing to the first result: a small caller makes its workers, has 4,096 numbers added up, and has the sum. Every sample is a
   program of its own. And the private memory that the workers then have. */
#include <cadre/bench/child.hpp>
#include <cadre/bench/ours.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>
#include <unistd.h>
#include <atomic>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>

namespace cadre::bench {
namespace {

constexpr std::size_t kNumbers = 4096;
constexpr double kSum = 0.5 * kNumbers * (kNumbers - 1);

void expect_sum(double sum) {
  if (sum != kSum) throw WrongAnswer("the sum is " + std::to_string(sum) + ", not " + std::to_string(kSum));
}

const ChildEntry engine_start("start_engine", [](const std::vector<std::string>& arguments) -> std::vector<double> {
  std::optional<Engine> engine;
  double sum = 0;
  const double seconds = seconds_of([&] {
    engine.emplace(Options{.workers = std::stoi(arguments.at(0))});
    auto numbers = engine->array<double>(kNumbers);
    std::iota(numbers.begin(), numbers.end(), 0.0);
    sum = engine->reduce(numbers, 0.0, [](double a, double b) { return a + b; });
  });
  expect_sum(sum);
  return {seconds};
});

/** Bytes of the private mappings of a process that belong to it alone: what one more worker costs. */
double private_bytes(pid_t pid) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  double bytes = 0;
  char kind = 's';
  for (std::string line; std::getline(smaps, line);) {
    std::size_t kib = 0;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%*x-%*x %4s", permissions) == 1 && permissions[3]) kind = permissions[3];
    if (kind == 'p' && std::sscanf(line.c_str(), "Private_Dirty: %zu", &kib) == 1) bytes += 1024.0 * static_cast<double>(kib);
  }
  return bytes;
}

const ChildEntry worker_memory("worker_memory", [](const std::vector<std::string>& arguments) -> std::vector<double> {
  Engine engine({.workers = std::stoi(arguments.at(0))});
  const std::size_t n = 10'000'000;
  auto x = engine.array<double>(n);
  std::iota(x.begin(), x.end(), 0.0);
  if (arguments.at(1) == "reduce") {
    if (engine.reduce(x, 0.0, [](double a, double b) { return a + b; }) != 0.5 * static_cast<double>(n) * static_cast<double>(n - 1))
      throw WrongAnswer("the sum is wrong");
  } else {
    auto counts = engine.array<std::int64_t>(100'000);
    const Report report = engine.run(
        job_of("histogram", {{"x", x}}, {{"out", counts}}, {{"bins", std::int64_t{100'000}}, {"lo", 0.0}, {"hi", static_cast<double>(n)}}));
    for (std::int64_t count : counts)
      if (count != 100) throw WrongAnswer("a count is wrong " + report.error);
  }
  double most = 0;
  for (pid_t pid : engine.pids().workers) most = std::max(most, private_bytes(pid));
  return {most};
});

/** A pool as one writes it in an afternoon: fork, a part of the work each, results in shared memory, wait for all by a pipe. */
const ChildEntry fork_pool("start_fork_pool", [](const std::vector<std::string>& arguments) -> std::vector<double> {
  const auto workers = std::stoull(arguments.at(0));
  double sum = 0;
  std::vector<pid_t> children;
  const double seconds = seconds_of([&] {
    void* memory = mmap(nullptr, (kNumbers + workers) * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    double* const numbers = static_cast<double*>(memory);
    double* const partials = numbers + kNumbers;
    int work[2], done[2];
    if (pipe(work) != 0 || pipe(done) != 0) throw std::runtime_error("pipe");
    for (std::size_t w = 0; w < workers; ++w) {
      const pid_t pid = fork();
      if (pid < 0) throw std::runtime_error("fork");
      if (pid > 0) {
        children.push_back(pid);
        continue;
      }
      close(work[1]);
      for (unsigned char part; read(work[0], &part, 1) == 1;) {
        partials[part] = std::accumulate(numbers + part * kNumbers / workers, numbers + (part + 1) * kNumbers / workers, 0.0);
        if (write(done[1], &part, 1) != 1) _exit(1);
      }
      _exit(0);
    }
    std::iota(numbers, numbers + kNumbers, 0.0);
    for (std::size_t part = 0; part < workers; ++part) {
      const auto byte = static_cast<unsigned char>(part);
      if (write(work[1], &byte, 1) != 1) throw std::runtime_error("write");
    }
    unsigned char part;
    for (std::size_t w = 0; w < workers; ++w)
      if (read(done[0], &part, 1) != 1) throw std::runtime_error("read");
    sum = std::accumulate(partials, partials + workers, 0.0);
    close(work[0]);
    close(work[1]);
  });
  for (pid_t pid : children) waitpid(pid, nullptr, 0);
  expect_sum(sum);
  return {seconds};
});

const ChildEntry tbb_threads("start_tbb", [](const std::vector<std::string>& arguments) -> std::vector<double> {
  const auto workers = std::stoull(arguments.at(0));
  double sum = 0;
  const double seconds = seconds_of([&] {
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    tbb::task_arena arena(static_cast<int>(workers));
    std::vector<double> numbers(kNumbers);
    std::iota(numbers.begin(), numbers.end(), 0.0);
    using Range = tbb::blocked_range<const double*>;
    arena.execute([&] {
      sum = tbb::parallel_reduce(
          Range(numbers.data(), numbers.data() + kNumbers, kNumbers / workers), 0.0,
          [](const Range& r, double s) { return std::accumulate(r.begin(), r.end(), s); }, std::plus<>());
    });
  });
  expect_sum(sum);
  return {seconds};
});

}  // namespace

Race start_race(const Setting&, int workers) {
  Race race{.name = "start_" + std::to_string(workers)};
  const auto add = [&](const std::string& name, const std::string& child) {
    race.contestants.push_back({name, [=] { return run_child({child, std::to_string(workers)}).at(0); }, {}});
  };
  add("processes", "start_engine");
  add("plain fork pool", "start_fork_pool");
  add("oneTBB", "start_tbb");
  race.figures.push_back({.what = "start of an engine to its first result, " + std::to_string(workers) + " workers",
                          .kind = Figure::Kind::amount,
                          .wanted = workers > 2 ? 12.0 : 2.0,
                          .ours = "processes",
                          .unit = "ms",
                          .unit_size = 1e-3});
  return race;
}

Race worker_memory_race(const Setting& setting) {
  Race race{.name = "worker_memory", .cost_unit = "KiB", .cost_unit_size = 1024, .most_rounds = 5};
  for (const char* isolated : {"reduce", "histogram"}) {
    const std::string job = isolated;
    race.contestants.push_back({"after a " + job,
                                [=] {
                                  return run_child({"worker_memory", std::to_string(setting.workers), job}).at(0);
                                },
                                {}});
    race.figures.push_back({.what = "private memory per worker, after a " + job,
                            .kind = Figure::Kind::amount,
                            .wanted = 256,
                            .ours = "after a " + job,
                            .unit = "KiB",
                            .unit_size = 1024});
  }
  return race;
}

}  // namespace cadre::bench
