#include <cadre/kernels/describe.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/sanitizers.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cadre {
namespace {

TEST(Registry, FindsEveryKernelOnEveryLevelByItsName) {
  for (Level level : {Level::v2, Level::v3, Level::v4}) {
    for (const std::string& name : kernel_names()) {
      const cadre_kernel* k = find_kernel(name, level);
      ASSERT_NE(k, nullptr) << name;
      EXPECT_EQ(k->name, name);
    }
    EXPECT_EQ(find_kernel("smu", level), nullptr);
    EXPECT_EQ(find_kernel("", level), nullptr);
  }
}

TEST(Registry, LevelsAreSeparateCode) {
  if (CADRE_UNDER_ASAN || CADRE_UNDER_TSAN) GTEST_SKIP() << "sanitizers see one level under all names";
  EXPECT_NE(find_kernel("axpy", Level::v2)->run, find_kernel("axpy", Level::v3)->run);
  EXPECT_NE(find_kernel("axpy", Level::v3)->run, find_kernel("axpy", Level::v4)->run);
}

TEST(Registry, LevelsAreNamedAndTheBestOneRuns) {
  EXPECT_EQ(level_of("v3"), Level::v3);
  EXPECT_STREQ(name_of(Level::v4), "v4");
  EXPECT_FALSE(level_of("v5"));
  EXPECT_FALSE(level_of("auto"));
  EXPECT_TRUE(has_level(best_level()));
  EXPECT_TRUE(has_level(Level::v2));
}

TEST(NearestName, IsTheOneThatWasMeant) {
  const std::vector<std::string> names{"sum", "min", "max", "moments", "histogram", "histogram2d", "kmeans_step", "black_scholes"};
  EXPECT_EQ(nearest_name("smu", names), "sum");
  EXPECT_EQ(nearest_name("SUM", names), "sum");
  EXPECT_EQ(nearest_name("histgram", names), "histogram");
  EXPECT_EQ(nearest_name("histogram2", names), "histogram");
  EXPECT_EQ(nearest_name("kmeans", names), "kmeans_step");
  EXPECT_EQ(nearest_name("blackscholes", names), "black_scholes");
}

TEST(NearestName, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("fourier", {"sum", "min", "max"}), "");
  EXPECT_EQ(nearest_name("sum", {}), "");
  EXPECT_EQ(nearest_name(std::string(10000, 'x'), {"sum"}), "");
}

TEST(Describe, ShowsInputsParametersOutputsAndAnExample) {
  EXPECT_EQ(describe_text(*find_kernel("axpy", Level::v2)),
            "axpy: a*x + y, element by element\n"
            "\n"
            "inputs\n"
            "  x  numbers, 1-d, by rows  what is scaled\n"
            "  y  numbers, 1-d, by rows  what is added, as long as x\n"
            "  (numbers: float64, float32, integers of 8 to 64 bits, signed and unsigned)\n"
            "\n"
            "parameters\n"
            "  a  real, default 1  the factor\n"
            "\n"
            "outputs\n"
            "  out  one row per input row  a*x + y; float32 when both inputs are, else float64\n"
            "\n"
            "An output may be the same file as an input: it is then computed in place.\n"
            "\n"
            "accuracy\n"
            "  correctly rounded (one rounding) on v3 and v4; product and sum are rounded each on v2\n"
            "\n"
            "example\n"
            "  cadre run axpy --in x.npy --in y.npy --param a=2 --out z.npy\n");
}

TEST(Describe, EveryKernelAsTextAndAsJson) {
  std::vector<const cadre_kernel*> all;
  for (const std::string& name : kernel_names()) all.push_back(find_kernel(name, Level::v2));
  for (const cadre_kernel* k : all) {
    const std::string text = describe_text(*k);
    EXPECT_NE(text.find(k->example), std::string::npos);
    const auto json = nlohmann::json::parse(describe_json(*k));
    EXPECT_EQ(json["name"], k->name);
    EXPECT_EQ(json["inputs"].size(), k->n_inputs);
    EXPECT_EQ(json["parameters"].size(), k->n_params);
    EXPECT_EQ(json["outputs"].size(), k->n_outputs);
    EXPECT_EQ(json["results"].size(), k->n_results);
    for (std::uint32_t i = 0; i < k->n_params; ++i)
      EXPECT_EQ(json["parameters"][i]["default"].is_null(), k->params[i].presence != CADRE_PARAM_DEFAULT);
  }
  EXPECT_EQ(nlohmann::json::parse(list_json(all))["kernels"].size(), all.size());
  const std::string list = list_text(all);
  EXPECT_EQ(static_cast<std::size_t>(std::count(list.begin(), list.end(), '\n')), all.size());
}

TEST(Describe, TypesAreNamedAsInNumPy) {
  EXPECT_EQ(types_text(CADRE_NUMBERS), "numbers");
  EXPECT_EQ(types_text(CADRE_FLOATS), "float64, float32");
  EXPECT_EQ(types_text(CADRE_INTEGERS), "integers");
  EXPECT_EQ(types_text(CADRE_F64 | CADRE_INTEGERS), "float64, integers");
  EXPECT_EQ(types_text(CADRE_I64 | CADRE_U8), "int64, uint8");
  EXPECT_EQ(dtype_name({CADRE_UINT, 16, 1}), "uint16");
}

}  // namespace
}  // namespace cadre
