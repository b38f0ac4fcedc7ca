#pragma once
/* The races: one file for each, with its problem, the right answer, and everybody who runs in it. */
#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <cadre/bench/harness.hpp>
#include <cadre/bench/loops.hpp>

namespace cadre {
class Engine;
}

namespace cadre::bench {

class SpendingPool;

/** What all races of a run have in common. */
struct Setting {
  double scale = 1;  // 1: the sizes of the table; less for a quick look
  int workers = 2;
  int level = 4;                // of the loops, as the engine picks for its kernels
  Engine* processes = nullptr;  // of `workers`, as the others but where said
  Engine* threads = nullptr;
  Engine* crowd = nullptr;  // of kCrowd processes
  SpendingPool* pool = nullptr;
  SpendingPool* crowded_pool = nullptr;  // of kCrowd

  /** n scaled, a multiple of `multiple` and not 0. */
  std::size_t size(std::size_t n, std::size_t multiple = 1024) const {
    return std::max(static_cast<std::size_t>(static_cast<double>(n) * scale) / multiple, std::size_t{1}) * multiple;
  }
  const Loops& loops() const { return bench::loops(level); }
};

constexpr int kCrowd = 8;  // workers for whom there are too few CPUs

/** A race by its name; made when its turn has come, since its arrays fill much of the memory, and gone before the next. */
struct Entry {
  std::string name;
  std::function<Race(const Setting&)> make;
};
const std::vector<Entry>& entries();

Race sum_race(const Setting&);
Race axpy_race(const Setting&);
Race take_race(const Setting&);
Race black_scholes_race(const Setting&);
Race histogram_race(const Setting&, std::uint32_t bins);
Race kmeans_race(const Setting&);
Race matmul_race(const Setting&);
Race mandelbrot_race(const Setting&);
Race plugin_race(const Setting&);
Race fft_rows_race(const Setting&);
Race sort_race(const Setting&);
Race two_point_counts_race(const Setting&);
Race two_point_counts_cells_race(const Setting&);
Race cumsum_race(const Setting&);
Race stencil2d_race(const Setting&);
Race quantiles_race(const Setting&);
Race topk_race(const Setting&);
Race argmin_race(const Setting&);
Race subtract_race(const Setting&);
Race scale_race(const Setting&);
Race abs_race(const Setting&);
Race polynomial_race(const Setting&);
Race monte_carlo_option_race(const Setting&);
Race kmeans_to_the_end_race(const Setting&);
Race pca_race(const Setting&);
Race linear_regression_race(const Setting&);
Race pairwise_distances_race(const Setting&);
Race spmv_race(const Setting&);

enum class AllocationPart { first_touch, next_process, small_pages };
Race allocation_race(const Setting&, AllocationPart);

/** `tasks` of so many microseconds each, given out and waited for. `idle`: every call after 2 ms of nothing. */
struct DispatchProblem {
  std::string name;
  int workers;
  std::uint64_t tasks;
  double microseconds;
  bool idle = false;
  Figure figure = {};  // without `what`: none
};
Race dispatch_race(const Setting&, const DispatchProblem&);

Race start_race(const Setting&, int workers);
Race worker_memory_race(const Setting&);
Race observed_race(const Setting&);

}  // namespace cadre::bench
