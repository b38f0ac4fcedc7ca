#pragma once
/* The test program's operator new counts, so that tests can bound what a parser allocates. */
#include <cstddef>

namespace cadre::testing {

/** Bytes that this thread has asked operator new for since it began. */
std::size_t allocated_bytes() noexcept;

}  // namespace cadre::testing
