#pragma once
/* A comparison as one HTML page that needs nothing else: plots, tables, the raw samples, and the library that draws them (Chart.js) within it. */
#include <string>
#include <vector>

#include <cadre/compare/comparison.hpp>
#include <cadre/compare/suite.hpp>

namespace cadre::compare {

std::string to_page(const Comparison& comparison);
/** One of them at a time, and an overview. */
std::string to_page(const std::vector<SuiteEntry>& suite);

}  // namespace cadre::compare
