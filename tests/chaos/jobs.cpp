#include "jobs.hpp"

#include <cstdio>

#include <cadre/engine/job_run.hpp>

#include "../engine/arrays.hpp"

namespace cadre::chaos {

namespace {

using namespace cadre::testing;
using Params = std::vector<std::pair<std::string, Param>>;

Params bins(std::int64_t n) { return {{"bins", n}, {"lo", 0.0}, {"hi", 1.0}}; }

constexpr std::uint32_t kFanRows = 700'000;

/** Many entries for some elements: chunks outgrow the room of a partial and are spoken in several sentences. */
int fan_out(cadre_chunk* c) {
  const auto* x = static_cast<const double*>(c->inputs[0].data);
  for (std::uint64_t i = 0; i < c->count; ++i)
    for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(x[i] * 2000); ++k) {
      const double value = x[i] / static_cast<double>(k + 1);
      const auto index = static_cast<std::uint32_t>((static_cast<std::uint64_t>(x[i] * 1e9) + k * k * 7) % kFanRows);
      if (const int full = cadre_scatter_push(c->scatter, index, &value); full != CADRE_OK) return full;
    }
  return CADRE_OK;
}

std::string run_fan_out(const AnyArray& x, Executor& executor) {
  Pass pass;
  pass.kernel = "fan_out";
  pass.code.run = fan_out;
  pass.plan.size = sizeof pass.plan;
  pass.plan.elements = x.elements();
  pass.plan.n_inputs = 1;
  pass.plan.inputs[0] = {{CADRE_FLOAT, 64, 1}, 1, {static_cast<std::int64_t>(x.elements())}};
  pass.plan.outputs[0] = {{CADRE_FLOAT, 64, 1}, 1, {kFanRows}};
  pass.plan.scatter.rows = kFanRows;
  pass.plan.scatter.value = {CADRE_FLOAT, 64, 1};
  pass.inputs.push_back({x, false});
  pass.outputs.push_back({.kind = CADRE_OUT_COLUMN});
  executor.run(pass);
  const std::vector<std::byte> hashes = executor.hash_blocks({pass.outputs[0].array});
  return {reinterpret_cast<const char*>(hashes.data()), hashes.size()};
}

}  // namespace

std::vector<ChaosJob> make_jobs(const KernelTable& table) {
  std::vector<ChaosJob> jobs;
  const auto add = [&](const char* name, std::map<std::string, AnyArray> arrays, std::vector<Step> steps, std::uint64_t chunk = 0) {
    jobs.push_back({name, [&table, job = Job{.arrays = std::move(arrays), .steps = std::move(steps), .chunk = chunk}](Executor& executor) {
                      Report report;
                      JobRun(job, table, executor).run(report);
                      return report.digest;
                    }});
  };
  const AnyArray x = filled(DType::f64, {1'000'000}, 0, 1, 0), f = filled(DType::f32, {500'000}, 0, 1, 1);
  const AnyArray few = filled(DType::i32, {1'000'000}, 0, 30'000, 2), many = filled(DType::i32, {1'000'000}, 0, 1'000'000, 3);
  const AnyArray fan = filled(DType::f64, {3'000}, 0, 1, 4);
  add("dense integers", {{"x", f}}, {step("histogram", {"x"}, {"out"}, bins(200'000))}, 10'000);
  add("dense doubles", {{"key", few}, {"x", x}}, {step("group_sum", {"key", "x"}, {"count", "sum", "min", "max"})}, 20'000);
  add("sparse integers", {{"x", x}}, {step("histogram", {"x"}, {"out"}, bins(4'000'000))}, 50'000);
  add("sparse doubles", {{"key", many}, {"x", x}}, {step("group_sum", {"key", "x"}, {"count", "sum", "min", "max"})}, 50'000);
  jobs.push_back({"doubles in parts", [fan](Executor& executor) { return run_fan_out(fan, executor); }});
  add("fold", {{"x", x}}, {step("moments", {"x"})}, 2'000);
  add("map in place", {{"x", x}}, {step("sqrt", {"x"}, {"y"}), step("axpy", {"y", "x"}, {"y"}, {{"a", 1.5}}), step("clip", {"y"}, {"y"}, {{"lo", 0.5}, {"hi", 2.0}})}, 20'000);
  add("four steps", {{"x", x}, {"key", few}},
      {step("standardize", {"x"}, {"z"}), step("clip", {"z"}, {"z"}, {{"lo", -1.0}, {"hi", 1.0}}), step("group_sum", {"key", "z"}, {"count", "sum", "min", "max"}),
       step("histogram", {"z"}, {"out"}, {{"bins", std::int64_t{100'000}}, {"lo", -1.0}, {"hi", 1.0}})},
      20'000);
  return jobs;
}

}  // namespace cadre::chaos
