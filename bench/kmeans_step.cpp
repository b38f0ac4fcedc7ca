/* One step of k-means: 10 million points of 4 coordinates, 16 centers. Bound by arithmetic. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/bench/team_kernel.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_reduce.h>
#include <array>

namespace cadre::bench {
namespace {

constexpr std::size_t kCenters = 16, kDimensions = 4;

double coordinate(std::size_t i) { return uniform(i, 1); }
double center(std::size_t i) { return uniform(i, 2); }

struct Step {
  std::array<double, kCenters * kDimensions> sums{};
  std::array<std::int64_t, kCenters> counts{};
  double inertia = 0;

  void add(const Step& other) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
    for (std::size_t c = 0; c < kCenters; ++c) counts[c] += other.counts[c];
    inertia += other.inertia;
  }
};

/** The plain definition, in long double within parts. */
Step reference(std::size_t n) {
  tbb::enumerable_thread_specific<Step> steps;
  each_part(n, 1 << 14, [&](std::size_t first, std::size_t count) {
    std::array<long double, kCenters * kDimensions> sums{};
    long double inertia = 0;
    Step& step = steps.local();
    for (std::size_t p = first; p < first + count; ++p) {
      std::size_t nearest = 0;
      double least = INFINITY;
      for (std::size_t c = 0; c < kCenters; ++c) {
        double distance = 0;
        for (std::size_t d = 0; d < kDimensions; ++d)
          distance += std::pow(coordinate(kDimensions * p + d) - center(kDimensions * c + d), 2);
        if (distance < least) least = distance, nearest = c;
      }
      for (std::size_t d = 0; d < kDimensions; ++d) sums[kDimensions * nearest + d] += coordinate(kDimensions * p + d);
      ++step.counts[nearest];
      inertia += least;
    }
    for (std::size_t i = 0; i < sums.size(); ++i) step.sums[i] += static_cast<double>(sums[i]);
    step.inertia += static_cast<double>(inertia);
  });
  Step total;
  for (const Step& step : steps) total.add(step);
  return total;
}

/** Sums of at most n positive terms: n * 2^-53 relative at worst, and far less where the blocks are summed apart. */
void expect_step(const Step& got, const Step& right, std::size_t n) {
  const double tolerance = static_cast<double>(n) * 0x1p-53;
  for (std::size_t c = 0; c < kCenters; ++c)
    if (got.counts[c] != right.counts[c])
      throw WrongAnswer("center " + std::to_string(c) + " has " + std::to_string(got.counts[c]) + " points, not " +
                        std::to_string(right.counts[c]));
  for (std::size_t i = 0; i < got.sums.size(); ++i)
    expect_close(got.sums[i], right.sums[i], tolerance * right.sums[i], "sum " + std::to_string(i));
  expect_close(got.inertia, right.inertia, tolerance * right.inertia, "the inertia");
}

}  // namespace

Race kmeans_race(const Setting& setting) {
  const std::size_t n = setting.size(10'000'000, 1);
  auto points = huge_array<double>(kDimensions * n);
  fill(points->data(), kDimensions * n, coordinate);
  auto centers = std::make_shared<std::array<double, kCenters * kDimensions>>();
  for (std::size_t i = 0; i < centers->size(); ++i) (*centers)[i] = center(i);
  const Step right = reference(n);

  Race race{.name = "kmeans_step", .rate_unit = "Mpoint/s", .work = 1e-6 * static_cast<double>(n)};
  using Range = tbb::blocked_range<std::size_t>;
  const auto loop = setting.loops().kmeans_4;
  const auto run_range = [=](const Range& r, Step& step) {
    loop(points->data() + kDimensions * r.begin(), r.size(), centers->data(), kCenters, step.sums.data(), step.counts.data(),
         &step.inertia);
  };
  auto answer = std::make_shared<Step>();
  const auto add = [&](const std::string& name, auto body) {
    race.contestants.push_back({name, [=] { return seconds_of([&] { team().execute([&] { *answer = body(); }); }); },
                                [=] {
                                  expect_step(*answer, right, n);
                                  *answer = Step{};
                                }});
  };
  add("oneTBB: thread-specific sums", [=] {
    tbb::enumerable_thread_specific<Step> steps;
    tbb::parallel_for(Range(0, n, 1 << 14), [&](const Range& r) { run_range(r, steps.local()); });
    Step total;
    for (const Step& step : steps) total.add(step);
    return total;
  });
  add("oneTBB: parallel_deterministic_reduce", [=] {
    return tbb::parallel_deterministic_reduce(
        Range(0, n, 1 << 15), Step{},
        [&](const Range& r, Step step) {
          run_range(r, step);
          return step;
        },
        [](Step a, const Step& b) {
          a.add(b);
          return a;
        });
  });

  // The kernel's outputs are means in place of sums.
  auto means = std::make_shared<std::array<double, kCenters * kDimensions>>();
  auto counts = std::make_shared<std::array<std::int64_t, kCenters>>();
  const auto step_of = [](const double* new_centers, const std::int64_t* count, double inertia) {
    Step step;
    for (std::size_t i = 0; i < step.sums.size(); ++i) step.sums[i] = new_centers[i] * static_cast<double>(count[i / kDimensions]);
    std::copy(count, count + kCenters, step.counts.begin());
    step.inertia = inertia;
    return step;
  };
  constexpr std::int64_t kRows = kDimensions, kRowsOfCenters = kCenters;
  const std::vector<TeamKernel::Input> inputs{{points->data(), kFloat64, {static_cast<std::int64_t>(n), kRows}},
                                              {centers->data(), kFloat64, {kRowsOfCenters, kRows}}};
  auto kernel = std::make_shared<TeamKernel>("kmeans_step", setting.level, inputs, std::vector<void*>{means->data(), counts->data()});
  add("oneTBB: Cadre's kernel", [=] {
    (void)centers;
    const double inertia = kernel->run(1 << 15).at(0);
    return step_of(means->data(), counts->data(), inertia);
  });
  race.figures.push_back(
      {.what = "kmeans_step 10 M x 4, k = 16, processes / best oneTBB", .wanted = 0.98, .ours = "processes", .peers = peers_of(race)});

  auto shared = setting.processes->array<double>(Shape{static_cast<std::int64_t>(n), kRows});
  auto shared_centers = setting.processes->array<double>(Shape{kRowsOfCenters, kRows}),
       new_centers = setting.processes->array<double>(Shape{kRowsOfCenters, kRows});
  auto new_counts = setting.processes->array<std::int64_t>(kCenters);
  fill(shared.data(), kDimensions * n, coordinate);
  std::copy(centers->begin(), centers->end(), shared_centers.data());
  add_engines(race, setting,
              job_of("kmeans_step", {{"X", shared}, {"centers", shared_centers}}, {{"centers", new_centers}, {"count", new_counts}}),
              [=](const Report& report) {
                expect_step(step_of(new_centers.data(), new_counts.data(), number_of(report, "inertia")), right, n);
                new_counts[0] = -1;
              });
  return race;
}

}  // namespace cadre::bench
