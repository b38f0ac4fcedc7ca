#pragma once
/* The built-in kernels, one line per source file. A file defines `const cadre_kernel NAME_kernel` for each of its names. */
#include <cadre/kernels/kernel.h>

#define CADRE_BUILTIN_KERNELS(X)                  \
  X(add) X(multiply) X(divide) X(axpy)            /* arithmetic.cpp */

namespace cadre::builtin {
#define CADRE_DECLARE(name) extern const cadre_kernel name##_kernel;
CADRE_BUILTIN_KERNELS(CADRE_DECLARE)
#undef CADRE_DECLARE
}  // namespace cadre::builtin
