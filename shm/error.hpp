#pragma once
/* The one exception of Cadre: what we were doing, on what, why it failed, what would be right. */
#include <stdexcept>
#include <string>

namespace cadre {

/** Thrown for set-up, files, memory and bad input; never between fork and _exit, never across a process. */
class Error : public std::runtime_error {
 public:
  /** What the command line makes of it: `usage` is exit 2 (nothing was started), `failed` is exit 1 (the job failed). `damaged`: what an earlier program left
      to go on with is not as it left it; who knows what that was says what to do, and makes it one of the others. */
  enum class Kind { usage, failed, damaged };
  explicit Error(const std::string& message, Kind kind = Kind::usage) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

/** Throws Error "WHAT: REASON (errno N)" for the given errno value. `what` says the deed and the thing: "open prices.npy". */
[[noreturn]] void throw_errno(const std::string& what, int error, Error::Kind kind = Error::Kind::usage);

/** Invariants that must hold in release builds too: on failure prints where and aborts. */
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace cadre

#define CADRE_CHECK(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::cadre::check_failed(#condition, __FILE__, __LINE__))
