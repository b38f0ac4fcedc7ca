/* Named kernels give the same digest, the same bytes and the same numbers on every backend, with any number of workers. */
#include <algorithm>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include <cadre/engine/engine.hpp>
#include <cadre/kernels/registry.hpp>

#include "../support/temp_dir.hpp"
#include "arrays.hpp"
#include "backends.hpp"

namespace cadre {
namespace {

using namespace testing;

constexpr std::int64_t kRows = -1;  // in a shape: the case's number of rows
constexpr std::int64_t kMany = 300'007;

struct In {
  const char* name;
  double lo, hi;
  Shape shape{kRows};
  std::optional<DType> type = {};  // none: the case's
};

struct KernelCase {
  const char* kernel;
  std::vector<DType> types;
  std::vector<In> in;
  std::vector<const char*> out;
  std::vector<std::pair<std::string, Param>> params;
  std::vector<std::int64_t> rows = {0, 1, 7, 1000, kMany};
};

using enum DType;
const std::vector<std::int64_t> kNotEmpty = {1, 7, 1000, kMany};

const std::vector<KernelCase> kCases = {
    {"sum", {f64, f32, i8, i64, u16}, {{"x", -100, 100}}, {}, {}},
    {"min", {f64, i16}, {{"x", -100, 100}}, {}, {}, kNotEmpty},
    {"max", {f32, u64}, {{"x", 1, 100}}, {}, {}, kNotEmpty},
    {"moments", {f64, i32}, {{"x", -100, 100}}, {}, {}},
    {"dot", {f64, f32, i16}, {{"x", -10, 10}, {"y", -10, 10}}, {}, {}},
    {"norm", {f64, u8}, {{"x", 0, 10}}, {}, {}},
    {"covariance", {f64, f32, i8}, {{"X", -10, 10, {kRows, 3}}}, {"covariance"}, {}},
    {"covariance", {f64}, {{"X", -10, 10, {kRows, 37}}}, {"covariance"}, {{"ddof", std::int64_t{0}}}, {1, 1000, 20'011}},
    {"add", {f64, u8}, {{"x", 0, 100}, {"y", 0, 100}}, {"out"}, {}},
    {"multiply", {f32, i64}, {{"x", 0, 100}, {"y", 0, 100}}, {"out"}, {}},
    {"divide", {f64, i32}, {{"x", 0, 100}, {"y", 1, 100}}, {"out"}, {}},
    {"axpy", {f64, f32, i16}, {{"x", 0, 100}, {"y", 0, 100}}, {"out"}, {{"a", 2.5}}},
    {"sqrt", {f64, f32}, {{"x", -1, 100}}, {"out"}, {}},
    {"exp", {f64, i8}, {{"x", -10, 10}}, {"out"}, {}},
    {"log", {f32, u32}, {{"x", 0, 100}}, {"out"}, {}},
    {"clip", {f64, i16}, {{"x", -10, 10}}, {"out"}, {{"lo", std::int64_t{-3}}, {"hi", std::int64_t{5}}}},
    {"standardize", {f64, f32, u8}, {{"x", 0, 100}}, {"out"}, {}},
    {"black_scholes", {f64, f32}, {{"spot", 50, 150}, {"strike", 50, 150}, {"time", 0.1, 2}, {"rate", 0, 0.1}, {"volatility", 0.1, 0.5}}, {"out"}, {}},
    {"take", {f64, u8}, {{"x", 0, 100, {5000}}, {"index", -5000, 5000, {kRows}, i64}}, {"out"}, {}},
    {"histogram", {f64, f32, i8}, {{"x", -11, 11}}, {"out"}, {{"bins", std::int64_t{1000}}, {"lo", -10.0}, {"hi", 10.0}}},
    {"histogram", {f64}, {{"x", -11, 11}}, {"out"}, {{"bins", std::int64_t{1'000'003}}, {"lo", -10.0}, {"hi", 10.0}}},
    {"histogram2d", {f64, i16}, {{"x", -11, 11}, {"y", -11, 11}}, {"out"},
     {{"bins_x", std::int64_t{30}}, {"bins_y", std::int64_t{41}}, {"lo_x", -10.0}, {"hi_x", 10.0}, {"lo_y", -10.0}, {"hi_y", 10.0}}},
    {"histogram2d", {f32}, {{"x", -11, 11}, {"y", -11, 11}}, {"out"},
     {{"bins_x", std::int64_t{1000}}, {"bins_y", std::int64_t{1001}}, {"lo_x", -10.0}, {"hi_x", 10.0}, {"lo_y", -10.0}, {"hi_y", 10.0}}},
    {"bincount", {u8, i64}, {{"x", 0, 200}}, {"out"}, {{"minlength", std::int64_t{300}}}},
    {"bincount", {i32}, {{"x", 0, 1'000'000}}, {"out"}, {}},
    {"group_sum", {f64, f32, i16}, {{"key", 0, 1000, {kRows}, i32}, {"x", -1, 1}}, {"count", "sum", "min", "max"}, {}},
    {"group_sum", {f64}, {{"key", 0, 400'000, {kRows}, u32}, {"x", -1, 1}}, {"count", "sum", "min", "max"}, {}},
    {"kmeans_step", {f64, f32, i8}, {{"X", -10, 10, {kRows, 3}}, {"centers", -10, 10, {5, 3}}}, {"centers", "count", "label"}, {}, kNotEmpty},
    {"kmeans", {f64, i8}, {{"X", -10, 10, {kRows, 2}}, {"centers", -10, 10, {4, 2}}}, {"centers", "count", "label"}, {}, {1, 7, 1000}},
    {"kmeans", {f32}, {{"X", -10, 10, {kRows, 3}}, {"centers", -10, 10, {5, 3}}}, {"centers", "count", "label"}, {{"max_iter", std::int64_t{3}}}, kNotEmpty},
    {"matmul", {f64, i16}, {{"A", -10, 10, {kRows, 6}}, {"B", -10, 10, {6, 5}}}, {"out"}, {}},
    {"subtract", {f64, u8}, {{"x", 0, 100}, {"y", 0, 100}}, {"out"}, {}},
    {"abs", {f32, i16}, {{"x", -100, 100}}, {"out"}, {}},
    {"scale", {f64, i32}, {{"x", -100, 100}}, {"out"}, {{"factor", 2.5}}},
    {"polynomial", {f64}, {{"x", -2, 2}, {"c", -1, 1, {9}}}, {"out"}, {}},
    {"argmin", {f64, u64}, {{"x", 1, 1000}}, {}, {}, kNotEmpty},
    {"argmax", {f32, i8}, {{"x", -100, 100}}, {}, {}, kNotEmpty},
    {"quantiles", {f64, i16}, {{"x", -1000, 1000}, {"q", 0, 1, {3}, f64}}, {"out"}, {}, kNotEmpty},
    {"two_point_counts", {f64}, {{"X", 0, 1, {kRows, 3}}}, {"out"}, {{"bins", std::int64_t{30}}, {"hi", 1.0}}, {0, 1, 7, 1000}},
    {"two_point_counts", {f32}, {{"X", 0, 1, {kRows, 3}}}, {"out"}, {{"bins", std::int64_t{30}}, {"hi", 0.02}}, {70'001}},
    {"fft_rows", {f64, f32}, {{"X", -1, 1, {kRows, 60}}}, {"out"}, {}, {0, 1, 7, 1000}},
    {"topk", {f64, i32}, {{"x", -1000, 1000}}, {"values", "index"}, {{"k", std::int64_t{7}}}, {7, 1000, kMany}},
    {"spmv", {f64}, {{"data", -1, 1, {0}}, {"indices", 0, 1, {0}, i64}, {"indptr", 0, 0, {kRows}, i64}, {"x", 0, 1, {5}}}, {"out"}, {}, {1, 7, 1000}},
    {"pairwise_distances", {f64, f32}, {{"X", -1, 1, {kRows, 3}}, {"Y", -1, 1, {50, 3}}}, {"out"}, {}, {0, 1, 7, 1000}},
    {"sort", {f64}, {{"x", -100, 100}}, {"out"}, {}, {0, 1, 7, 1000, 140'001}},
    {"sort", {f32, i8, u64}, {{"x", 0, 100}}, {"out"}, {}, {0, 1, 7, 1000}},
    {"cumsum", {f64, f32, i16, u64}, {{"x", 0, 100}}, {"out"}, {}},
    {"linear_regression", {f64, i8}, {{"X", -10, 10, {kRows, 3}}, {"y", -10, 10}}, {"coefficients"}, {}, kNotEmpty},
    {"pca", {f64, f32}, {{"X", -10, 10, {kRows, 4}}}, {"components", "transformed"}, {}, kNotEmpty},
    {"pca", {f64}, {{"X", -10, 10, {kRows, 20}}}, {"components", "transformed"}, {{"components", std::int64_t{1}}}, {1, 1000, 20'011}},
    {"stencil2d", {f64, i16}, {{"x", -10, 10, {kRows, 30}}, {"weights", -1, 1, {3, 3}, f64}}, {"out"}, {{"iterations", std::int64_t{5}}}, {0, 1, 7, 1000}},
    {"mandelbrot", {f64}, {}, {"out"}, {{"width", std::int64_t{70}}, {"height", std::int64_t{1000}}, {"iterations", std::int64_t{40}}}, {1000}},
    {"monte_carlo_option", {f64}, {}, {}, {{"paths", std::int64_t{3000}}, {"dates", std::int64_t{3}}}, {1000}},
    {"matmul", {f32}, {{"A", -10, 10, {kRows, 70}}, {"B", -10, 10, {70, 150}}}, {"out"}, {}, {1, 7, 1000, 5003}},
};

/** Everything that may not depend on the backend. */
struct Told {
  std::string digest, results, error;
  std::uint64_t elements = 0, chunks = 0;
  std::vector<std::string> outputs;
  friend bool operator==(const Told&, const Told&) = default;
};

void PrintTo(const KernelCase& c, std::ostream* out) { *out << c.kernel; }

// gtest would print megabytes.
void PrintTo(const Told& told, std::ostream* out) { *out << told.digest << ", " << told.chunks << " chunks of " << told.elements << " elements " << told.error; }

/** A case's step over arrays that are made once, for all engines and cuts; its outputs are files. */
Job job_of(const KernelCase& c, DType type, std::int64_t rows, const TempDir& dir) {
  Job job;
  Step step{.kernel = c.kernel, .params = c.params};
  for (const In& in : c.in) {
    Shape shape = in.shape;
    if (shape[0] == kRows) shape[0] = rows;
    job.arrays[in.name] = filled(in.type.value_or(type), shape, in.lo, in.hi, job.arrays.size());
    step.in.emplace_back(in.name, in.name);
  }
  for (const char* out : c.out) step.out.emplace_back(out, dir / (out + std::string(".npy")));
  job.steps.push_back(step);
  return job;
}

Told run(Engine& engine, const Job& job) {
  Told told;
  try {
    const Report report = engine.run(job);
    told = {report.digest, bytes_of(report.steps.empty() ? std::vector<SmallResult>{} : report.steps.back().result), report.error, report.elements, report.chunks, {}};
  } catch (const Error& e) {
    told.error = e.what();
  }
  for (const auto& [name, file] : job.steps[0].out) {
    told.outputs.push_back(bytes_of_file(file));
    std::filesystem::remove(file);
  }
  return told;
}

/** Chunks of the plan, small ones that do not divide the rows, one for all. */
std::vector<std::uint64_t> cuts_of(std::int64_t rows) {
  if (rows < 1000) return {0};
  if (rows == 1000) return {0, 1, 7};
  return {0, 4099, std::uint64_t{1} << 20};
}

class Conformance : public LeakCheck, public ::testing::WithParamInterface<KernelCase> {};

TEST_P(Conformance, HasTheDigestAndTheBytesOfTheSerialBackendOnAllHands) {
  const KernelCase& c = GetParam();
  const TempDir dir;
  Engine serial({.backend = Backend::serial});
  struct Run {
    std::string what;
    Job job;
    Told expected;
  };
  std::vector<Run> runs;
  for (const DType type : c.types)
    for (const std::int64_t rows : c.rows) {
      Job job = job_of(c, type, rows, dir);
      for (const std::uint64_t chunk : cuts_of(rows)) {
        job.chunk = chunk;
        const Told expected = run(serial, job);
        runs.push_back({std::to_string(rows) + " rows of " + name_of(type) + ", --chunk " + std::to_string(chunk), job, expected});
        EXPECT_EQ(expected.error, "") << runs.back().what;
        EXPECT_EQ(expected.digest.size(), 32u) << runs.back().what;
      }
    }
  for (const TestedHands& hands : kAllHands) {
    Engine engine(hands.options());
    for (const Run& each : runs) EXPECT_EQ(run(engine, each.job), each.expected) << each.what << " on " << ::testing::PrintToString(hands);
    if (c.rows == kNotEmpty) {
      EXPECT_NE(run(engine, job_of(c, c.types[0], 0, dir)).error, "") << "there is no result for nothing, on " << ::testing::PrintToString(hands);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Conformance, ::testing::ValuesIn(kCases),
                         [](const ::testing::TestParamInfo<KernelCase>& info) { return std::string(info.param.kernel) + "_" + std::to_string(info.index); });

TEST(ConformanceTable, HasACaseForEveryBuiltInKernel) {
  for (const std::string& name : kernel_names())
    EXPECT_TRUE(std::any_of(kCases.begin(), kCases.end(), [&](const KernelCase& c) { return name == c.kernel; })) << name;
}

}  // namespace
}  // namespace cadre
