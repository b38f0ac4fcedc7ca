#pragma once
/* What the figures mean, in words: which backend is better, by how much, and why. Every reason is a figure of the tables and what it amounts to in time; what the reasons do not add up to
   is said too. */
#include <string>

namespace cadre::compare {

struct Comparison;
struct Point;
struct ContestantResult;

/** Sets Comparison::error where results differ or a backend failed. */
void judge_results(Comparison& comparison);
/** Adds warnings: other load, stolen time, drift, intervals that stayed wide, runs too short to tell. */
void note_noise(Comparison& comparison);
/** The paragraph. */
std::string explain(const Comparison& comparison);

/** "12.3 ms", "1.50 s", "840 us". */
std::string time_text(double seconds);
/** Three significant digits. */
std::string three_digits(double v);
/** "processes", or "processes (2nd)" where an entry stands there twice. */
std::string name_of(const Point& point, const ContestantResult& contestant);

}  // namespace cadre::compare
