#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <cadre/shm/sanitizers.hpp>

#include "../support/temp_dir.hpp"

namespace {

constexpr bool kSanitized = CADRE_UNDER_ASAN || CADRE_UNDER_TSAN;

std::string probe(const std::string& arguments, const std::string& environment = "") {
  FILE* out = popen((environment + " " ARENA_PROBE " " + arguments + " 2>&1").c_str(), "r");
  std::string text;
  char part[512];
  while (std::fgets(part, sizeof part, out)) text += part;
  pclose(out);
  return text;
}

unsigned long long number(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name + "=");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size() + 1, nullptr, 0);
}

TEST(ArenaLimits, TheDefaultIsSealedAndFileSizeSignalsAreIgnored) {
  const std::string got = probe("");
  EXPECT_EQ(number(got, "base"), kSanitized ? 0x7ea000000000 : 0x200000000000) << got;
  EXPECT_EQ(number(got, "size"), kSanitized ? 1ull << 36 : 1ull << 40) << got;
  EXPECT_EQ(number(got, "heap"), 64ull << 20) << got;
  EXPECT_EQ(number(got, "sealed"), 1u) << got;
  EXPECT_EQ(number(got, "xfsz_ignored"), 1u) << got;
}

TEST(ArenaLimits, TheEnvironmentChoosesBaseAndSize) {
  const std::string got = probe("allocate=0x200000", "CADRE_ARENA_BASE=0x7eb000000000 CADRE_ARENA_SIZE=134217728");
  EXPECT_EQ(number(got, "base"), 0x7eb000000000) << got;
  EXPECT_EQ(number(got, "size"), 128ull << 20) << got;
  EXPECT_EQ(number(got, "heap"), 16ull << 20) << got;
  EXPECT_NE(got.find("allocated"), std::string::npos) << got;
}

TEST(ArenaLimits, NonsenseInTheEnvironmentIsRefusedByName) {
  EXPECT_NE(probe("", "CADRE_ARENA_SIZE=lots").find("error: CADRE_ARENA_SIZE=lots is not a number of bytes"), std::string::npos);
  EXPECT_NE(probe("", "CADRE_ARENA_SIZE=-1").find("error: CADRE_ARENA_SIZE=-1 is not a number of bytes"), std::string::npos);
  EXPECT_NE(probe("", "CADRE_ARENA_SIZE=4096").find("error: CADRE_ARENA_SIZE must be at least 16 MiB"), std::string::npos);
  EXPECT_NE(probe("", "CADRE_ARENA_BASE=0x200000001000").find("error: CADRE_ARENA_BASE must be a multiple of 2 MiB"), std::string::npos);
}

TEST(ArenaLimits, WhereTheAddressIsTakenAnotherServes) {
  if (kSanitized) GTEST_SKIP() << "the sanitizers' base is another";
  EXPECT_EQ(number(probe("occupied"), "base"), 0x220000000000);
  const std::string insisted = probe("occupied", "CADRE_ARENA_BASE=0x200000000000");
  EXPECT_NE(insisted.find("error: map "), std::string::npos) << insisted;
}

TEST(ArenaLimits, TheSizeShrinksToTheAddressSpaceLimit) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need address space without limit";
  const std::string got = probe("allocate=0x4000000 as=4294967296");
  EXPECT_GT(number(got, "size"), 512ull << 20) << got;
  EXPECT_LT(number(got, "size"), (4ull << 30) / 5) << got;
  EXPECT_EQ(number(got, "size") % (2 << 20), 0u) << got;
  EXPECT_NE(got.find("allocated"), std::string::npos) << got;
  EXPECT_NE(probe("as=60000000").find("RLIMIT_AS"), std::string::npos);
}

TEST(ArenaLimits, TheSizeShrinksToTheFileSizeLimit) {
  const std::string got = probe("fsize=268435456");
  EXPECT_EQ(number(got, "size"), 256ull << 20) << got;
  EXPECT_NE(probe("fsize=1048576").find("the file size limit (RLIMIT_FSIZE) of 1.0 MiB"), std::string::npos);
}

TEST(ArenaLimits, WhatDoesNotFitTheAddressesIsRefusedWithBothFigures) {
  const std::string got = probe("allocate=104857600", "CADRE_ARENA_SIZE=0x4000000");
  EXPECT_NE(got.find("error: an array of 100.0 MiB does not fit in the shared address range: 52.0 MiB of 64.0 MiB are free in one piece"), std::string::npos) << got;
}

TEST(FaultR4, WithoutMemfdAnUnlinkedFileServes) {
  const cadre::testing::TempDir directory;
  const std::string got = probe("no-memfd allocate=0x400000", "CADRE_ARENA_SIZE=0x10000000 TMPDIR=" + directory.path());
  EXPECT_EQ(number(got, "size"), 256ull << 20) << got;
  EXPECT_NE(got.find("allocated"), std::string::npos) << got;
  EXPECT_EQ(directory.entries(), 0u);
}

TEST(FaultR4, WithoutMemfdAndWithoutADirectoryTheErrorSaysSo) {
  const std::string got = probe("no-memfd", "TMPDIR=/proc/nowhere");
  EXPECT_NE(got.find("memfd_create is refused (Operation not permitted) and no file can be made in /proc/nowhere"), std::string::npos) << got;
}

}  // namespace
