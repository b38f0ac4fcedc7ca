#pragma once
/* One job on its way from names to results. */
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/executor.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/engine/step.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre {

/** The checks that headers and declarations allow, step by step; Engine::run makes them before it touches anything. Throws Error (usage). */
void check_steps(const Job& job, const KernelTable& table);

class JobRun {
 public:
  /** Checks the job. `executor` runs its passes. */
  JobRun(const Job& job, const KernelTable& table, Executor& executor);

  /** Runs all steps, computes the digest, puts the files in place. Fills in the report as it goes. Throws Error, Interrupted. */
  void run(Report& report);

 private:
  struct Output {
    std::string file;                       // "" not a file
    std::unique_ptr<NpyOutput> mapped;      // written in place
    AnyArray array;                         // or written when all is done
  };
  AnyArray source(const BoundStep& step, const std::string& name);
  AnyArray target(const BoundStep& step, std::uint32_t output, const Header& header);
  void run_step(std::size_t index, const BoundStep& step, Report& report, StepReport& told);
  void keep_results(const BoundStep& step, Pass& pass, StepReport& told);
  void forget_temporaries(std::size_t done);

  const Job& job_;
  const KernelTable& table_;
  Executor& executor_;
  std::vector<BoundStep> steps_;
  std::map<std::string, AnyArray> arrays_;  // by name: the program's, files opened, temporaries
  std::vector<Output> outputs_;
  std::vector<AnyArray> digested_;          // outputs of the last step, in declared order
  std::uint64_t bytes_ = 0;                 // of all inputs and outputs
};

}  // namespace cadre
