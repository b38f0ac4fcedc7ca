#pragma once
/* What can be asked of plain data: the verbs of Python's dict, list and numbers, applied at a path. The path ["a", 2, "b"] of an object is what object["a"][2]["b"] means in Python: a place, looked up
   anew for each call, not a copy. docs/manager.md has the table of verbs.

   Each call is done whole or throws with nothing changed; with an Undo, it can be taken back. */
#include <functional>
#include <string_view>
#include <vector>

#include <cadre/manager/data.hpp>

namespace cadre::detail {

/** How to take back what a transaction has done so far. */
class Undo {
 public:
  /** `root` is a place that stays where it is until then. */
  void add(Data& root, std::function<void(Data& root)> take_back) { steps_.push_back({&root, std::move(take_back)}); }
  void roll_back() {
    for (; !steps_.empty(); steps_.pop_back()) steps_.back().second(*steps_.back().first);
  }

 private:
  std::vector<std::pair<Data*, std::function<void(Data&)>>> steps_;
};

/** Throws Error, whose text begins with the name of Python's exception: KeyError, IndexError, ValueError, TypeError, AttributeError. */
Data apply(Data& root, const Data::List& path, std::string_view verb, Data::List& args, Undo* undo);

/** ["a"][2] */
std::string text_of_path(const Data::List& path);

}  // namespace cadre::detail
