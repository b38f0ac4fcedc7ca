#include <cadre/shm/error.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace cadre {

namespace {

/** What the reason alone does not say. */
const char* remedy(int error) {
  if (error == EMFILE) return "; ulimit -n allows no more open files";
  if (error == EAGAIN) return "; most often a limit on processes: ulimit -u, or pids.max of the control group";
  return "";
}

}  // namespace

void throw_errno(const std::string& what, int error, Error::Kind kind) {
  throw Error(what + ": " + std::generic_category().message(error) + " (errno " + std::to_string(error) + ")" + remedy(error), kind);
}

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "cadre: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace cadre
