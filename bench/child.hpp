#pragma once
/* Measurements that need a fresh, small program: the bench runs itself again with "--child NAME ARGUMENTS" and reads the numbers that it prints. */
#include <functional>
#include <string>
#include <vector>

namespace cadre::bench {

/** A measurement: its arguments -> numbers. Throws WrongAnswer or Error. */
using Child = std::function<std::vector<double>(const std::vector<std::string>& arguments)>;

/** Known by name to child_main() in the program that is run again. */
struct ChildEntry {
  ChildEntry(const std::string& name, Child child);
};

/** In main, before anything else: when the arguments ask for a child, runs it and returns its exit status; otherwise -1. */
int child_main(int argc, char** argv);

/** Runs the child in a process of its own and returns its numbers. Throws WrongAnswer with what it said when it fails. */
std::vector<double> run_child(const std::vector<std::string>& name_and_arguments);

}  // namespace cadre::bench
