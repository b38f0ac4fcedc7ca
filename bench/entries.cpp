#include <cadre/bench/races.hpp>

namespace cadre::bench {

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{
      {"sum", sum_race},
      {"axpy", axpy_race},
      {"black_scholes", black_scholes_race},
      {"histogram_256", [](const Setting& s) { return histogram_race(s, 256); }},
      {"histogram_65536", [](const Setting& s) { return histogram_race(s, 65'536); }},
      {"histogram_16M", [](const Setting& s) { return histogram_race(s, 1 << 24); }},
      {"kmeans_step", kmeans_race},
      {"matmul", matmul_race},
      {"take", take_race},
  };
  return all;
}

}  // namespace cadre::bench
