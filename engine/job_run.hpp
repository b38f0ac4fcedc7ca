#pragma once
/* One job on its way from names to results. */
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/executor.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/journal.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/engine/step.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre {

/** The checks that headers and declarations allow, step by step; Engine::run makes them before it touches anything. Throws Error (usage). */
void check_steps(const Job& job, const KernelTable& table);

class JobRun {
 public:
  /** Checks the job. `executor` runs its passes. `journal`, if any, has begun the job. */
  JobRun(const Job& job, const KernelTable& table, Executor& executor, Journal* journal = nullptr);

  /** Runs all steps, or those that the journal has not, computes the digest, puts the files in place. Fills in the report as it goes; `computed` is called
      when only the last is left. Throws Error, Interrupted. */
  void run(Report& report, const std::function<void()>& computed = {});
  /** Puts the outputs in the making onto the disk. Throws Error. */
  void sync();
  /** Removes them, and the journal. */
  void discard() noexcept;

 private:
  struct Output {
    std::string file;                       // "" not a file
    std::unique_ptr<NpyOutput> mapped;      // written in place
    AnyArray array;                         // or written when all is done,
    std::unique_ptr<NpyOutput> written;     // into this
  };
  void run_steps(Report& report);
  void compute_rest(Report& report);
  void commit(const Report& report);
  void restore(Report& report);
  Checkpoint snapshot(const Report& report) const;
  void checkpoint(std::size_t step, std::uint32_t pass, const std::shared_ptr<Storage>& previous, const Report& report,
                  const StepReport& told);
  KeptArray keep(const std::string& name, const AnyArray& array) const;
  AnyArray source(const BoundStep& step, const std::string& name);
  AnyArray fresh_array(std::uint32_t output, const Header& header);
  AnyArray target(const BoundStep& step, std::uint32_t output, const Header& header);
  void run_step(std::size_t index, const BoundStep& step, Report& report, StepReport& told);
  void keep_results(const BoundStep& step, Pass& pass, StepReport& told);
  void forget_temporaries(std::size_t done);

  const Job& job_;
  const KernelTable& table_;
  Executor& executor_;
  Journal* const journal_;
  std::vector<BoundStep> steps_;
  std::map<std::string, AnyArray> arrays_;  // by name: the program's, files opened, temporaries
  std::vector<Output> outputs_;
  std::vector<AnyArray> digested_;          // outputs of the last step, in declared order
  std::uint64_t bytes_ = 0;                 // of all inputs and outputs
  std::uint64_t chunks_ = 0, resumed_ = 0;  // of all passes; those found done

  // Where the journal says that the job goes on.
  std::size_t first_step_ = 0;
  std::uint32_t first_pass_ = 0;
  StepReport told_;
  std::shared_ptr<Storage> previous_;
};

}  // namespace cadre
