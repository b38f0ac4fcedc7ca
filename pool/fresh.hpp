#pragma once
/* Supervisors and workers that are not forked from what started them, but fresh copies of the program (program.hpp). They make the pool's task themselves. */
#include <sys/types.h>

#include <cadre/pool/supervisor.hpp>

namespace cadre {

/** A standby that runs supervise() in a copy of the program. Its pid. Throws Error. Caller only. */
pid_t exec_supervisor(const SupervisorPlan& plan);
/** A worker of that slot in a copy of the program, which ends with this process. Its pid, or -1 with errno set. Zygote only. */
pid_t exec_worker(const SupervisorPlan& plan, int slot) noexcept;

}  // namespace cadre
