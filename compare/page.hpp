#pragma once
/* A comparison as one HTML page that needs nothing else: plots, tables, the raw samples, and the library that draws them (Chart.js) within it. */
#include <string>

#include <cadre/compare/comparison.hpp>

namespace cadre::compare {

std::string to_page(const Comparison& comparison);

}  // namespace cadre::compare
