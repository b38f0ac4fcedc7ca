#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <vector>

#include <cadre/shm/npy.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/shm/worker_view.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

class NpyFileTest : public LeakCheck {
 protected:
  TempDir directory_;
};

TEST_F(NpyFileTest, WhatIsWrittenIsMappedAgain) {
  std::vector<double> values(10'000);
  std::iota(values.begin(), values.end(), 0.5);
  write_npy(directory_ / "x.npy", DType::f64, {100, 100}, values.data());
  const AnyArray x = open_npy(directory_ / "x.npy");
  EXPECT_EQ(x.shape, (Shape{100, 100}));
  EXPECT_FALSE(x.writable);
  EXPECT_EQ(x.as<const double>()(99, 99), 9999.5);
  EXPECT_TRUE(Arena::instance().contains_file(x.data));
  EXPECT_EQ(x.storage->bytes(), 128u + 80'000u);
  EXPECT_EQ(x.data, x.storage->data() + 128);
  ASSERT_NE(x.storage->file(), nullptr);
  EXPECT_FALSE(x.storage->file()->writable);
  EXPECT_EQ(x.storage->file()->path, directory_ / "x.npy");
}

TEST_F(NpyFileTest, AMappedInputCanNotBeWritten) {
  write_npy(directory_ / "x.npy", DType::u8, {3}, "abc");
  const AnyArray x = open_npy(directory_ / "x.npy");
  EXPECT_EQ(in_child([&] {
              signal(SIGSEGV, SIG_DFL);
              *reinterpret_cast<volatile char*>(x.data) = 1;
              return 0;
            }),
            "signal 11");
}

TEST_F(NpyFileTest, AWorkerMapsItThroughTheCallersDescriptorEvenWhenTheNameIsGone) {
  write_npy(directory_ / "x.npy", DType::u8, {3}, "abc");
  const AnyArray x = open_npy(directory_ / "x.npy");
  std::filesystem::remove(directory_ / "x.npy");
  const pid_t caller = getpid();
  EXPECT_EQ(in_child([&] {
              if (enter_worker_view(caller) != 0) return 1;
              const Mapping mapping{reinterpret_cast<std::uint64_t>(x.storage->data()), x.storage->bytes(), x.storage->file()->serial, x.storage->file()->fd, 0};
              std::size_t failed = 0;
              if (map_for_job({&mapping, 1}, failed) != 0) return 2;
              return std::memcmp(x.data, "abc", 3) == 0 ? 0 : 3;
            }),
            "exit 0");
}

TEST_F(NpyFileTest, NoElementsNeedNoMappingAndNoDescriptor) {
  write_npy(directory_ / "x.npy", DType::f64, {0, 5}, nullptr);
  const std::size_t before = open_descriptors();
  const AnyArray x = open_npy(directory_ / "x.npy");
  EXPECT_EQ(x.shape, (Shape{0, 5}));
  EXPECT_EQ(x.elements(), 0u);
  EXPECT_EQ(x.storage->file(), nullptr);
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(mapped_files(), "");
}

TEST_F(NpyFileTest, ZeroDimensionsAreOneElement) {
  const float value = 2.5f;
  write_npy(directory_ / "x.npy", DType::f32, {}, &value);
  EXPECT_EQ(open_npy(directory_ / "x.npy").as<const float>()[0], 2.5f);
}

TEST_F(NpyFileTest, InspectionTellsOneFileUnderTwoNames) {
  write_npy(directory_ / "x.npy", DType::i64, {0}, nullptr);
  std::filesystem::create_hard_link(directory_ / "x.npy", directory_ / "y.npy");
  write_npy(directory_ / "z.npy", DType::i64, {0}, nullptr);
  const NpyInfo x = inspect_npy(directory_ / "x.npy"), y = inspect_npy(directory_ / "y.npy"), z = inspect_npy(directory_ / "z.npy");
  EXPECT_EQ(x.type, DType::i64);
  EXPECT_EQ(x.inode, y.inode);
  EXPECT_EQ(x.device, y.device);
  EXPECT_NE(x.inode, z.inode);
}

TEST_F(NpyFileTest, EveryMappingHasASerialOfItsOwn) {
  write_npy(directory_ / "x.npy", DType::u8, {3}, "abc");
  const AnyArray a = open_npy(directory_ / "x.npy"), b = open_npy(directory_ / "x.npy");
  EXPECT_NE(a.storage->file()->serial, b.storage->file()->serial);
  EXPECT_NE(a.data, b.data);
}

}  // namespace
