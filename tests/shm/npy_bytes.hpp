#pragma once
/* .npy headers of any wording, for tests of the parser. */
#include <cstddef>
#include <span>
#include <string>

namespace cadre::testing {

/** Preamble of the given version and `text` as the header, padded with spaces to 64 bytes and a newline as NumPy does. */
inline std::string npy_bytes(std::string text, int version = 1) {
  const std::size_t preamble = version == 1 ? 10 : 12;
  text.append((64 - (preamble + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string bytes("\x93NUMPY");
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return bytes + text;
}
/** The usual header with these words in it. */
inline std::string npy_with(const std::string& descr, const std::string& shape, const std::string& fortran = "False", int version = 1) {
  return npy_bytes("{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }", version);
}

inline std::span<const std::byte> as_span(const std::string& bytes) { return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}; }

}  // namespace cadre::testing
