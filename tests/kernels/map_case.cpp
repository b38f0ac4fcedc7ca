#include "map_case.hpp"

namespace cadre::test {

Tensor run_anywhere(const char* name, Level level, const Params& params, const std::vector<Tensor>& inputs) {
  Tensor first;
  for (unsigned variant = 0; variant < 4; ++variant) {
    SerialRun run(kernel(name, level));
    unsigned offset = variant;  // 0: all aligned; then each array at another odd place
    for (const Tensor& input : inputs) run.in(Tensor(input, variant == 0 ? 0 : offset++));
    for (const auto& [param, value] : params) run.param(param, value);
    run.cut({.seed = variant + 1, .chunks = 1 + 2 * variant, .out_offset = variant == 0 ? 0u : 7 - variant});
    EXPECT_EQ(run(), CADRE_OK) << run.message();
    const Tensor& out = run.output("out");
    if (variant == 0)
      first = Tensor(out, 0);
    else
      EXPECT_TRUE(out.bytes() == first.bytes() && std::memcmp(out.data(), first.data(), out.bytes()) == 0)
          << name << ": other bits at another place or in another cut";
  }
  return first;
}

}  // namespace cadre::test
