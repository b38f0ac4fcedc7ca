#include "shared_memory.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <cadre/shm/error.hpp>

namespace cadre::crash {

namespace {

int memory_file(std::size_t bytes) {
  const int fd = memfd_create("crash", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) throw_errno("make the crash test's memory", errno, Error::Kind::failed);
  return fd;
}

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes) : bytes_(bytes), fd_(memory_file(bytes)) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) throw_errno("map the crash test's memory", errno, Error::Kind::failed);
  base_ = static_cast<std::byte*>(at);
}

SharedMemory::~SharedMemory() {
  munmap(base_, bytes_);
  close(fd_);
}

void SharedMemory::replace() {
  const int fd = memory_file(bytes_);
  if (mmap(base_, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) throw_errno("map the crash test's memory", errno, Error::Kind::failed);
  close(fd_);
  fd_ = fd;
  blocks_ = -1;
}

std::byte* SharedMemory::place_bytes(std::size_t bytes, std::size_t alignment) {
  used_ = (used_ + alignment - 1) / alignment * alignment;
  std::byte* at = base_ + used_;
  used_ += bytes;
  CADRE_CHECK(used_ <= bytes_);
  return at;
}

const std::vector<std::uint32_t>& SharedMemory::written_pages() const {
  struct stat now;
  CADRE_CHECK(fstat(fd_, &now) == 0);
  if (now.st_blocks == blocks_) return written_;  // pages come and never go
  blocks_ = now.st_blocks;
  written_.clear();
  constexpr auto kPageOff = static_cast<off_t>(kPage);
  for (off_t at = 0;;) {
    const off_t data = lseek(fd_, at, SEEK_DATA);
    if (data < 0) return written_;
    at = lseek(fd_, data, SEEK_HOLE);
    for (off_t page = data / kPageOff; page < (at + kPageOff - 1) / kPageOff; ++page) written_.push_back(static_cast<std::uint32_t>(page));
  }
}

Image SharedMemory::image() const {
  Image image;
  image.pages = written_pages();
  image.bytes.resize(image.pages.size() * kPage);
  for (std::size_t i = 0; i < image.pages.size(); ++i) std::memcpy(image.bytes.data() + i * kPage, base_ + image.pages[i] * kPage, kPage);
  return image;
}

void SharedMemory::restore(const Image& image) const {
  for (const std::uint32_t page : written_pages())
    if (!std::binary_search(image.pages.begin(), image.pages.end(), page)) std::memset(base_ + page * kPage, 0, kPage);
  for (std::size_t i = 0; i < image.pages.size(); ++i) std::memcpy(base_ + image.pages[i] * kPage, image.bytes.data() + i * kPage, kPage);
}

namespace {

std::byte* page_of(Image& image, std::uint32_t page) {
  const auto at = std::lower_bound(image.pages.begin(), image.pages.end(), page);
  const auto i = at - image.pages.begin();
  if (at == image.pages.end() || *at != page) {
    image.pages.insert(at, page);
    image.bytes.insert(image.bytes.begin() + i * static_cast<std::ptrdiff_t>(kPage), kPage, std::byte{0});
  }
  return image.bytes.data() + i * static_cast<std::ptrdiff_t>(kPage);
}

}  // namespace

std::vector<Change> SharedMemory::changes_since(Image& image) const {
  std::vector<Change> changes;
  for (const std::uint32_t page : written_pages()) {
    std::byte* before = page_of(image, page);
    const std::byte* now = base_ + page * kPage;
    if (std::memcmp(before, now, kPage) == 0) continue;
    for (std::size_t line = 0; line < kPage / kLine; ++line) {
      if (std::memcmp(before + line * kLine, now + line * kLine, kLine) == 0) continue;
      Change& change = changes.emplace_back();
      change.line = static_cast<std::uint32_t>(page * (kPage / kLine) + line);
      std::memcpy(change.bytes, now + line * kLine, kLine);
      std::memcpy(before + line * kLine, now + line * kLine, kLine);
    }
  }
  return changes;
}

void SharedMemory::apply(const std::vector<Change>& changes, Image& image) {
  for (const Change& c : changes)
    std::memcpy(page_of(image, c.line / (kPage / kLine)) + c.line % (kPage / kLine) * kLine, c.bytes, kLine);
}

}  // namespace cadre::crash
