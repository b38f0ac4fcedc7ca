#pragma once
/* Lambdas as kernels. What travels to the workers is the bytes of the captures; the code is where it was when they were forked. */
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>

#include <cadre/kernels/kernel.h>
#include <cadre/shm/array.hpp>
#include <cadre/shm/padding.hpp>

namespace cadre::detail {

constexpr std::size_t kMaxLambda = 256;

/** A kernel made of a lambda, and the header of what it works on. */
struct Lambda {
  const char* name = "";
  std::uint64_t elements = 0;
  int (*run)(cadre_chunk*) = nullptr;
  void (*identity)(const cadre_plan*, void*) = nullptr;
  void (*combine)(const cadre_plan*, void*, const void*) = nullptr;
  std::uint64_t accumulator_bytes = 0;
  std::uint64_t rows = 0;          // scatter
  cadre_dtype value{};             // scatter: type of bins and values
  std::size_t captured = 0;
  alignas(16) std::array<std::byte, kMaxLambda> capture{};
};

template <class F>
void capture(Lambda& lambda, const F& f) {
  static_assert(std::is_trivially_copyable_v<F>,
                "a lambda for the workers must be trivially copyable: capture numbers and pointers into shared arrays by value, no strings, vectors or smart pointers");
  static_assert(sizeof(F) <= kMaxLambda, "a lambda for the workers may capture up to 256 bytes: put larger things into a shared array");
  static_assert(alignof(F) <= 16, "a lambda for the workers may not be aligned to more than 16 bytes");
  lambda.captured = std::is_empty_v<F> ? 0 : sizeof(F);
  if (lambda.captured > 0) copy_without_padding(lambda.capture.data(), f);
}

/** The lambda as the worker has it. An empty one has no bytes to travel. */
template <class F>
const F& lambda_of(const cadre_chunk* c) {
  static const char nothing[16] = {};
  return *reinterpret_cast<const F*>(std::is_empty_v<F> ? static_cast<const void*>(nothing) : c->state);
}

/** Exceptions do not cross the C contract: their text does. */
template <class Body>
int guarded(cadre_chunk* c, Body&& body) {
  const auto tell = [c](const char* what) { std::snprintf(c->message, sizeof c->message, "exception: %s", what); };
  try {
    return body();
  } catch (const std::exception& e) {
    tell(e.what());
  } catch (...) {
    tell("not a std::exception");
  }
  return CADRE_FULL + 1;
}

template <class X>
const X* input(const cadre_chunk* c, int i) {
  return static_cast<const X*>(c->inputs[i].data);
}

inline void require_same_size(std::size_t a, std::size_t b) {
  if (a != b) throw Error("map: the arrays have " + std::to_string(a) + " and " + std::to_string(b) + " elements: they must be of one size");
}

template <class X, class Y, class F>
Lambda make_map(const Array<X>& x, const Array<Y>& y, const F& f) {
  static_assert(!std::is_const_v<Y>, "the output array may only be read");
  static_assert(std::is_invocable_r_v<std::remove_cv_t<Y>, const F&, const std::remove_cv_t<X>&>, "the lambda must take an element of x and give one of y");
  require_same_size(x.size(), y.size());
  Lambda lambda{.name = "map", .elements = x.size()};
  capture(lambda, f);
  lambda.run = [](cadre_chunk* c) {
    return guarded(c, [c] {
      const F& f = lambda_of<F>(c);
      const auto* in = input<X>(c, 0);
      auto* out = static_cast<Y*>(c->outputs[0].data);
      for (std::uint64_t i = 0; i < c->count; ++i) out[i] = f(in[i]);
      return static_cast<int>(CADRE_OK);
    });
  };
  return lambda;
}

template <class X1, class X2, class Y, class F>
Lambda make_map(const Array<X1>& x1, const Array<X2>& x2, const Array<Y>& y, const F& f) {
  static_assert(!std::is_const_v<Y>, "the output array may only be read");
  require_same_size(x1.size(), x2.size());
  require_same_size(x1.size(), y.size());
  Lambda lambda{.name = "map", .elements = x1.size()};
  capture(lambda, f);
  lambda.run = [](cadre_chunk* c) {
    return guarded(c, [c] {
      const F& f = lambda_of<F>(c);
      const auto* a = input<X1>(c, 0);
      const auto* b = input<X2>(c, 1);
      auto* out = static_cast<Y*>(c->outputs[0].data);
      for (std::uint64_t i = 0; i < c->count; ++i) out[i] = f(a[i], b[i]);
      return static_cast<int>(CADRE_OK);
    });
  };
  return lambda;
}

/** The accumulator of reduce: nothing, or the value of the elements so far. */
template <class T>
struct Folded {
  T value;
  bool some;
};

template <class T, class X, class F>
Lambda make_reduce(const Array<X>& x, const F& f) {
  static_assert(std::is_trivially_copyable_v<T>, "the value of reduce must be trivially copyable");
  static_assert(std::is_convertible_v<X, T>, "an element must convert to the value of reduce: each chunk starts from its first one");
  Lambda lambda{.name = "reduce", .elements = x.size()};
  capture(lambda, f);
  lambda.accumulator_bytes = sizeof(Folded<T>);
  lambda.identity = [](const cadre_plan*, void* at) { new (at) Folded<T>{T{}, false}; };
  lambda.run = [](cadre_chunk* c) {
    return guarded(c, [c] {
      const F& f = lambda_of<F>(c);
      const auto* in = input<X>(c, 0);
      T value = static_cast<T>(in[0]);
      for (std::uint64_t i = 1; i < c->count; ++i) value = f(value, static_cast<T>(in[i]));
      *static_cast<Folded<T>*>(c->accumulator) = {value, true};
      return static_cast<int>(CADRE_OK);
    });
  };
  // combine() is handed no chunk: the lambda's bytes lie behind the plan's parameters, where run_lambda puts their address.
  lambda.combine = [](const cadre_plan* plan, void* into, const void* from) {
    auto& a = *static_cast<Folded<T>*>(into);
    const auto& b = *static_cast<const Folded<T>*>(from);
    cadre_chunk c{};
    c.state = const_cast<void*>(plan->previous);
    if (!a.some)
      a = b;
    else if (b.some)
      a.value = lambda_of<F>(&c)(a.value, b.value);
  };
  return lambda;
}

template <class R>
cadre_dtype element_type() {
  return {static_cast<std::uint8_t>(std::is_floating_point_v<R> ? CADRE_FLOAT : std::is_signed_v<R> ? CADRE_INT : CADRE_UINT), static_cast<std::uint8_t>(sizeof(R) * 8), 1};
}

/** What a scatter lambda calls: add(bin, value). */
template <class R>
class Adder {
 public:
  explicit Adder(cadre_scatter* scatter) : s_(scatter) {}
  void operator()(std::size_t bin, R value) {
    if (bin >= s_->rows) [[unlikely]] {
      outside_ = true;
      outside_bin_ = bin;
      return;
    }
    if (s_->used == s_->capacity && outcome_ == CADRE_OK) outcome_ = s_->flush(s_);
    if (outcome_ != CADRE_OK) [[unlikely]]
      return;
    s_->index[s_->used] = static_cast<std::uint32_t>(bin);
    static_cast<R*>(s_->value)[s_->used++] = value;
  }
  int outcome() const { return outcome_; }
  bool outside() const { return outside_; }
  std::size_t outside_bin() const { return outside_bin_; }

