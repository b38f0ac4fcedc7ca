#pragma once
/* One log of all processes, on spdlog:

     cadre::log_to_stderr(spdlog::level::info);
     cadre::get_logger().warn("{} of {} rows are empty", n, rows);      [WARNING/Process-3:4711] 12 of 90 rows are empty

   Each line carries the name and pid of the process that says it, is written by one call under a lock that all processes share, so lines of many
   never run into one another, and is not buffered: what a process said just before it was killed is there. A process that
   is killed while it writes leaves its line cut short and the lock free. Usable in the first process and in all that it starts, whatever the method: they log at the level
   that their parent had when they were started. */
#include <spdlog/logger.h>

namespace cadre {

/** The program's logger. Silent until log_to_stderr, below whose level nothing is said. Any process, any thread. */
spdlog::logger& get_logger();
/** Has everything of that level and above written to stderr, in this process and those that it starts from now on; Cadre tells at `info` when
    processes begin and end. Throws Error when shared memory can not be had. */
spdlog::logger& log_to_stderr(spdlog::level::level_enum level = spdlog::level::info);

}  // namespace cadre
