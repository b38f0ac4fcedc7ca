#include <cadre/talk/ring.hpp>

namespace cadre::detail {

thread_local bool Bell::has_woken = false;

void Bell::wake(int count) noexcept {
  rings.fetch_add(1);
  if (futex_wake(rings, count) > 0) has_woken = true;
}

}  // namespace cadre::detail
