#pragma once
/* The bytes of a value alone: what lies between its members is whatever was there before, and may look like a pointer. */
#include <cstring>
#include <type_traits>

namespace cadre {

/** Copies a trivially copyable value to `to`, of sizeof(T) bytes, with zeros for padding (as it is where the compiler has no builtin for it). */
template <class T>
void copy_without_padding(void* to, const T& value) {
  T copy(value);
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&copy);
#endif
#endif
  std::memcpy(to, static_cast<const void*>(&copy), sizeof(T));
}

}  // namespace cadre
