#pragma once
/* What the program says. Results go to stdout in one piece, everything else to stderr. */
#include <cstdint>
#include <string>
#include <string_view>

namespace cadre::cli {

/** stdout could not take what was written to it. `error` is the errno value: EPIPE means that the reader has left. */
struct WriteFailed {
  int error;
};

/** Writes all of `text` to stdout. Throws WriteFailed. */
void write_out(std::string_view text);

/** "cadre: MESSAGE" on stderr, control characters in it made harmless. */
void complain(const std::string& message);

/** {"error": MESSAGE}, in one line. */
std::string error_json(const std::string& message);

/** The shortest text that reads back as the same double; "nan", "inf". */
std::string shortest(double value);

/** "100,000,000" */
std::string grouped(std::uint64_t n);

}  // namespace cadre::cli
