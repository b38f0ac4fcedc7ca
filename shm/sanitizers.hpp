#pragma once
/* Which sanitizers this is compiled under, by GCC's names for it or by clang's. */
#if defined(__SANITIZE_ADDRESS__)
#define CADRE_UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define CADRE_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CADRE_UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define CADRE_UNDER_TSAN 1
#endif
#endif
#ifndef CADRE_UNDER_ASAN
#define CADRE_UNDER_ASAN 0
#endif
#ifndef CADRE_UNDER_TSAN
#define CADRE_UNDER_TSAN 0
#endif
