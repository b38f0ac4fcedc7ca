#pragma once
/* Tiny jobs for the crash test: each way of combining, in integers and in doubles. Two jobs on the same slots, words, segments and partials, so that
   the epoch changes. What must come out is computed here by plain loops in chunk order, without the engine. */
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "stage.hpp"

namespace cadre::crash {

struct Scenario {
  std::string name;
  std::function<void(Stage&)> set;   // puts the jobs on an empty stage

  friend std::ostream& operator<<(std::ostream& out, const Scenario& s) { return out << s.name; }
};

const std::vector<Scenario>& scenarios();
const Scenario& scenario(const std::string& name);

}  // namespace cadre::crash
