#ifndef CADRE_KERNELS_PLUGIN_CPU_LEVEL_H
#define CADRE_KERNELS_PLUGIN_CPU_LEVEL_H
/* Whether this CPU, and the system on it, have what a level of x86-64 asks for. GCC knows the levels by name, clang before 17 only their parts. */
#ifdef __clang__
#define CADRE_CPU_HAS_V2 (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))
#define CADRE_CPU_HAS_V3 (CADRE_CPU_HAS_V2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
#define CADRE_CPU_HAS_V4 \
  (CADRE_CPU_HAS_V3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
#else
#define CADRE_CPU_HAS_V2 __builtin_cpu_supports("x86-64-v2")
#define CADRE_CPU_HAS_V3 __builtin_cpu_supports("x86-64-v3")
#define CADRE_CPU_HAS_V4 __builtin_cpu_supports("x86-64-v4")
#endif
#endif
