#pragma once
/* How much memory there is to be had, so that what does not fit is refused before it is touched. */
#include <cstdint>
#include <string>

namespace cadre {

struct MemoryLimit {
  std::uint64_t bytes = 0;   // what may still be used
  std::string what;          // which limit says so: "MemAvailable", "cgroup memory.max", "RLIMIT_AS"
};
/** The tightest of MemAvailable, the memory.max of this process's cgroup and its parents (v2; v1 too), less what they use.
    Page cache counts as available. `root` stands before /proc and /sys (for tests). */
MemoryLimit available_memory(const std::string& root = "");
/** Throws Error "WHAT needs 12.0 GiB, but 8.1 GiB are available (cgroup memory.max): ..." when `bytes` do not fit beside `spoken_for`,
    which others were promised but have not touched yet. */
void require_memory(std::uint64_t bytes, const std::string& what, std::uint64_t spoken_for = 0);
/** Throws Error when `bytes` more do not fit on the file system that the open file `fd` is on, before any of it is filled. `what` as above. */
void require_file_space(int fd, std::uint64_t bytes, const std::string& what);
/** "12.0 GiB" */
std::string human_bytes(std::uint64_t bytes);

}  // namespace cadre
