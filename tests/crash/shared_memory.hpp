#pragma once
/* A small shared memory that can be copied, compared and put back: what survives a worker. */
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cadre::crash {

inline std::uint64_t address_of(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

constexpr std::size_t kPage = 4096, kLine = 64;

/** The pages that were ever written, and what is in them. */
struct Image {
  std::vector<std::uint32_t> pages;   // page numbers, ascending
  std::vector<std::byte> bytes;       // kPage of each
};

/** A line that differs from the image before. */
struct Change {
  std::uint32_t line;
  std::byte bytes[kLine];
};

class SharedMemory {
 public:
  /** A file of `bytes` in memory, mapped shared. Children see the same, at the same address. */
  explicit SharedMemory(std::size_t bytes);
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  std::byte* base() const { return base_; }
  /** `count` objects in memory that nobody has written, at a line of its own. */
  template <class T>
  T* place(std::size_t count = 1, std::size_t alignment = kLine) {
    return reinterpret_cast<T*>(place_bytes(count * sizeof(T), alignment));
  }

  /** Puts another, empty memory at the same address, for this process and the children that it makes. */
  void replace();

  Image image() const;
  /** Makes the memory what the image says; pages that it lacks become zero. */
  void restore(const Image& image) const;
  /** What has changed since `image`, which is brought up to date. */
  std::vector<Change> changes_since(Image& image) const;

  static void apply(const std::vector<Change>& changes, Image& image);

 private:
  std::byte* place_bytes(std::size_t bytes, std::size_t alignment);
  const std::vector<std::uint32_t>& written_pages() const;

  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0, used_ = 0;
  int fd_ = -1;
  mutable std::vector<std::uint32_t> written_;
  mutable std::int64_t blocks_ = -1;   // of the file, when `written_` was found
};

}  // namespace cadre::crash
