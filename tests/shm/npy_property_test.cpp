#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cadre/shm/npy.hpp>

#include "counted_new.hpp"
#include "npy_bytes.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

rc::Gen<DType> any_type() { return rc::gen::map(rc::gen::inRange(0, 10), [](int i) { return static_cast<DType>(i); }); }

rc::Gen<Shape> any_shape() {
  return rc::gen::mapcat(rc::gen::inRange<std::size_t>(0, 33), [](std::size_t n) {
    return rc::gen::container<Shape>(n, rc::gen::inRange<std::int64_t>(0, n < 4 ? 100000 : 3));
  });
}

/* Parses whatever the bytes are; what comes out is either a header within bounds or an Error, at little cost. */
void parse_within_bounds(const std::string& bytes) {
  const std::size_t before = allocated_bytes();
  try {
    const NpyHeader header = parse_npy_header(as_span(bytes), "x.npy");
    RC_ASSERT(header.shape.size() <= 32u);
    RC_ASSERT(header.data_offset <= bytes.size());
    elements_of(header.shape, size_of(header.type));
  } catch (const Error& error) {
    RC_ASSERT(std::string(error.what()).rfind("x.npy: ", 0) == 0u);
    RC_ASSERT(std::string(error.what()).size() < 2000u);
  }
  RC_ASSERT(allocated_bytes() - before < 16384u);
}

RC_GTEST_PROP(NpyProperty, WhatIsMadeIsParsedAgain, ()) {
  const DType type = *any_type();
  const Shape shape = *any_shape();
  const std::string bytes = make_npy_header(type, shape);
  RC_ASSERT(bytes.size() % 64 == 0u);
  const NpyHeader header = parse_npy_header(as_span(bytes), "x.npy");
  RC_ASSERT(header.type == type);
  RC_ASSERT(header.shape == shape);
  RC_ASSERT(header.data_offset == bytes.size());
  RC_ASSERT(!header.fortran_order);
}

RC_GTEST_PROP(NpyProperty, RandomBytesNeverCrashNorAllocateMuch, ()) {
  parse_within_bounds(*rc::gen::string<std::string>());
  parse_within_bounds(npy_bytes(*rc::gen::string<std::string>(), *rc::gen::inRange(1, 4)));
}

RC_GTEST_PROP(NpyProperty, MutatedHeadersNeverCrashNorAllocateMuch, ()) {
  std::string bytes = make_npy_header(*any_type(), *any_shape());
  const int count = *rc::gen::inRange(1, 6);
  for (int i = 0; i < count; ++i) {
    const std::size_t at = *rc::gen::inRange<std::size_t>(0, bytes.size());
    const char letter = *rc::gen::oneOf(rc::gen::arbitrary<char>(), rc::gen::elementOf(std::string("(){}[],:'\"-0123456789LTFue <>|=\\\n")));
    switch (*rc::gen::inRange(0, 4)) {
      case 0: bytes[at] = letter; break;
      case 1: bytes.insert(at, 1, letter); break;
      case 2: bytes.erase(at, 1 + at % 7); break;
      default: bytes.insert(at, bytes.substr(at / 2, 40)); break;
    }
    if (bytes.empty()) break;
  }
  parse_within_bounds(bytes);
}

}  // namespace
