/* The JSON report: the keys of the contract, in its order, and what becomes of values that JSON has no word for. */
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cadre/engine/report.hpp>

namespace cadre {
namespace {

using Json = nlohmann::ordered_json;

Report sum_report() {
  Report r;
  r.job = "sum";
  r.backend = Backend::processes;
  r.workers = 2;
  r.isa = Isa::v4;
  r.elements = 100'000'000;
  r.chunks = 763;
  r.seconds = 0.041;
  r.bytes_per_second = 1.9e10;
  r.steps = {{"sum", 100'000'000, 763, 0.041, {{"sum", {}, std::vector<double>{123.5}}}}};
  r.digest = "0123456789abcdef0123456789abcdef";
  return r;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(ReportJson, HasTheKeysOfTheContractInOrder) {
  const Json j = Json::parse(to_json(sum_report()));
  EXPECT_EQ(keys_of(j), (std::vector<std::string>{"job", "backend", "start", "workers", "isa", "elements", "chunks", "seconds", "bytes_per_second", "result", "outputs",
                                                   "digest", "faults"}));
  EXPECT_EQ(keys_of(j["faults"]), (std::vector<std::string>{"crashes", "timeouts", "retries", "resumed_chunks", "poison"}));
  EXPECT_EQ(j["job"], "sum");
  EXPECT_EQ(j["backend"], "processes");
  EXPECT_EQ(j["start"], "fork");
  EXPECT_EQ(j["isa"], "v4");
  EXPECT_EQ(j["elements"], 100'000'000);
  EXPECT_EQ(j["result"], (Json{{"sum", 123.5}}));
  EXPECT_EQ(j["digest"], "0123456789abcdef0123456789abcdef");
}

TEST(ReportJson, IsOneLine) { EXPECT_EQ(to_json(sum_report()).find('\n'), std::string::npos); }

TEST(ReportJson, ResultsAreNumbersListsAndListsOfLists) {
  Report r = sum_report();
  r.steps[0].result = {{"count", {}, std::vector<std::int64_t>{-3}},
                       {"big", {}, std::vector<std::uint64_t>{std::numeric_limits<std::uint64_t>::max()}},
                       {"mean", {2}, std::vector<double>{0.1, 2.0}},
                       {"covariance", {2, 3}, std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}},
                       {"none", {0}, std::vector<double>{}},
                       {"empty_rows", {2, 0}, std::vector<double>{}}};
  EXPECT_EQ(Json::parse(to_json(r))["result"].dump(),
            R"({"count":-3,"big":18446744073709551615,"mean":[0.1,2.0],"covariance":[[1,2,3],[4,5,6]],"none":[],"empty_rows":[[],[]]})");
}

TEST(ReportJson, DoublesAreReadBackToTheSameBits) {
  Report r = sum_report();
  const std::vector<double> values{0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 123456789012345680.0};
  r.steps[0].result = {{"x", {6}, values}};
  EXPECT_EQ(Json::parse(to_json(r))["result"]["x"].get<std::vector<double>>(), values);
}

TEST(ReportJson, NanAndInfinitiesAreNull) {
  Report r = sum_report();
  const double inf = std::numeric_limits<double>::infinity();
  r.steps[0].result = {{"x", {4}, std::vector<double>{std::numeric_limits<double>::quiet_NaN(), inf, -inf, 1.5}}, {"y", {}, std::vector<double>{inf}}};
  r.seconds = inf;
  const Json j = Json::parse(to_json(r));
  EXPECT_EQ(j["result"].dump(), R"({"x":[null,null,null,1.5],"y":null})");
  EXPECT_EQ(j["seconds"], nullptr);
}

TEST(ReportJson, SeveralStepsAreListedAndTheLastGivesTheResult) {
  Report r = sum_report();
  r.steps.insert(r.steps.begin(), {"divide", 50, 2, 0.5, {}});
  const Json j = Json::parse(to_json(r));
  ASSERT_EQ(j["steps"].size(), 2u);
  EXPECT_EQ(j["steps"][0].dump(), R"({"kernel":"divide","elements":50,"chunks":2,"seconds":0.5,"result":{}})");
  EXPECT_EQ(j["result"], (Json{{"sum", 123.5}}));
}

TEST(ReportJson, OutputsAreFilesByName) {
  Report r = sum_report();
  r.outputs = {{"out", "y.npy"}, {"label", "b/\"quoted\".npy"}};
  EXPECT_EQ(Json::parse(to_json(r))["outputs"], (Json{{"out", "y.npy"}, {"label", "b/\"quoted\".npy"}}));
}

TEST(ReportJson, ADigestThatWasNotAskedForIsNull) {
  Report r = sum_report();
  r.digest.clear();
  EXPECT_EQ(Json::parse(to_json(r))["digest"], nullptr);
}

TEST(ReportJson, PoisonSaysWhatIsKnownAndNullForTheRest) {
  Report r = sum_report();
  r.faults.crashes = 3;
  r.faults.poison = {{.index = 41, .value = "-1.0", .signal = "SIGSEGV", .attempts = 3, .peak_rss = 10485760, .stack = {"invert_cdf (invert.cpp:41)"}},
                     {.index = 42, .what = "bad row", .exit = 7, .attempts = 1}};
  const Json j = Json::parse(to_json(r));
  EXPECT_EQ(j["faults"]["crashes"], 3);
  EXPECT_EQ(j["faults"]["poison"][0].dump(),
            R"x({"index":41,"value":-1.0,"signal":"SIGSEGV","what":null,"exit":null,"attempts":3,"peak_rss":10485760,"stack":["invert_cdf (invert.cpp:41)"]})x");
  EXPECT_EQ(j["faults"]["poison"][1].dump(), R"({"index":42,"value":null,"signal":null,"what":"bad row","exit":7,"attempts":1,"peak_rss":0,"stack":[]})");
}

TEST(ReportJson, AFailureIsTheSameObjectWithItsError) {
  Report r = sum_report();
  r.steps.clear();
  r.error = "element 41 kills its worker";
  r.exit_code = 1;
  const Json j = Json::parse(to_json(r));
  EXPECT_EQ(keys_of(j).back(), "error");
  EXPECT_EQ(j["error"], "element 41 kills its worker");
  EXPECT_EQ(j["result"], Json::object());
}

TEST(ReportJson, TextThatIsNotUtf8IsReplacedNotRefused) {
  Report r = sum_report();
  r.outputs = {{"out", "bad\xff.npy"}};
  EXPECT_EQ(Json::parse(to_json(r))["outputs"]["out"], "bad\xef\xbf\xbd.npy");
}

}  // namespace
}  // namespace cadre
