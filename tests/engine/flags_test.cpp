/* Flags as text: what each value comes to, and the words of the refusals. */
#include <cmath>

#include <gtest/gtest.h>

#include <cadre/engine/flags.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {
namespace {

std::string refusal(const std::string& flag, const std::string& value, const std::string& where = "") {
  RunSettings settings;
  try {
    apply_flag(settings, flag, value, where);
  } catch (const Error& e) {
    return e.what();
  }
  return "(not refused)";
}

TEST(Flags, SetWhatTheySay) {
  RunSettings s;
  for (auto [flag, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"backend", "threads"}, {"workers", "1024"}, {"isa", "v3"}, {"chunk", "1099511627776"}, {"retries", "0"}, {"no-pin", "true"}, {"no-digest", "true"},
           {"json", "true"}, {"quiet", "true"}, {"no-progress", "true"}, {"plugin", "a.so\nb.so"}, {"plugin", "c.so"}, {"start", "fork"}})
    apply_flag(s, flag, value, "");
  EXPECT_EQ(s.options.backend, Backend::threads);
  EXPECT_EQ(s.options.workers, 1024);
  EXPECT_EQ(s.options.isa, Isa::v3);
  EXPECT_EQ(s.chunk, std::uint64_t{1} << 40);
  EXPECT_EQ(s.options.retries, 0);
  EXPECT_FALSE(s.options.pin);
  EXPECT_FALSE(s.digest);
  EXPECT_TRUE(s.json && s.quiet && !s.progress);
  EXPECT_EQ(s.options.plugins, (std::vector<std::string>{"a.so", "b.so", "c.so"}));
}

TEST(Flags, ASwitchThatIsFalseInAJobFileChangesNothing) {
  RunSettings s;
  apply_flag(s, "no-pin", "false", "job.toml:1");
  EXPECT_TRUE(s.options.pin);
}

TEST(Flags, J1NumbersOutOfRangeAreRefusedWithTheRange) {
  for (const char* bad : {"0", "-1", "1e9", "nan", "abc", "1025", "", "1.0", " 1", "99999999999999999999"})
    EXPECT_NE(refusal("workers", bad).find("not a whole number from 1 to 1024"), std::string::npos) << bad;
  for (const char* bad : {"0", "-1", "1099511627777", "1M"})
    EXPECT_NE(refusal("chunk", bad).find("not a whole number from 1 to 1099511627776"), std::string::npos) << bad;
  for (const char* bad : {"-1", "1001", "inf"}) EXPECT_NE(refusal("retries", bad).find("not a whole number from 0 to 1000"), std::string::npos) << bad;
  EXPECT_EQ(refusal("workers", "0", "job.toml:3"), "job.toml:3: workers = 0: not a whole number from 1 to 1024");
}

TEST(Flags, UnknownChoicesAreRefusedWithTheKnownOnes) {
  EXPECT_EQ(refusal("backend", "gpu"), "--backend gpu: not one of serial, threads, processes");
  EXPECT_EQ(refusal("isa", "v5"), "--isa v5: not one of auto, v2, v3, v4");
  EXPECT_EQ(refusal("no-pin", "maybe", "job.toml:1"), "job.toml:1: no-pin = maybe: neither true nor false");
}

TEST(Flags, AJournalIsADirectoryAndResumeASwitch) {
  RunSettings settings;
  apply_flag(settings, "journal", "d", "");
  apply_flag(settings, "resume", "true", "job.toml:3");
  EXPECT_EQ(settings.options.journal, "d");
  EXPECT_TRUE(settings.options.resume);
  EXPECT_EQ(refusal("journal", ""), "--journal: no directory is named");
}

TEST(Flags, WhatIsNotBuiltYetSaysSo) {
  for (const Flag& flag : run_flags()) {
    if (flag.built) continue;
    EXPECT_EQ(refusal(flag.name, "1"), std::string("--") + flag.name + " is not built yet");
  }
}

TEST(Flags, ABindingIsNamedOnlyByAnIdentifier) {
  EXPECT_EQ(parse_binding("x=a.npy"), (std::pair<std::string, std::string>("x", "a.npy")));
  EXPECT_EQ(parse_binding("a.npy"), (std::pair<std::string, std::string>("", "a.npy")));
  EXPECT_EQ(parse_binding("./a=b.npy"), (std::pair<std::string, std::string>("", "./a=b.npy")));
  EXPECT_EQ(parse_binding("x=a=b.npy"), (std::pair<std::string, std::string>("x", "a=b.npy")));
  EXPECT_EQ(parse_binding("1=b.npy"), (std::pair<std::string, std::string>("", "1=b.npy")));
}

TEST(Flags, ParametersKeepWholeNumbersExact) {
  EXPECT_EQ(parse_param("n=9223372036854775807").second, Param(std::int64_t{9223372036854775807}));
  EXPECT_EQ(parse_param("n=-5").second, Param(std::int64_t{-5}));
  EXPECT_EQ(parse_param("n=+5").second, Param(std::int64_t{5}));
  EXPECT_EQ(parse_param("n=1e6").second, Param(1e6));
  EXPECT_EQ(parse_param("n=0.1").second, Param(0.1));
  EXPECT_EQ(parse_param("n=-inf").second, Param(-HUGE_VAL));
}

TEST(Flags, ParametersThatAreNoNumbersAreRefused) {
  for (const char* bad : {"n", "n=", "=3", "n=abc", "n=1x", "n=1e999", "n=9223372036854775808", "n=++1", "n=+-1", "n= 1", "n=0x10", "n=--1", "n=-"})
    EXPECT_THROW(parse_param(bad), Error) << bad;
}

}  // namespace
}  // namespace cadre
