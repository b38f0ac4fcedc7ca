#pragma once
/* Runs a kernel by its contract alone, in this thread, on copies of vectors:

     SerialRun run(kernel("axpy", Level::v3));
     run.in(x).in(y, {}, 3).param("a", 2).cut({.seed = 7, .chunks = 5});
     ASSERT_EQ(run(), CADRE_OK) << run.message();
     std::vector<double> z = run.out<double>("out");

   It cuts at random multiples of the grain, calls run() for every chunk twice (what it writes, it must write afresh), combines
   neighbours in a random tree, applies scatters densely or by lists with little room. Buffers end where the data end, so that
   AddressSanitizer sees a read too many. */
#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/registry.hpp>

#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace cadre::test {

using builtin::operator==;

/** A compact array that begins `offset` elements after a 64-byte boundary. */
class Tensor {
 public:
  Tensor() = default;
  Tensor(cadre_dtype dtype, std::vector<std::int64_t> shape, std::size_t offset = 0);
  template <class T>
  Tensor(const std::vector<T>& values, std::vector<std::int64_t> shape, std::size_t offset)
      : Tensor(builtin::dtype_of<T>(), shape.empty() ? std::vector<std::int64_t>{static_cast<std::int64_t>(values.size())} : shape, offset) {
    if (count_ != values.size()) throw std::logic_error("the shape does not fit the values");
    if (count_) std::memcpy(data_, values.data(), bytes());
  }

  /** A copy at another place. */
  Tensor(const Tensor& other, std::size_t offset) : Tensor(other.dtype_, other.shape_, offset) {
    if (count_) std::memcpy(data_, other.data_, bytes());
  }

  void* data() const { return data_; }
  cadre_dtype dtype() const { return dtype_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * builtin::bytes_of(dtype_); }

  /** Rows [first, first + rows), or all for rows < 0, as the contract shows them. `shape` must live as long as the result. */
  cadre_tensor view(std::vector<std::int64_t>& shape, std::int64_t first = 0, std::int64_t rows = -1) const;
  template <class T>
  std::vector<T> values() const {
    if (!(builtin::dtype_of<T>() == dtype_)) throw std::logic_error("the array is of another type");
    std::vector<T> out(count_);
    if (count_) std::memcpy(out.data(), data_, bytes());
    return out;
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  void* data_ = nullptr;
  std::vector<std::int64_t> shape_;
  cadre_dtype dtype_{};
  std::size_t count_ = 0;
};

struct Cut {
  unsigned seed = 1;
  std::uint64_t chunks = 1;         // about so many, at random places
  bool dense = true;                // scatter: columns of the chunk's own, or only the list
  std::uint64_t capacity = 4096;    // entries of the list
  std::uint64_t flushes = ~0ull;    // so many per call of run(), then CADRE_FULL
  std::size_t out_offset = 0;       // outputs begin so many elements after a 64-byte boundary
};

/** The built-in kernel of that name. */
const cadre_kernel* kernel(std::string_view name, Level level);
/** The levels that this machine can run. */
std::vector<Level> levels();

std::vector<std::int64_t> shape(std::size_t rows, std::size_t columns);

/** Random numbers between lo and hi, the same for the same seed. */
std::vector<double> uniform(std::size_t n, double lo, double hi, unsigned seed);

class SerialRun {
 public:
  explicit SerialRun(const cadre_kernel* k);
  /** The next input, in declared order; `offset` in elements from a 64-byte boundary. */
  template <class T>
  SerialRun& in(const std::vector<T>& values, std::vector<std::int64_t> shape = {}, std::size_t offset = 0) {
    inputs_.emplace_back(values, std::move(shape), offset);
    return *this;
  }
  SerialRun& in(Tensor tensor) {
    inputs_.push_back(std::move(tensor));
    return *this;
  }
  SerialRun& param(std::string_view name, double value);
  /** Asks for an optional output. */
  SerialRun& want(std::string_view name) {
    wanted_ |= 1u << output_index(name);
    return *this;
  }
  SerialRun& cut(Cut cut) {
    cut_ = cut;
    return *this;
  }

  /** All passes. CADRE_OK, or what plan(), run() or finish() returned, with message() and bad_row(). */
  int operator()();

  const cadre_plan& plan() const { return plan_; }
  const std::string& message() const { return message_; }
  std::uint64_t bad_row() const { return bad_row_; }
  const Tensor& output(std::string_view name) const { return outputs_.at(output_index(name)); }
  template <class T>
  std::vector<T> out(std::string_view name) const {
    return output(name).values<T>();
  }
  template <class T>
  std::vector<T> result(std::string_view name) const {
    return results_.at(result_index(name)).values<T>();
  }
  /** A result of one number. */
  template <class T>
  T one(std::string_view name) const {
    return result<T>(name).at(0);
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{64}); }
  };
  using Buffer = std::unique_ptr<std::byte, Free>;
  static Buffer buffer(std::size_t bytes);
  static std::vector<std::int64_t> shape_of(const cadre_shape& s) { return {s.shape, s.shape + s.ndim}; }
  std::size_t output_index(std::string_view name) const;
  std::size_t result_index(std::string_view name) const;

  int run_pass(std::mt19937& random);
  int run_part(std::uint64_t first, std::uint64_t count, void* accumulator);
  int finish();

  // ---- scatter ----
  struct Column {
    cadre_dtype dtype;
    std::uint32_t op, counts, output;
    std::vector<std::uint64_t> data;  // 8-byte words, so that any type is aligned
  };
  struct Scatter;

  static std::vector<std::uint64_t> identity_of(const Column& c);
  void make_columns();
  /** Applies what the part that just succeeded has scattered. */
  void commit();
  void publish_columns();

  const cadre_kernel& kernel_;
  std::vector<Tensor> inputs_, outputs_, results_;
  Tensor carried_, carries_;  // from the pass before; to the next
  std::vector<cadre_value> params_;
  std::uint32_t wanted_ = 0;
  Cut cut_;
  cadre_plan plan_{};
  std::string message_;
  std::uint64_t bad_row_ = 0;
  bool again_ = false;  // finish() wants its pass to be run once more
  Buffer accumulator_;
  std::vector<Column> columns_;
  std::vector<std::vector<std::uint64_t>> dense_;
  std::vector<std::uint32_t> pending_index_;
  std::vector<std::byte> pending_value_;
};

}  // namespace cadre::test
