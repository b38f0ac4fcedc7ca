#include <sys/resource.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include <cadre/shm/memory.hpp>
#include <cadre/shm/npy.hpp>
#include <cadre/shm/npy_file.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

class NpyOutputTest : public LeakCheck {
 protected:
  TempDir directory_;
};
class FaultR5 : public NpyOutputTest {};

TEST_F(NpyOutputTest, AppearsWholeWhenCommittedAndNotBefore) {
  const std::string path = directory_ / "y.npy";
  {
    NpyOutput out(path, DType::f64, {1000});
    const Array<double> y = out.array().as<double>();
    EXPECT_TRUE(y.storage()->file()->writable);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<double>(i);
    EXPECT_FALSE(std::filesystem::exists(path));
    out.commit();
    EXPECT_EQ(y[999], 999.0) << "the array stays mapped after the commit";
  }
  EXPECT_EQ(directory_.entries(), 1u);
  EXPECT_EQ(std::filesystem::file_size(path), 128u + 8000u);
  EXPECT_EQ(open_npy(path).as<const double>()[999], 999.0);
}

TEST_F(NpyOutputTest, LeavesNothingWhenItIsNotCommitted) {
  { NpyOutput out(directory_ / "y.npy", DType::f64, {1000}); }
  EXPECT_EQ(directory_.entries(), 0u);
}

TEST_F(NpyOutputTest, TheArrayOutlivesTheOutput) {
  AnyArray y;
  {
    NpyOutput out(directory_ / "y.npy", DType::u8, {10});
    y = out.array();
    out.commit();
  }
  y.as<std::uint8_t>()[9] = 7;
  EXPECT_EQ(open_npy(directory_ / "y.npy").as<const std::uint8_t>()[9], 7);
}

TEST_F(NpyOutputTest, ReplacesAFileInOneStepAndFollowsALink) {
  write_npy(directory_ / "real.npy", DType::u8, {3}, "old");
  std::filesystem::create_symlink("real.npy", directory_ / "link.npy");
  const AnyArray before = open_npy(directory_ / "link.npy");
  write_npy(directory_ / "link.npy", DType::u8, {3}, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(directory_ / "link.npy"));
  EXPECT_EQ(std::memcmp(open_npy(directory_ / "real.npy").data, "new", 3), 0);
  EXPECT_EQ(std::memcmp(before.data, "old", 3), 0) << "who had the old file mapped keeps it";
}

TEST_F(NpyOutputTest, OfNoElementsIsAHeaderAlone) {
  {
    NpyOutput out(directory_ / "y.npy", DType::i32, {0});
    EXPECT_EQ(out.array().elements(), 0u);
    out.commit();
  }
  EXPECT_EQ(std::filesystem::file_size(directory_ / "y.npy"), 128u);
}

TEST_F(NpyOutputTest, HasThePermissionsThatTheUmaskLeaves) {
  const mode_t mask = umask(027);
  write_npy(directory_ / "y.npy", DType::u8, {1}, "a");
  umask(mask);
  struct stat status{};
  ASSERT_EQ(stat((directory_ / "y.npy").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(NpyOutputTest, RefusesBeforehandWhatCanNotTakeItsName) {
  const auto refusal = [](const std::string& path) { return error_of([&] { NpyOutput::check(path); }); };
  const std::string missing = directory_ / "none/y.npy", file = directory_.file("file", "x");
  EXPECT_EQ(refusal(""), "the name of an output file must not be empty nor contain a NUL");
  EXPECT_EQ(refusal(missing), missing + ": the directory " + directory_.path() + "/none does not exist");
  EXPECT_EQ(refusal(directory_.path()), directory_.path() + ": is a directory; an output must be a regular file or a new name");
  EXPECT_EQ(refusal("/dev/null"), "/dev/null: is a character device; an output must be a regular file or a new name");
  EXPECT_EQ(refusal(directory_ / "new/"), (directory_ / "new/") + ": names a directory; an output needs a file name");
  std::filesystem::create_symlink(directory_ / "nothing", directory_ / "dangling");
  EXPECT_EQ(refusal(directory_ / "dangling"), (directory_ / "dangling") + ": is a link to a file that does not exist");
  EXPECT_EQ(refusal(directory_ / "y.npy"), "nothing was thrown");
  EXPECT_EQ(refusal("y.npy"), "nothing was thrown");
}

TEST_F(NpyOutputTest, RefusesDirectoriesAndFilesThatMayNotBeWritten) {
  std::filesystem::create_directory(directory_ / "locked");
  const std::string path = directory_ / "locked/y.npy", old = directory_.file("old.npy", "x");
  std::filesystem::permissions(directory_ / "locked", std::filesystem::perms(0555));
  std::filesystem::permissions(old, std::filesystem::perms(0444));
  const auto as_nobody = [](const std::string& name) {
    return in_child([&] {
      if (geteuid() == 0 && setuid(65534) != 0) return 1;
      NpyOutput::check(name);
      return 0;
    });
  };
  EXPECT_EQ(as_nobody(path), "threw " + path + ": no file can be made in " + directory_.path() + "/locked: Permission denied");
  EXPECT_EQ(as_nobody(old), "threw " + old + ": is there and may not be written: Permission denied");
}

TEST_F(FaultR5, AnOutputPastTheFileSizeLimitIsRefusedAndLeavesNothing) {
  const std::string path = directory_ / "y.npy";
  const auto limited = [](auto act) {
    return in_child([&] {
      const rlimit limit{1 << 20, 1 << 20};
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
      act();
      return 0;
    });
  };
  EXPECT_EQ(limited([&] { NpyOutput(path, DType::u8, {1 << 21}); }), "threw reserve 2.0 MiB for " + path + ": File too large (errno 27)");
  const std::vector<char> data(1 << 21);
  EXPECT_EQ(limited([&] { write_npy(path, DType::u8, {1 << 21}, data.data()); }), "threw write " + path + ": File too large (errno 27)");
  EXPECT_EQ(directory_.entries(), 0u);
}

TEST_F(FaultR5, AnOutputThatTheDiskCanNotHoldIsRefusedAndLeavesNothing) {
  const std::filesystem::space_info space = std::filesystem::space(directory_.path());
  const auto elements = static_cast<std::int64_t>(space.available + (std::uint64_t{1} << 30));
  const std::string path = directory_ / "y.npy", error = error_of([&] { NpyOutput(path, DType::u8, {elements}); });
  EXPECT_EQ(error.rfind(path, 0), 0u) << error;  // on a tmpfs it is memory that does not suffice
  EXPECT_NE(error.find(" needs " + human_bytes(static_cast<std::uint64_t>(elements) + 128) + ", but "), std::string::npos) << error;
  EXPECT_EQ(directory_.entries(), 0u);
}

}  // namespace
