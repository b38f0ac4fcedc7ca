/* Jobs of several steps, arrays of the program as inputs and outputs, and jobs that fail: on every backend. */
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include <cadre/engine/engine.hpp>
#include <cadre/shm/npy_file.hpp>

#include "../support/child.hpp"
#include "../support/temp_dir.hpp"
#include "arrays.hpp"
#include "backends.hpp"

namespace cadre {
namespace {

using namespace testing;

using Params = std::vector<std::pair<std::string, Param>>;
const Params kHundredBins = {{"bins", std::int64_t{100}}, {"lo", 0.0}, {"hi", 1.0}};

void write_file(const std::string& path, const AnyArray& array) { write_npy(path, array.type, array.shape, array.data); }

class Jobs : public OnHands {};

TEST_P(Jobs, StepsHandOnTemporariesAndTheLastOneIsDigested) {
  const TempDir dir;
  write_file(dir / "tip.npy", filled(DType::f64, {300'007}, 0, 10, 1));
  write_file(dir / "fare.npy", filled(DType::f32, {300'007}, 5, 50, 2));
  const auto run = [&](const Options& options, const std::string& out) {
    Engine engine(options);
    Job job{.name = "fares", .files = {{"tip", dir / "tip.npy"}, {"fare", dir / "fare.npy"}}};
    job.steps = {step("divide", {"tip", "fare"}, {"share"}), step("clip", {"share"}, {"share"}, {{"hi", 0.9}}), step("standardize", {"share"}, {dir / (out + ".std.npy")}),
                 step("histogram", {"share"}, {dir / (out + ".npy")}, kHundredBins)};
    return engine.run(job);
  };
  const Report serial = run({.backend = Backend::serial}, "serial"), report = run(GetParam().options(), "here");
  EXPECT_EQ(report.error, "");
  EXPECT_EQ(report.digest, serial.digest);
  EXPECT_EQ(report.job, "fares");
  ASSERT_EQ(report.steps.size(), 4u);
  for (std::size_t s = 0; s < 4; ++s) {
    EXPECT_EQ(report.steps[s].kernel, serial.steps[s].kernel);
    EXPECT_EQ(report.steps[s].elements, 300'007u);
    EXPECT_EQ(report.steps[s].chunks, serial.steps[s].chunks);
    EXPECT_TRUE(bytes_of(report.steps[s].result) == bytes_of(serial.steps[s].result));
  }
  EXPECT_EQ(bytes_of_file(dir / "here.npy"), bytes_of_file(dir / "serial.npy"));
  EXPECT_EQ(bytes_of_file(dir / "here.std.npy"), bytes_of_file(dir / "serial.std.npy"));
  EXPECT_EQ(report.outputs, (std::vector<std::pair<std::string, std::string>>{{"out", dir / "here.std.npy"}, {"out", dir / "here.npy"}}));
  EXPECT_EQ(dir.entries(), 6u);
}

TEST_P(Jobs, ArraysOfTheProgramAreReadAndWritten) {
  Engine engine(GetParam().options());
  const auto x = filled<double>(engine, 100'003, 0, 1);
  const auto y = engine.array<double>(x.size());
  const auto counts = engine.array<std::int64_t>(100);
  const auto table = engine.array<double>(Shape{100'003, 2});
  const auto covariance = engine.array<double>(Shape{2, 2});
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = spread<double>(i, -1, 1);
  const Report report = engine.run({.arrays = {{"x", x}, {"y", y}, {"counts", counts}, {"table", table}, {"covariance", covariance}},
                                    .steps = {step("sqrt", {"x"}, {"y"}), step("histogram", {"y"}, {"counts"}, kHundredBins), step("covariance", {"table"}, {"covariance"})}});
  EXPECT_EQ(report.error, "");
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], std::sqrt(x[i]));
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}), 100'003);
  EXPECT_NEAR(covariance(0, 0), 1.0 / 3, 0.01);
  EXPECT_EQ(covariance(0, 1), covariance(1, 0));
  EXPECT_TRUE(report.outputs.empty());
}

TEST_P(Jobs, ATraceTellsOfEveryChunkOnceAndInOrder) {
  Engine engine(GetParam().options());
  Job job{.name = "trace", .arrays = {{"x", filled<double>(engine, 100'003, 0, 1)}}};
  job.steps = {step("standardize", {"x"}, {"z"}), step("histogram", {"z"}, {"counts"}, {{"bins", std::int64_t{70'000}}, {"lo", -3.0}, {"hi", 3.0}})};
  job.chunk = 1000;
  EXPECT_TRUE(engine.run(job).trace.empty());
  job.trace = true;
  const Report report = engine.run(job);
  EXPECT_EQ(report.error, "");
  ASSERT_EQ(report.trace.size(), 3u);  // standardize has two passes
  for (const PassTrace& pass : report.trace) {
    ASSERT_EQ(pass.chunks.size(), 101u) << pass.kernel;
    for (std::uint32_t i = 0; i < 101; ++i) {
      const ChunkTrace& c = pass.chunks[i];
      EXPECT_EQ(c.chunk, i);
      EXPECT_LT(c.slot, static_cast<std::uint32_t>(GetParam().workers));
      EXPECT_GE(c.begin, 0);
      EXPECT_LE(c.begin, c.computed);
      EXPECT_LE(c.computed, c.end);
      EXPECT_LE(c.end, pass.seconds);
      EXPECT_LE(c.waited, c.end - c.begin + 1e-9);
    }
  }
  EXPECT_TRUE(report.trace[0].segment_waits.empty());
  EXPECT_FALSE(report.trace[2].segment_waits.empty());
  job.trace = false;
  EXPECT_TRUE(engine.run(job).trace.empty());
}

TEST(PrivateCopies, GiveTheCountsOfSegmentsRunAfterRun) {
  for (const std::int64_t bins : {100, 300'000}) {  // dense and sparse
    const auto counts = [&](const Options& options, int runs) {
      Engine engine(options);
      Job job{.name = "counts", .arrays = {{"x", filled<double>(engine, 200'003, 0, 1, 5)}}};
      job.steps = {step("histogram", {"x"}, {"counts"}, {{"bins", bins}, {"lo", 0.0}, {"hi", 1.0}})};
      job.chunk = 5000;
      std::string digest;
      for (int i = 0; i < runs; ++i) {
        const Report report = engine.run(job);
        EXPECT_EQ(report.error, "");
        EXPECT_TRUE(i == 0 || report.digest == digest) << "run " << i << " of " << bins;
        digest = report.digest;
      }
      return digest;
    };
    EXPECT_EQ(counts({.backend = Backend::threads, .workers = 3, .private_copies = true}, 3), counts({.backend = Backend::serial}, 1)) << bins;
  }
}

TEST(PrivateCopies, AreRefusedWhereTheResultWouldDependOnThem) {
  EXPECT_THROW(Engine({.backend = Backend::processes, .private_copies = true}), Error);
  Engine engine({.backend = Backend::threads, .workers = 2, .private_copies = true});
  Job job{.name = "sums", .arrays = {{"k", filled(DType::i64, {1000}, 0, 9, 1)}, {"v", filled(DType::f64, {1000}, 0, 1, 2)}}};
  job.steps = {step("group_sum", {"k", "v"}, {"sum"})};
  try {
    const Report report = engine.run(job);
    EXPECT_NE(report.error.find("private copies"), std::string::npos) << report.error;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("private copies"), std::string::npos) << e.what();
  }
}

TEST_P(Jobs, FaultJ3_AnElementwiseKernelRunsInPlaceExactlyOnce) {
  Engine engine(GetParam().options());
  const auto x = filled<double>(engine, 300'007, -10, 10), y = filled<double>(engine, 300'007, -10, 10, 1);
  const auto again = engine.array<double>(x.size()), expected = engine.array<double>(x.size());
  const auto job = [&](const AnyArray& out, const std::string& kernel, const std::vector<std::string>& in, const Params& params) {
    return engine.run({.arrays = {{"x", x}, {"y", y}, {"again", again}, {"out", out}}, .steps = {step(kernel, in, {"out"}, params)}}).error;
  };
  const auto expect_in_place = [&](const std::string& kernel, std::vector<std::string> in, const Params& params) {
    SCOPED_TRACE(kernel);
    EXPECT_EQ(job(expected, kernel, in, params), "");
    std::copy(y.begin(), y.end(), again.begin());
    std::replace(in.begin(), in.end(), std::string("y"), std::string("again"));
    EXPECT_EQ(engine.run({.arrays = {{"x", x}, {"again", again}}, .steps = {step(kernel, in, {"again"}, params)}}).error, "");
    EXPECT_TRUE(bytes_of(again) == bytes_of(expected));
  };
  expect_in_place("axpy", {"x", "y"}, {{"a", 3.0}});
  expect_in_place("add", {"y", "y"}, {});
  expect_in_place("exp", {"y"}, {});
  expect_in_place("clip", {"y"}, {{"lo", -1.0}});
  expect_in_place("standardize", {"y"}, {});
}

TEST_P(Jobs, FaultJ3_AFileMayBeReplacedByWhatIsMadeOfIt) {
  const TempDir dir;
  const AnyArray x = filled(DType::f64, {100'003}, 0, 1, 0);
  write_file(dir / "x.npy", x);
  Engine engine(GetParam().options());
  EXPECT_EQ(engine.run({.steps = {step("axpy", {dir / "x.npy", dir / "x.npy"}, {dir / "x.npy"}, {{"a", 1.0}})}}).error, "");
  const auto made = open_npy(dir / "x.npy");
  for (std::size_t i = 0; i < x.elements(); ++i) ASSERT_EQ(made.as<const double>()[i], 2 * x.as<double>()[i]);
}

TEST_P(Jobs, AStepReadsWhatAnEarlierStepMadeOfAFile) {
  const TempDir dir;
  write_file(dir / "x.npy", filled(DType::i16, {1000}, 4, 5, 0));
  Engine engine(GetParam().options());
  for (const std::string& name : {dir / "x.npy", std::string("x")}) {
    const Report report = engine.run({.files = {{"x", dir / "x.npy"}},
                                      .steps = {step("sum", {name}), step("sqrt", {name}, {name}), step("sum", {name}), step("sum", {dir / "x.npy"}), step("norm", {"x"})}});
    EXPECT_EQ(report.error, "");
    EXPECT_EQ(report.outputs, (std::vector<std::pair<std::string, std::string>>{{"out", dir / "x.npy"}}));
    const double each = name == "x" ? std::sqrt(2.0) : 2;
    for (const std::size_t s : {2u, 3u}) EXPECT_NEAR(std::get<std::vector<double>>(report.steps[s].result[0].values)[0], 1000 * each, 1e-9);
    EXPECT_NEAR(std::get<std::vector<double>>(report.steps[4].result[0].values)[0], each * std::sqrt(1000.0), 1e-9);
    EXPECT_EQ(open_npy(dir / "x.npy").as<const double>()[999], each);
  }
  EXPECT_EQ(dir.entries(), 1u);
}

TEST_P(Jobs, FaultJ3_OutputsThatWouldMeetAreRefused) {
  const TempDir dir;
  write_file(dir / "x.npy", filled(DType::f64, {1000}, 0, 1, 0));
  write_file(dir / "i.npy", filled(DType::i64, {1000}, 0, 1000, 0));
  std::filesystem::create_symlink(dir / "x.npy", dir / "link.npy");
  std::filesystem::create_directory(dir / "sub");
  Engine engine(GetParam().options());
  const auto refusal = [&](std::vector<Step> steps) {
    try {
      return "done: " + engine.run({.files = {{"named", dir / "x.npy"}}, .steps = std::move(steps)}).error;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), Error::Kind::usage);
      return std::string(e.what());
    }
  };
  for (const std::string& out : {dir / "x.npy", dir / "sub/../x.npy", dir / "link.npy"})
    for (const std::string& in : {dir / "x.npy", std::string("named")})
      EXPECT_NE(refusal({step("take", {in, dir / "i.npy"}, {out})}).find("is also an input, and this kernel is not elementwise"), std::string::npos) << in << " " << out;
  EXPECT_NE(refusal({step("group_sum", {dir / "i.npy", dir / "x.npy"}, {dir / "a.npy", dir / "b.npy", dir / "c.npy", dir / "sub/../a.npy"})}).find("two outputs have the name"),
            std::string::npos);
  EXPECT_NE(refusal({step("sqrt", {"named"}, {dir / "a.npy"}), step("exp", {"named"}, {dir / "a.npy"})}).find("is written by two steps"), std::string::npos);
  EXPECT_EQ(dir.entries(), 4u);
}

TEST_P(Jobs, FaultJ3_AnArrayOfTheProgramThatIsBothIsRefusedUnlessElementwise) {
  Engine engine(GetParam().options());
  const auto x = filled<double>(engine, 1000, 0, 1);
  const auto index = engine.array<std::int64_t>(1000);
  const std::string error = error_of([&] { engine.run({.arrays = {{"x", x}, {"i", index}}, .steps = {step("take", {"x", "i"}, {"x"})}}); });
  EXPECT_NE(error.find("is also an input"), std::string::npos) << error;
  // The same array under two names.
  const std::string twice = error_of([&] { engine.run({.arrays = {{"x", x}, {"i", index}, {"y", x}}, .steps = {step("take", {"x", "i"}, {"y"})}}); });
  EXPECT_NE(twice.find("is also an input"), std::string::npos) << twice;
  const auto f64 = engine.array<double>(1000);
  const auto counts = engine.array<std::int64_t>(1000);
  const std::string outputs = error_of([&] {
    engine.run({.arrays = {{"x", x}, {"i", index}, {"count", counts}, {"a", f64}, {"b", f64}}, .steps = {step("group_sum", {"i", "x"}, {"count", "a", "b"}, {{"minlength", std::int64_t{1000}}})}});
  });
  EXPECT_NE(outputs.find("are one memory"), std::string::npos) << outputs;
}

TEST_P(Jobs, BadDataNamesTheRowAndLeavesNoFile) {
  const TempDir dir;
  Engine engine(GetParam().options());
  const auto x = filled<double>(engine, 300'007, 0, 1);
  const auto index = engine.array<std::int64_t>(x.size());
  const auto error = [&](const Step& bad) {
    const Report report = engine.run({.arrays = {{"x", x}, {"i", index}}, .steps = {step("sqrt", {"x"}, {dir / "root.npy"}), step("moments", {"x"}), bad}});
    EXPECT_EQ(report.exit_code, report.error.empty() ? 0 : 1);
    return report.error;
  };
  index[250'000] = 300'007;
  EXPECT_EQ(error(step("take", {"x", "i"}, {dir / "taken.npy"})), "take: row 250000: index 300007 is out of range for x of length 300007");
  index[250'000] = -1;
  EXPECT_EQ(error(step("bincount", {"i"}, {dir / "counts.npy"})), "bincount: row 250000: x is -1: keys are not negative");
  EXPECT_EQ(error(step("group_sum", {"i", "x"}, {dir / "a.npy", dir / "b.npy", dir / "c.npy", dir / "d.npy"})), "group_sum: row 250000: key is -1: keys are not negative");
  EXPECT_EQ(dir.entries(), 0u);
  index[250'000] = 0;
  EXPECT_EQ(error(step("take", {"x", "i"}, {dir / "taken.npy"})), "");
  EXPECT_EQ(dir.entries(), 2u);
}

class JobsOnEachBackend : public OnHands {};

// What is gone reads as zeros until the pass is over; then the file is named. The caller and the workers live.
TEST_P(JobsOnEachBackend, FaultF3_AFileTruncatedWhileItIsMappedIsNamed) {
  const TempDir dir;
  const std::string path = dir / "x.npy";
  const AnyArray source = filled(DType::f64, {1'000'003}, 0, 1, 0);
  Engine engine(GetParam().options());
  const auto truncated = [&](auto act) {
    write_file(path, source);
    const AnyArray x = open_npy(path);
    std::filesystem::resize_file(path, 100'000);
    return act(x);
  };
  const std::string expected = path + " was truncated by another process while it was read";
  EXPECT_EQ(truncated([&](const AnyArray& x) { return engine.run({.arrays = {{"x", x}}, .steps = {step("sum", {"x"})}}).error; }), expected);
  EXPECT_EQ(truncated([&](const AnyArray& x) { return engine.run({.arrays = {{"x", x}}, .steps = {step("sqrt", {"x"}, {dir / "root.npy"})}}).error; }), expected);
  EXPECT_EQ(truncated([&](const AnyArray& x) {
              return error_of([&] { engine.reduce(x.as<const double>(), 0.0, [](double a, double b) { return a + b; }); });
            }),
            expected);
  EXPECT_EQ(dir.entries(), 1u);
  write_file(path, source);
  const Report whole = engine.run({.steps = {step("sum", {path})}});
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(engine.faults().crashes, 0u);
  EXPECT_EQ(whole.digest, engine.run({.arrays = {{"x", source}}, .steps = {step("sum", {"x"})}}).digest);
}

TEST_P(JobsOnEachBackend, FaultF3_AFileTruncatedWhileTheJobRunsIsNamed) {
  const TempDir dir;
  const std::string path = dir / "x.npy";
  write_file(path, filled(DType::f64, {4'000'003}, 0.5, 1, 0));
  Engine engine(GetParam().options());
  Job job{.steps = {step("log", {path}, {"a"}), step("exp", {path}, {dir / "b.npy"})}, .digest = false};
  job.steps.insert(job.steps.begin(), 40, job.steps[0]);
  job.progress = [&](std::size_t, std::uint64_t, std::uint64_t) { std::filesystem::resize_file(path, 50'000); };
  const Report report = engine.run(job);
  // Faster machines may be through before the first look.
  EXPECT_EQ(report.error, report.error.empty() ? "" : path + " was truncated by another process while it was read");
  EXPECT_EQ(dir.entries(), report.error.empty() ? 2u : 1u);
}

INSTANTIATE_TEST_SUITE_P(AllHands, Jobs, ::testing::ValuesIn(kAllHands), name_of_hands);
INSTANTIATE_TEST_SUITE_P(EachBackend, JobsOnEachBackend, kEachBackend, name_of_hands);

}  // namespace
}  // namespace cadre
