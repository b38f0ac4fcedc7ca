#pragma once
/* Memory as a good threaded program takes it: anonymous, on 2 MiB pages, touched first by the threads that will work on it. */
#include <sys/mman.h>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include <cadre/bench/team.hpp>

namespace cadre::bench {

template <class T>
class HugeArray {
 public:
  explicit HugeArray(std::size_t n) : size_(n), bytes_((n * sizeof(T) + 2 * kHuge - 1) / kHuge * kHuge) {
    base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    madvise(base_, bytes_, MADV_HUGEPAGE);
    auto address = (reinterpret_cast<std::size_t>(base_) + kHuge - 1) / kHuge * kHuge;
    data_ = reinterpret_cast<T*>(address);
    char* bytes = reinterpret_cast<char*>(data_);
    each_part(n * sizeof(T), kHuge, [bytes](std::size_t first, std::size_t count) {
      for (std::size_t at = first; at < first + count; at += 4096) bytes[at] = 0;
    });
  }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;
  ~HugeArray() { munmap(base_, bytes_); }

  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }
  std::span<T> span() const noexcept { return {data_, size_}; }

 private:
  static constexpr std::size_t kHuge = std::size_t{2} << 20;
  std::size_t size_, bytes_;
  void* base_;
  T* data_;
};

template <class T>
std::shared_ptr<HugeArray<T>> huge_array(std::size_t n) {
  return std::make_shared<HugeArray<T>>(n);
}

}  // namespace cadre::bench
