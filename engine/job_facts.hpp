#pragma once
/* What must be the same when a journal's job is taken up again, as texts that say what differs. */
#include <vector>

#include <cadre/engine/checkpoint.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/kernel_table.hpp>

namespace cadre {

/** Kernels, names, files by their paths, parameters, the chunk's size. */
std::vector<Fact> job_facts(const Job& job, const KernelTable& table);
/** Size, type, shape and time of the last change of every file that is read and that no step makes. Throws Error when one can not be read. */
std::vector<Fact> input_facts(const Job& job, const KernelTable& table);

}  // namespace cadre
