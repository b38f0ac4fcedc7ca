#pragma once
/* The engine: a pool of workers, and the jobs that are run on it.

     cadre::Engine engine;                                   // one worker process per usable core, forked now
     auto x = engine.array<double>(1'000'000);               // shared with every worker, copied to none
     auto y = engine.array<double>(x.size());
     engine.map(x, y, [a = 2.0](double v) { return a * v; });
     double total = engine.reduce(y, 0.0, [](double a, double b) { return a + b; });
     cadre::Report report = engine.run(job);                 // named kernels, files: all that the command line does

   Make it before the program starts threads: workers are forked from the caller as it is then. With Options::start forkserver or spawn (and cadre::init as the
   first line of main) they are copies of the program as it begins, which have nothing of the caller's but what is shared. All members are for the process that made
   the engine; one job runs at a time, further threads wait. */
#include <functional>
#include <memory>
#include <vector>

#include <sys/types.h>

#include <cadre/engine/job.hpp>
#include <cadre/engine/lambda.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/shm/array.hpp>

namespace cadre {

/** Asks every running job to stop, as Ctrl-C once does: what runs is finished, the job ends with 128 + `signal`. Async-signal-safe. */
void request_stop(int signal) noexcept;

/** Checks a job from its headers and declarations alone: names, parameters, types, shapes, files. Throws Error (usage), with the file and line where
    there is one. Starts no worker. Engine::run does it too. */
void check_job(const Job&, const Options&);

/** Whether there is a journal to resume in which nothing is left to be computed: its inputs may have become outputs, or be gone. */
bool is_computed(const Options&) noexcept;

class Engine {
 public:
  /** Forks the workers. Throws Error: options out of range, no memory, no processes to be had, a journal that can not be used. */
  explicit Engine(Options options = {});
  /** Ends the workers and waits until they are gone. Arrays live on. */
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  /** As given, with workers and isa resolved. */
  const Options& options() const noexcept;

  /** An array of zeros in shared memory. Throws Error with both figures when it does not fit. */
  template <class T>
  Array<T> array(std::size_t n) {
    return array<T>(Shape{static_cast<std::int64_t>(n)});
  }
  template <class T>
  Array<T> array(Shape shape) {
    auto storage = allocate_storage(std::max<std::size_t>(elements_of(shape, sizeof(T)) * sizeof(T), 1));
    return {storage, reinterpret_cast<T*>(storage->data()), std::move(shape)};
  }

  /** y[i] = f(x[i]). x and y may be one array. What f reads besides its argument and captures (globals, statics) it reads as it was when the workers
      were forked. f: trivially copyable, captures by value, up to 256 bytes of them. Throws Error: lengths that differ, captures
      that point into this process's own memory, an exception in f (with its text), a crash of f (with the elements). */
  template <class X, class Y, class F>
  void map(const Array<X>& x, const Array<Y>& y, F f) {
    run_lambda(detail::make_map<X, Y>(x, y, f), {AnyArray(x)}, {AnyArray(y)});
  }
  /** y[i] = f(x1[i], x2[i]). */
  template <class X1, class X2, class Y, class F>
  void map(const Array<X1>& x1, const Array<X2>& x2, const Array<Y>& y, F f) {
    run_lambda(detail::make_map<X1, X2, Y>(x1, x2, y, f), {AnyArray(x1), AnyArray(x2)}, {AnyArray(y)});
  }
  /** f(f(init, x[0]), x[1]) ... in another grouping: f must be associative. `init` counts once; each chunk starts from its first element, chunks
      are combined in a fixed tree, so the result has the same bits for any number of workers. */
  template <class X, class T, class F>
  T reduce(const Array<X>& x, T init, F f) {
    const std::vector<std::byte> folded = run_lambda(detail::make_reduce<T>(x, f), {AnyArray(x)}, {});
    detail::Folded<T> total;
    std::memcpy(&total, folded.data(), sizeof total);
    return total.some ? f(init, total.value) : init;
  }
  /** Sums into bins: f(x[i], add) may call add(bin, value) any number of times. A bin that is not below `bins` fails the job. */
  template <class R, class X, class F>
  Array<R> scatter(std::size_t bins, const Array<X>& x, F f) {
    AnyArray sums;
    run_lambda(detail::make_scatter<R>(bins, x, f), {AnyArray(x)}, {}, &sums);
    return sums.as<R>();
  }

  /** Runs the job. Bad input throws Error (usage); a job that failed is told in the report (error, exit_code). With a journal: one job, over files
      alone, and no lambdas. One that the journal has finished is told again. */
  Report run(const Job& job);

  /** Processes of the pool at this moment, for tests and tools: workers by slot (0: none just now), zygote and standby. Empty on other backends. */
  struct Pids {
    std::vector<pid_t> workers;
    pid_t zygote = 0, standby = 0;
  };
  Pids pids() const;
  /** Deaths of workers that held a chunk, those by a deadline among them, and chunks that were run again, since the engine was made; poison: of the last job. */
  Faults faults() const;

 private:
  // Runs a kernel made of a lambda; returns the folded accumulator, or sets *column.
  std::vector<std::byte> run_lambda(const detail::Lambda& lambda, std::vector<AnyArray> inputs, std::vector<AnyArray> outputs, AnyArray* column = nullptr);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/** What a report says of a job before it is run. `options`: an engine's. */
Report report_before(const Job& job, const Options& options);

}  // namespace cadre
