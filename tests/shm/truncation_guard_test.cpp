/* Line F3 of the table of faults. */
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include <cadre/shm/heap.hpp>
#include <cadre/shm/npy.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/shm/truncation_guard.hpp>
#include <cadre/shm/worker_view.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

constexpr std::int64_t kElements = 100'000;

class FaultF3 : public LeakCheck {
 protected:
  void SetUp() override {
    LeakCheck::SetUp();
    where_ = Heap::instance().construct<std::atomic<const void*>>(nullptr);
    const std::vector<std::uint8_t> ones(kElements, 1);
    path_ = directory_ / "x.npy";
    write_npy(path_, DType::u8, {kElements}, ones.data());
  }
  void TearDown() override {
    Heap::instance().destroy(where_);
    LeakCheck::TearDown();
  }
  TempDir directory_;
  std::string path_;
  std::atomic<const void*>* where_ = nullptr;
};

TEST_F(FaultF3, ATruncatedInputReadsAsZerosAndIsNoted) {
  const AnyArray x = open_npy(path_);
  EXPECT_EQ(in_child([&] {
              install_truncation_guard(where_);
              if (truncate(path_.c_str(), 4096) != 0) return 1;
              const auto* data = reinterpret_cast<const volatile std::uint8_t*>(x.data);
              if (data[0] != 1) return 2;           // on the page that is left
              if (data[50'000] != 0) return 3;      // beyond the end
              if (data[kElements - 1] != 0) return 4;
              return 0;
            }),
            "exit 0");
  EXPECT_EQ(where_->load(), x.data + 50'000) << "the first address is the one that is kept";
}

TEST_F(FaultF3, WithoutTheGuardItIsDeath) {
  const AnyArray x = open_npy(path_);
  EXPECT_EQ(in_child([&] {
              signal(SIGBUS, SIG_DFL);
              if (truncate(path_.c_str(), 4096) != 0) return 1;
              return int{*reinterpret_cast<const volatile std::uint8_t*>(x.data + 50'000)};
            }),
            "signal " + std::to_string(SIGBUS));
}

TEST_F(FaultF3, ATruncatedOutputIsNotedInAWorkersWindowUnderTheCallersAddress) {
  NpyOutput out(directory_ / "y.npy", DType::u8, {kElements});
  const AnyArray y = out.array();
  const Storage::File* file = y.storage->file();
  const pid_t caller = getpid();
  EXPECT_EQ(in_child([&] {
              if (enter_worker_view(caller) != 0) return 1;
              install_truncation_guard(where_);
              const Mapping mapping{reinterpret_cast<std::uint64_t>(y.storage->data()), y.storage->bytes(), file->serial, file->fd, 1};
              std::size_t failed = 0;
              if (map_for_job({&mapping, 1}, failed) != 0) return 2;
              volatile auto* data = reinterpret_cast<volatile std::uint8_t*>(window(y.data));
              data[0] = 5;
              if (ftruncate(file->fd, 4096) != 0) return 3;
              data[70'000] = 6;
              return data[0] == 5 ? 0 : 4;
            }),
            "exit 0");
  EXPECT_EQ(where_->load(), y.data + 70'000);
}

TEST_F(FaultF3, OtherBusErrorsStillEndTheProcessOrReachTheHandlerBefore) {
  EXPECT_EQ(in_child([&] {
              signal(SIGBUS, SIG_DFL);
              install_truncation_guard(where_);
              raise(SIGBUS);
              return 0;
            }),
            "signal " + std::to_string(SIGBUS));
  const int fd = memfd_create("short", MFD_CLOEXEC);
  void* const beyond = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  EXPECT_EQ(in_child([&] {
              signal(SIGBUS, SIG_DFL);
              install_truncation_guard(where_);
              return int{*static_cast<volatile char*>(beyond)};
            }),
            "signal " + std::to_string(SIGBUS));
  EXPECT_EQ(in_child([&] {
              signal(SIGBUS, [](int) { _exit(77); });
              install_truncation_guard(where_);
              install_truncation_guard(where_);  // a second call does not chain to itself
              return int{*static_cast<volatile char*>(beyond)};
            }),
            "exit 77");
  munmap(beyond, 4096);
  close(fd);
  EXPECT_EQ(where_->load(), nullptr);
}

}  // namespace
