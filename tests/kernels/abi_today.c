#include "abi_layout.h"
#include <cadre/kernels/kernel.h>
#define LAYOUT layout_today
#include "abi_layout.inc"
