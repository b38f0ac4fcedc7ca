#ifndef CADRE_KERNELS_PLUGIN_SUPPORT_H
#define CADRE_KERNELS_PLUGIN_SUPPORT_H
/* What plugin.hpp has compiled once, in libcadre_plugin, instead of in every plug-in. */
#include <cadre/kernels/kernel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* n elements of type `from` as doubles; as int64 (integers only). */
void cadre_to_double(cadre_dtype from, const void* data, uint64_t n, double* to);
void cadre_to_int64(cadre_dtype from, const void* data, uint64_t n, int64_t* to);

/* Copies past the caches (CADRE_STREAM). Both pointers are aligned to 4 bytes at least, bytes is a multiple of 4. */
void cadre_stream(void* to, const void* from, uint64_t bytes);
/* After the last of them, before run() returns. */
void cadre_stream_end(void);

/* Block `block` of the random stream of element `element`: four independent uniform words (Philox4x32-10, Random123). */
void cadre_random_block(uint64_t seed, uint64_t element, uint64_t block, uint32_t words[4]);

#ifdef __cplusplus
}
#endif
#endif
