#pragma once
/* Medians and ratios of runs, and how far they can be believed.

   Runs are nested: a block is a fresh set of processes, a round is one run of every contestant within it. Rounds of a block share where the system happened
   to put their memory, so that many rounds of one block agree with each other more than with the next block. The interval of a ratio is therefore made
   from blocks: each gives the median of the log ratios of its rounds, and the interval is Student's for the mean of these medians,

     exp(m +- t(0.975, B - 1) s / sqrt(B)),

   as T. Kalibera and R. Jones give it for the topmost level of a nested experiment (Rigorous Benchmarking in Reasonable Time, ISMM 2013, section 6.3, their
   means replaced by medians, which an interruption of one run does not move). A ratio is taken within a round, where both runs met the same machine. */
#include <cstddef>
#include <vector>

namespace cadre::compare {

struct Interval {
  double low = 0, value = 0, high = 0;
  /** (high - low) / value; infinite where there are too few blocks to say. */
  double relative_width() const;
  bool holds(double x) const { return low <= x && x <= high; }
};

double quantile(std::vector<double> values, double q);
double median(std::vector<double> values);

/** Student's t at 0.975 for `degrees` of freedom, 1 and up. */
double student_t(std::size_t degrees);

/** Of a value by blocks: `blocks` holds the logarithms of what was measured, by block. One block: infinite. Empty: zeros. */
Interval interval_of_logs(const std::vector<std::vector<double>>& blocks);

/** Of a / b, paired within blocks. */
Interval ratio_of(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b);
/** Of a by itself. */
Interval level_of(const std::vector<std::vector<double>>& a);

}  // namespace cadre::compare
