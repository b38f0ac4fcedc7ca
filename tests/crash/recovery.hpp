#pragma once
/* What comes after a death: new processes in the slots finish what the memory says, then the rest of the jobs. */
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stage.hpp"
#include "stepping.hpp"

namespace cadre::crash {

/** Slots in the order in which they get a process; each but the first when those before it have nothing more to do, or wait. */
using Order = std::vector<std::uint32_t>;

struct Recoveries {
  std::uint64_t states = 0, recoveries = 0;
  std::string fault;          // "": every one of them came to the right end. Otherwise the first that did not, and how it came about
};

/** Recovers every state of the path (of those that `wanted` names) in each order, in a child with a memory of its own. Ends with the first that goes wrong. */
Recoveries recover(Stage& stage, const Path& path, const std::vector<Order>& orders, const std::function<bool(const State&)>& wanted = {});

}  // namespace cadre::crash
