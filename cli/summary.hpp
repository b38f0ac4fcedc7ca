#pragma once
/* A report for people. */
#include <string>

#include <cadre/engine/report.hpp>

namespace cadre::cli {

/** All of the report, aligned; what failed is left to the message on stderr. */
std::string summary(const Report& report);

/** The small results of the last step alone: "name value" on a line each. */
std::string bare_results(const Report& report);

}  // namespace cadre::cli
