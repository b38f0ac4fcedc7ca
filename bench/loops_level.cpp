#include <cadre/bench/loops.hpp>

namespace cadre::bench {

extern const Loops loops_v2, loops_v3, loops_v4;

const Loops& loops(int level) { return level >= 4 ? loops_v4 : level == 3 ? loops_v3 : loops_v2; }

}  // namespace cadre::bench
