/* What `cadre build` links a plug-in of several CPU levels with: the one function that it exports. The code of each level was made into one object,
   whose own cadre_plugin is called cadre_plugin_vN here and whose initialisers lie in a section of their own, so that only those of the level in use are
   run: the others may not even decode on this CPU. */
#include <cadre/kernels/kernel.h>
#include <cadre/kernels/plugin/cpu_level.h>

extern char** environ;

typedef void (*initialiser)(int, char**, char**);

#define LEVEL(level)                                                                                                    \
  extern const cadre_library* cadre_plugin_##level(void);                                                               \
  extern initialiser __start_cadre_init_##level[] __attribute__((weak, visibility("hidden")));                          \
  extern initialiser __stop_cadre_init_##level[] __attribute__((weak, visibility("hidden")));                           \
  static const cadre_library* begin_##level(void) {                                                                     \
    for (initialiser* i = __start_cadre_init_##level; i < __stop_cadre_init_##level; ++i) (*i)(0, (char**)0, environ); \
    return cadre_plugin_##level();                                                                                      \
  }
LEVEL(v2)
LEVEL(v3)
LEVEL(v4)

static const cadre_library* chosen;

/* While the library is loaded, as initialisers are elsewhere: once, whoever calls. */
__attribute__((constructor)) static void choose(void) {
  __builtin_cpu_init();
  chosen = CADRE_CPU_HAS_V4 ? begin_v4() : CADRE_CPU_HAS_V3 ? begin_v3() : begin_v2();
}

CADRE_EXPORT const cadre_library* cadre_plugin(void) { return chosen; }
