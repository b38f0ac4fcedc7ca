#include "abi_layout.h"
#include "previous/kernel.h"
#define LAYOUT layout_previous
#include "abi_layout.inc"
const size_t kernel_size_previous = sizeof(cadre_kernel);
