/* `cadre kernels` and `cadre doctor`, and where their words go. */
#include <sched.h>

#include <gtest/gtest.h>

#include "program.hpp"

namespace cadre::test {
namespace {

TEST(CliKernels, AreListedByLine) {
  const Outcome o = run_cadre({"kernels"});
  EXPECT_EQ(o.exit, 0);
  EXPECT_EQ(o.err, "");
  EXPECT_NE(("\n" + o.out).find("\nsum "), std::string::npos) << o.out;
}

TEST(CliKernels, AreListedAndDescribedAsJson) {
  const Json list = Json::parse(run_cadre({"kernels", "--json"}).out);
  ASSERT_TRUE(list.at("kernels").is_array());
  for (const Json& kernel : list["kernels"]) {
    const std::string name = kernel.at("name");
    const Outcome o = run_cadre({"kernels", name, "--json"});
    EXPECT_EQ(o.exit, 0) << name;
    const Json one = Json::parse(o.out);
    EXPECT_EQ(one.at("name"), name);
    for (const char* key : {"doc", "inputs", "outputs", "parameters", "results", "example"}) EXPECT_TRUE(one.contains(key)) << name << " " << key;
  }
}

TEST(CliKernels, OneIsDescribedWithAnExample) {
  const Outcome o = run_cadre({"kernels", "sum"});
  EXPECT_EQ(o.exit, 0);
  EXPECT_NE(o.out.find("cadre run sum"), std::string::npos) << o.out;
}

TEST(CliKernels, AnUnknownOneIsRefusedWithTheNearest) {
  const Outcome o = run_cadre({"kernels", "smu"});
  EXPECT_EQ(o.exit, 2);
  EXPECT_EQ(o.out, "");
  EXPECT_EQ(o.err, "cadre: unknown kernel smu; did you mean sum?\n");
}

TEST(CliDoctor, TellsWhatTheMachineGives) {
  const Outcome o = run_cadre({"doctor"});
  EXPECT_EQ(o.exit, 0);
  for (const char* label : {"cpus ", "isa ", "memory ", "limits ", "huge pages ", "memfd ", "start ", "/dev/shm "})
    EXPECT_NE(("\n" + o.out).find(std::string("\n") + label), std::string::npos) << label << "\n" << o.out;
}

TEST(CliDoctor, CountsTheCpusOfTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);  // inherited by the program
  const Outcome o = run_cadre({"doctor", "--json"});
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(o.exit, 0);
  const Json j = Json::parse(o.out);
  EXPECT_EQ(j.at("cpus").at("usable"), 1);
  EXPECT_EQ(j.at("cpus").at("affinity"), 1);
  EXPECT_EQ(j.at("start_methods"), Json::array({"fork", "forkserver", "spawn"}));
  for (const char* key : {"isa", "memory", "limits", "huge_pages", "memfd", "topology", "dev_shm", "problems"}) EXPECT_TRUE(j.contains(key)) << key;
}

TEST(CliDoctor, ATightLimitIsAProblemWithARemedy) {
  const Outcome o = run_cadre({"doctor", "--json"}, {.environment = {{"CADRE_PAGES", "4k"}}});
  EXPECT_EQ(o.exit, 0);
  const Json j = Json::parse(o.out);
  EXPECT_EQ(j.at("huge_pages").at("collapse"), false);
  ASSERT_FALSE(j.at("problems").empty());
  EXPECT_NE(j["problems"][0].at("remedy").get<std::string>().find("CADRE_PAGES"), std::string::npos);
}

TEST(CliOutput, AFullDeviceIsExit1AndSaysSo) {
  for (const std::vector<std::string>& a : {std::vector<std::string>{"--version"}, {"--help"}, {"kernels"}, {"doctor", "--json"}}) {
    const Outcome o = run_cadre(a, {.stdout_file = "/dev/full"});
    EXPECT_EQ(o.exit, 1);
    EXPECT_EQ(o.err, "cadre: write to standard output: No space left on device\n");
  }
}

TEST(CliOutput, S2AReaderThatHasLeftIsExit141) {
  const Outcome o = run_cadre({"kernels"}, {.stdout_closed_pipe = true});
  EXPECT_EQ(o.exit, 141);
  EXPECT_EQ(o.signal, 0);
  EXPECT_EQ(o.err, "");
}

}  // namespace
}  // namespace cadre::test
