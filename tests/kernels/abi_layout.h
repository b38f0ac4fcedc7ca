#ifndef CADRE_TESTS_ABI_LAYOUT_H
#define CADRE_TESTS_ABI_LAYOUT_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
struct layout {
  const char* what;
  size_t bytes;
};
extern const struct layout layout_previous[], layout_today[];
extern const size_t kernel_size_previous;
#ifdef __cplusplus
}
#endif
#endif
