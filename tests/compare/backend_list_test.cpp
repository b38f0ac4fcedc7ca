/* The syntax of --backends, --workers and --sizes. */
#include <gtest/gtest.h>

#include <cadre/compare/backend_list.hpp>
#include <cadre/shm/error.hpp>

namespace cadre::compare {
namespace {

TEST(BackendList, EverySettingOfTheContractIsRead) {
  const auto all = parse_backends("serial,threads,threads:combine=private,processes,processes:pages=4k,processes:start=spawn:pin=no,processes", {});
  ASSERT_EQ(all.size(), 7u);
  EXPECT_EQ(all[0].backend, Backend::serial);
  EXPECT_FALSE(all[1].private_copies);
  EXPECT_TRUE(all[2].private_copies);
  EXPECT_EQ(all[2].text, "threads:combine=private");
  EXPECT_TRUE(all[3].pin);
  EXPECT_TRUE(all[4].small_pages);
  EXPECT_EQ(all[5].start, StartMethod::spawn);
  EXPECT_FALSE(all[5].pin);
  EXPECT_EQ(all[6].text, "processes");
}

TEST(BackendList, WhatAnEntryDoesNotSayIsAsTheFlagsOfRunSay) {
  const auto all = parse_backends("processes,processes:pin=yes:start=fork:pages=huge", {.start = StartMethod::forkserver, .pin = false});
  EXPECT_EQ(all[0].start, StartMethod::forkserver);
  EXPECT_FALSE(all[0].pin);
  EXPECT_EQ(all[1].start, StartMethod::fork);
  EXPECT_TRUE(all[1].pin);
  EXPECT_FALSE(all[1].small_pages);
}

void expect_refused(const std::string& list, const std::string& why) {
  try {
    parse_backends(list, {});
    ADD_FAILURE() << list << " was taken";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "--backends: " + why);
    EXPECT_EQ(e.kind(), Error::Kind::usage);
  }
}

TEST(BackendList, WhatIsWrongIsNamedWithWhatWouldBeRight) {
  expect_refused("serial,gpu", "gpu: the backends are serial, threads and processes; write them like serial,threads,processes:pages=4k");
  expect_refused("serial,,threads", "an empty entry: the backends are serial, threads and processes; write them like serial,threads,processes:pages=4k");
  expect_refused("threads:start=spawn", "threads:start=spawn: start= is a setting of processes alone");
  expect_refused("processes:combine=private", "processes:combine=private: combine= is a setting of threads alone");
  expect_refused("processes:start=clone", "processes:start=clone: start= is fork, forkserver or spawn, not clone");
  expect_refused("processes:pages=2m", "processes:pages=2m: pages= is huge or 4k, not 2m");
  expect_refused("processes:pin", "processes:pin: pin= is yes or no, not nothing");
  expect_refused("processes:page=4k", "processes:page=4k: there is no setting page; did you mean pages?");
}

TEST(NumberLists, TakeUnitsWhereSizesAreMeant) {
  EXPECT_EQ(parse_numbers("--sizes", "1M,1000,2K,1G", std::uint64_t{1} << 40, true), (std::vector<std::uint64_t>{1u << 20, 1000, 2048, 1u << 30}));
  EXPECT_EQ(parse_numbers("--workers", "1,2,8", 1024, false), (std::vector<std::uint64_t>{1, 2, 8}));
  for (const char* bad : {"", "0", "1,", "1.5", "2000", "-1", "1M", "x"}) EXPECT_THROW(parse_numbers("--workers", bad, 1024, false), Error) << bad;
  for (const char* bad : {"M", "0K", "1T", "1MB", "99999999999999999999"}) EXPECT_THROW(parse_numbers("--sizes", bad, std::uint64_t{1} << 40, true), Error) << bad;
}

}  // namespace
}  // namespace cadre::compare