 private:
  cadre_scatter* s_;
  int outcome_ = CADRE_OK;
  bool outside_ = false;
  std::size_t outside_bin_ = 0;
};

template <class R, class X, class F>
Lambda make_scatter(std::size_t bins, const Array<X>& x, const F& f) {
  static_assert(std::is_arithmetic_v<R> && !std::is_same_v<R, bool>, "bins hold numbers");
  Lambda lambda{.name = "scatter", .elements = x.size()};
  capture(lambda, f);
  lambda.rows = bins;
  lambda.value = element_type<R>();
  lambda.run = [](cadre_chunk* c) {
    return guarded(c, [c] {
      const F& f = lambda_of<F>(c);
      const auto* in = input<X>(c, 0);
      Adder<R> add(c->scatter);
      for (std::uint64_t i = 0; i < c->count; ++i) {
        f(in[i], add);
        if (add.outside()) {
          c->bad_row = c->first + i;
          std::snprintf(c->message, sizeof c->message, "bin %zu is out of range: there are %llu", add.outside_bin(), static_cast<unsigned long long>(c->scatter->rows));
          return static_cast<int>(CADRE_BAD_DATA);
        }
        if (add.outcome() != CADRE_OK) return add.outcome();
      }
      return static_cast<int>(CADRE_OK);
    });
  };
  return lambda;
}

}  // namespace cadre::detail
