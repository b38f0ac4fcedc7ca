#pragma once
/* A comparison for people and for programs: tables as text, all raw samples as JSON, one line per run as CSV. */
#include <string>

#include <cadre/compare/comparison.hpp>

namespace cadre::compare {

/** Tables, evidence, paragraph. */
std::string to_text(const Comparison& comparison);
/** One object, in one line. `raw`: every run and every worker too. */
std::string to_json(const Comparison& comparison, bool raw = true);
/** A head and one line per run. */
std::string to_csv(const Comparison& comparison);

}  // namespace cadre::compare
