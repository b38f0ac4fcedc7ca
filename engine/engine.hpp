#pragma once
/* The engine: a pool of workers and the jobs that are run on it. (Declarations for named kernels; the templates for lambdas follow.) */
#include <memory>
#include <sys/types.h>
#include <vector>

#include <cadre/engine/job.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/shm/array.hpp>

namespace cadre {

/** Asks every running job to stop, as Ctrl-C once does: what runs is finished, the job fails with 128 + `signal`. Async-signal-safe. */
void request_stop(int signal) noexcept;

/** Checks a job from its headers and declarations alone: names, parameters, types, shapes, files. Throws Error (usage), with the file and line where
    there is one. Starts nothing. Engine::run does it too. */
void check_job(const Job&, const Options&);

class Engine {
 public:
  explicit Engine(Options options = {});
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  /** As given, with workers and isa resolved. */
  const Options& options() const noexcept;

  template <class T>
  Array<T> array(std::size_t n);
  template <class T>
  Array<T> array(Shape shape);

  /** Runs the job. Bad input throws Error (usage); a job that failed is told in the report (error, exit_code). */
  Report run(const Job& job);

  /** Processes of the pool at this moment, for tests and tools: workers by slot (0: none just now), then zygote and standby. Empty on other backends. */
  struct Pids { std::vector<pid_t> workers; pid_t zygote = 0, standby = 0; };
  Pids pids() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cadre
