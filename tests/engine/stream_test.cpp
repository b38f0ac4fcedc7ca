/* Outputs far bigger than the caches are stored past them: the same bits, whatever the element's size and wherever a chunk begins. */
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include <cadre/cadre.hpp>

#include "../support/leak_check.hpp"

namespace cadre {
namespace {

class StreamedOutputs : public testing::LeakCheck {};

template <class T, class F>
void expect_streamed(const char* kernel, int inputs, std::size_t n, std::uint64_t chunk, F f) {
  Engine engine{{.workers = 2}};
  Job job;
  job.chunk = chunk;
  Step step;
  step.kernel = kernel;
  std::vector<Array<T>> in;
  for (int i = 0; i < inputs; ++i) {
    in.push_back(engine.array<T>(n));
    for (std::size_t k = 0; k < n; ++k) in.back()[k] = static_cast<T>(k % 1013 + static_cast<std::size_t>(i));
    job.arrays["in" + std::to_string(i)] = in.back();
    step.in.push_back({"", "in" + std::to_string(i)});
  }
  auto out = engine.array<T>(n);
  job.arrays["out"] = out;
  step.out = {{"", "out"}};
  job.steps = {step};
  const Report report = engine.run(job);
  ASSERT_EQ(report.error, "");
  std::size_t wrong = 0;
  for (std::size_t k = 0; k < n; ++k) wrong += out[k] != f(in[0][k], in[static_cast<std::size_t>(inputs - 1)][k]);
  EXPECT_EQ(wrong, 0u);
}

TEST_F(StreamedOutputs, HaveTheBitsOfOthersForDoubles) {
  expect_streamed<double>("multiply", 2, (40u << 20) / 8 + 3, 10'007, [](double a, double b) { return a * b; });
}
TEST_F(StreamedOutputs, HaveTheBitsOfOthersForFloats) {
  expect_streamed<float>("sqrt", 1, (40u << 20) / 4 + 5, 100'003, [](float a, float) { return std::sqrt(a); });
}
TEST_F(StreamedOutputs, HaveTheBitsOfOthersForBytes) {
  expect_streamed<std::int8_t>("add", 2, (40u << 20) + 7, 1'000'001, [](std::int8_t a, std::int8_t b) { return static_cast<std::int8_t>(a + b); });
}

}  // namespace
}  // namespace cadre
