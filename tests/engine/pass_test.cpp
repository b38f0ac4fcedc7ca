/* Passes that no built-in kernel asks for, given to the executor directly. */
#include <gtest/gtest.h>

#include <cadre/engine/executor.hpp>

#include "../support/leak_check.hpp"
#include "arrays.hpp"
#include "backends.hpp"

namespace cadre {
namespace {

using namespace testing;

/** y[i] = 3 x[i], and counts which of the bins x[i] falls into. */
int triple_and_count(cadre_chunk* c) {
  const auto* x = static_cast<const std::int64_t*>(c->inputs[0].data);
  auto* y = static_cast<std::int64_t*>(c->outputs[0].data);
  for (std::uint64_t i = 0; i < c->count; ++i) {
    const std::int64_t one = 1;
    if (const int full = cadre_scatter_push(c->scatter, static_cast<std::uint32_t>(x[i]) % static_cast<std::uint32_t>(c->scatter->rows), &one); full != CADRE_OK) return full;
    y[i] = 3 * x[i];
  }
  return CADRE_OK;
}

class Passes : public LeakCheck, public ::testing::WithParamInterface<std::uint64_t> {};

// Both the map's copies and what is scattered wait in the slot's partial until they are applied.
TEST_P(Passes, APassMayMapInPlaceAndScatterAtOnce) {
  for (const Backend backend : {Backend::serial, Backend::threads, Backend::processes}) {
    Executor executor(backend, {.workers = backend == Backend::serial ? 1 : 2}, {});
    const std::uint64_t n = 5000, bins = GetParam();
    const AnyArray x = filled(DType::i64, {static_cast<std::int64_t>(n)}, 0, 1e6, 1);
    std::vector<std::int64_t> counts(bins), tripled;
    for (const std::int64_t v : x.as<std::int64_t>()) {
      ++counts[static_cast<std::uint32_t>(v) % bins];
      tripled.push_back(3 * v);
    }
    Pass pass;
    pass.kernel = "triple and count";
    pass.code.run = triple_and_count;
    pass.chunk = 700;
    pass.plan.size = sizeof pass.plan;
    pass.plan.elements = n;
    pass.plan.n_inputs = 1;
    pass.plan.inputs[0] = pass.plan.outputs[0] = {{CADRE_INT, 64, 1}, 1, {static_cast<std::int64_t>(n)}};
    pass.plan.outputs[1] = {{CADRE_INT, 64, 1}, 1, {static_cast<std::int64_t>(bins)}};
    pass.plan.scatter.rows = bins;
    pass.plan.scatter.value = {CADRE_INT, 64, 1};
    pass.inputs.push_back({x, false});
    pass.outputs.push_back({.kind = CADRE_OUT_MAP, .array = x});
    pass.outputs.push_back({.kind = CADRE_OUT_COLUMN});
    executor.run(pass);
    EXPECT_EQ(bytes_of(x), std::string(reinterpret_cast<const char*>(tripled.data()), n * 8)) << name_of(backend);
    EXPECT_EQ(bytes_of(pass.outputs[1].array), std::string(reinterpret_cast<const char*>(counts.data()), bins * 8)) << name_of(backend);
  }
}

// Few bins: dense. Many: sparse.
INSTANTIATE_TEST_SUITE_P(Bins, Passes, ::testing::Values(50, 300'000), ::testing::PrintToStringParamName());

}  // namespace
}  // namespace cadre
