#include <cadre/compare/statistics.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace cadre::compare {

double Interval::relative_width() const { return value > 0 ? (high - low) / value : std::numeric_limits<double>::infinity(); }

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= values.size()) return values.back();
  return values[below] + (at - static_cast<double>(below)) * (values[below + 1] - values[below]);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

double student_t(std::size_t degrees) {
  // Exact to the digits given (National Institute of Standards and Technology, Engineering Statistics Handbook, 1.3.6.7.2).
  static constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
                                      2.120,  2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees == 0) return std::numeric_limits<double>::infinity();
  if (degrees <= std::size(kTable)) return kTable[degrees - 1];
  // Cornish-Fisher from the normal quantile (Abramowitz and Stegun, 26.7.5), good to four digits from 30 on.
  const double z = 1.959963985, n = static_cast<double>(degrees);
  return z + (z * z * z + z) / (4 * n) + (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * n * n);
}

Interval interval_of_logs(const std::vector<std::vector<double>>& blocks) {
  std::vector<double> medians;
  for (const auto& block : blocks)
    if (!block.empty()) medians.push_back(median(block));
  if (medians.empty()) return {};
  double mean = 0;
  for (const double m : medians) mean += m / static_cast<double>(medians.size());
  if (medians.size() == 1) return {0, std::exp(mean), std::numeric_limits<double>::infinity()};
  double squares = 0;
  for (const double m : medians) squares += (m - mean) * (m - mean);
  const double n = static_cast<double>(medians.size());
  const double half = student_t(medians.size() - 1) * std::sqrt(squares / (n - 1) / n);
  return {std::exp(mean - half), std::exp(mean), std::exp(mean + half)};
}

Interval ratio_of(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  std::vector<std::vector<double>> logs;
  for (std::size_t block = 0; block < std::min(a.size(), b.size()); ++block) {
    logs.emplace_back();
    for (std::size_t i = 0; i < std::min(a[block].size(), b[block].size()); ++i)
      if (a[block][i] > 0 && b[block][i] > 0) logs.back().push_back(std::log(a[block][i] / b[block][i]));
  }
  return interval_of_logs(logs);
}

Interval level_of(const std::vector<std::vector<double>>& a) {
  std::vector<std::vector<double>> logs;
  for (const auto& block : a) {
    logs.emplace_back();
    for (const double x : block)
      if (x > 0) logs.back().push_back(std::log(x));
  }
  return interval_of_logs(logs);
}

}  // namespace cadre::compare
