#include <cadre/bench/races.hpp>

namespace cadre::bench {
namespace {

using Kind = Figure::Kind;

/** `workers` 0: the setting's. */
Entry dispatch(const std::string& name, std::uint64_t tasks, double microseconds, const Figure& figure, int workers = 0) {
  return {name, [=](const Setting& s) {
            return dispatch_race(
                s,
                {.name = name, .workers = workers ? workers : s.workers, .tasks = tasks, .microseconds = microseconds, .figure = figure});
          }};
}

}  // namespace

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
      {"mandelbrot", mandelbrot_race},
      {"plugin", plugin_race},
      {"fft_rows", fft_rows_race},
      {"sort", sort_race},
      {"two_point_counts", two_point_counts_race},
      {"two_point_counts_cells", two_point_counts_cells_race},
      {"cumsum", cumsum_race},
      {"stencil2d", stencil2d_race},
      {"quantiles", quantiles_race},
      {"topk", topk_race},
      {"argmin", argmin_race},
      {"subtract", subtract_race},
      {"scale", scale_race},
      {"abs", abs_race},
      {"polynomial", polynomial_race},
      {"monte_carlo_option", monte_carlo_option_race},
      {"kmeans", kmeans_to_the_end_race},
      {"pca", pca_race},
      {"linear_regression", linear_regression_race},
      {"pairwise_distances", pairwise_distances_race},
      {"spmv", spmv_race},
      {"allocate", [](const Setting& s) { return allocation_race(s, AllocationPart::first_touch); }},
      {"next_process", [](const Setting& s) { return allocation_race(s, AllocationPart::next_process); }},
      {"huge_pages", [](const Setting& s) { return allocation_race(s, AllocationPart::small_pages); }},
      dispatch("dispatch_2_empty", 2, 0, {.what = "dispatch, 2 empty chunks", .kind = Kind::amount, .wanted = 1}),
      dispatch("dispatch_2x10us", 2, 10, {.what = "dispatch, 2 x 10 us", .kind = Kind::amount, .wanted = 18}),
      dispatch("dispatch_1000x1us", 1000, 1, {.what = "dispatch, 1,000 x 1 us, time against oneTBB", .kind = Kind::cost, .wanted = 1}),
      dispatch("dispatch_crowd", 2, 0, {.what = "dispatch, 8 workers, 2 empty chunks", .kind = Kind::amount, .wanted = 10}, kCrowd),
      dispatch("dispatch_2x50us", 2, 50, {}),
      {"dispatch_idle_2x50us",
       [](const Setting& s) {
         return dispatch_race(s, {.name = "dispatch_idle_2x50us", .workers = s.workers, .tasks = 2, .microseconds = 50, .idle = true});
       }},
      {"start_2", [](const Setting& s) { return start_race(s, 2); }},
      {"start_32", [](const Setting& s) { return start_race(s, 32); }},
      {"worker_memory", worker_memory_race},
      {"observed", observed_race},
  };
  return all;
}

}  // namespace cadre::bench
