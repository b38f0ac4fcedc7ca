#pragma once
/* The .npy format, versions 1 to 3: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
   Parsing is bounded in time and memory whatever the bytes say. */
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <cadre/shm/array.hpp>

namespace cadre {

struct NpyHeader {
  DType type = DType::f64;
  Shape shape;
  bool fortran_order = false;  // only told where it matters: two or more dimensions longer than 1
  std::size_t data_offset = 0; // bytes before the data
};

/** Reads the header in `bytes`, the beginning of a file (64 KiB are enough for any header accepted).
    Throws Error that begins with `name` and says what is wrong and what would be right. */
NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name);

/** A version 1.0 header (64-byte aligned data) for a C-order array. */
std::string make_npy_header(DType type, const Shape& shape);

}  // namespace cadre
