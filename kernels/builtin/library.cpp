#include <cadre/kernels/builtin/kernel_list.hpp>

namespace {

#define CADRE_ADDRESS(name) &cadre::builtin::name##_kernel,
const cadre_kernel* const kKernels[] = {CADRE_BUILTIN_KERNELS(CADRE_ADDRESS)};
#undef CADRE_ADDRESS

const cadre_library kLibrary = {CADRE_KERNEL_ABI, sizeof(cadre_library), sizeof kKernels / sizeof *kKernels, 0, kKernels};

}  // namespace

/* The only global symbol of a level: cadre_builtin_v2, _v3 or _v4. */
extern "C" __attribute__((visibility("default"))) const cadre_library* CADRE_BUILTIN_ENTRY() { return &kLibrary; }
