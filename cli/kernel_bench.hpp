#pragma once
/* A kernel on the examiner's bench: called for rows of sample inputs in this very process, which may die of it. */
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <cadre/kernels/loaded_plugin.hpp>

#include "plugin_check.hpp"

namespace cadre::cli {

/** Memory with nothing mapped before its first page and behind its last byte. */
class Guarded {
 public:
  explicit Guarded(std::uint64_t bytes = 0);
  Guarded(Guarded&& other) noexcept;
  Guarded& operator=(Guarded&&) = delete;
  ~Guarded();
  std::byte* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  void fill(unsigned char byte) { std::memset(data_, byte, bytes_); }
  void read_only();

 private:
  std::byte *map_ = nullptr, *data_ = nullptr;
  std::uint64_t bytes_ = 0, mapped_ = 0;
};

/** What calls gave: map outputs whole, the accumulator of the last call, the entries of a scatter. */
struct Yield {
  std::vector<std::vector<std::byte>> outputs;
  std::vector<std::byte> accumulator, entries;
  bool operator==(const Yield&) const = default;
};

class KernelBench {
 public:
  /** Loads the plug-in and plans. Throws std::runtime_error. */
  explicit KernelBench(const Subject& subject);

  const cadre_kernel& kernel() const { return kernel_; }
  const cadre_plan& plan() const { return plan_; }
  std::uint64_t rows() const { return plan_.elements; }

  /** One worker: its outputs, buffers and state. */
  class Worker {
   public:
    explicit Worker(const KernelBench& bench, std::uint32_t slot = 0);
    ~Worker();
    Worker(const Worker&) = delete;
    /** Paints all outputs. */
    void paint(unsigned char byte);
    /** Calls the kernel for rows [first, first + count), by identity() first where there is an accumulator. Throws std::runtime_error when it fails. */
    void run(std::uint64_t first, std::uint64_t count);
    /** Of the outputs, rows [first, first + count) alone. */
    Yield yield(std::uint64_t first, std::uint64_t count) const;
    const std::vector<Guarded>& outputs() const { return outputs_; }

   private:
    static int flush(cadre_scatter* scatter);
    const KernelBench& bench_;
    std::vector<Guarded> outputs_;
    Guarded accumulator_, scratch_, index_, value_;
    std::vector<std::byte> entries_;
    cadre_worker worker_{};
  };

  /** Bytes of a row of an output, 0 where it is not a map output. */
  std::uint64_t row_bytes(std::uint32_t output) const;
  /** What lies at an address that could not be accessed: "3 bytes behind input x". Callable from a signal handler. */
  void describe(const void* address, char* text, std::size_t size) const;

 private:
  friend class Worker;
  Plugin plugin_;
  cadre_kernel kernel_;
  cadre_plan plan_{};
  std::vector<Guarded> inputs_;
  mutable std::vector<std::pair<std::string, const Guarded*>> places_;  // for describe()
};

}  // namespace cadre::cli
