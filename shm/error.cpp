#include <cadre/shm/error.hpp>

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace cadre {

void throw_errno(const std::string& what, int error, Error::Kind kind) {
  throw Error(what + ": " + std::generic_category().message(error) + " (errno " + std::to_string(error) + ")", kind);
}

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "cadre: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace cadre
