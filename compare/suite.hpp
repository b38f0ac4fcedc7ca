#pragma once
/* The standard set of `cadre compare --suite`: jobs of different kind, some of which threads win and some processes. */
#include <functional>
#include <string>
#include <vector>

#include <cadre/compare/comparison.hpp>

namespace cadre::compare {

struct SuiteEntry {
  std::string name;   // "many bins"
  std::string what;   // one line
  Comparison comparison;
};

struct SuitePlan {
  Options options;
  std::vector<int> workers;   // as in ComparisonPlan
  double max_time = 150;      // seconds for all of it
  std::uint64_t most_rows = std::uint64_t{1} << 40;  // of any entry
  std::string plugin;         // suite_kernels_text(), compiled
  std::function<void(const std::string&)> progress;
};

/** C++ source of the kernels that the suite needs besides the built-in ones. */
std::string suite_kernels_text();

/** Runs all of it, in order. Data are made in a folder of their own under $TMPDIR, which is removed. Throws Error. */
std::vector<SuiteEntry> run_suite(const SuitePlan& plan);

/** A table of all entries, then each one's verdict. */
std::string to_text(const std::vector<SuiteEntry>& suite);
/** {"suite": [{"name", "what", "comparison"}]} */
std::string to_json(const std::vector<SuiteEntry>& suite, bool raw = true);

}  // namespace cadre::compare
