#include <cadre/talk/ring.hpp>

namespace cadre::detail {

void Bell::wake(int count) noexcept {
  rings.fetch_add(1);
  futex_wake(rings, count);
}

}  // namespace cadre::detail
