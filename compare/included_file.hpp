#pragma once
/* A file that becomes part of the program, so that an install needs nothing beside it:

     CADRE_INCLUDE_FILE(page_template, CADRE_PAGE_TEMPLATE);   // at namespace scope, outside of any namespace; a path in quotes
     std::string_view text = cadre::compare::included_page_template(); */
#include <cstddef>
#include <string_view>

#define CADRE_INCLUDE_FILE(NAME, PATH)                                                                                                     \
  asm(".section .rodata\n.global cadre_" #NAME "\ncadre_" #NAME ":\n.incbin \"" PATH "\"\n.global cadre_" #NAME "_end\ncadre_" #NAME "_end:\n.byte 0\n.previous\n"); \
  extern "C" const char cadre_##NAME[], cadre_##NAME##_end[];                                                                              \
  namespace cadre::compare {                                                                                                               \
  static inline std::string_view included_##NAME() { return {cadre_##NAME, static_cast<std::size_t>(cadre_##NAME##_end - cadre_##NAME)}; } \
  }                                                                                                                                        \
  static_assert(true)
