#pragma once
/* The jobs that are disturbed: every way of combining, integers and doubles, one step and several, with chunks that take long to apply. */
#include <functional>
#include <string>
#include <vector>

#include <cadre/engine/executor.hpp>
#include <cadre/engine/kernel_table.hpp>

namespace cadre::chaos {

struct ChaosJob {
  std::string name;
  std::function<std::string(Executor&)> run;   // the result, as a digest
};

/** The jobs over arrays that are made now, in shared memory. `table` outlives them. */
std::vector<ChaosJob> make_jobs(const KernelTable& table);

}  // namespace cadre::chaos
