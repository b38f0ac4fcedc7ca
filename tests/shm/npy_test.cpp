#include <gtest/gtest.h>

#include <cadre/shm/npy.hpp>

#include "../support/child.hpp"
#include "npy_bytes.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

NpyHeader parse(const std::string& bytes) { return parse_npy_header(as_span(bytes), "x.npy"); }
std::string refusal(const std::string& bytes) { return error_of([&] { parse(bytes); }); }

TEST(NpyHeader, ReadsVersionsOneTwoAndThree) {
  for (const int version : {1, 2, 3}) {
    const std::string bytes = npy_with("'<f8'", "(200000, 8)", "False", version);
    const NpyHeader header = parse(bytes);
    EXPECT_EQ(header.type, DType::f64);
    EXPECT_EQ(header.shape, (Shape{200000, 8}));
    EXPECT_FALSE(header.fortran_order);
    EXPECT_EQ(header.data_offset, bytes.size());
  }
}

TEST(NpyHeader, ReadsKeysInAnyOrderWithAnySpaceAndNoLastComma) {
  const NpyHeader header = parse(npy_bytes("{ \"shape\" :\t( 3 ,\n4,), 'fortran_order':False ,'descr' : '<i2'}   "));
  EXPECT_EQ(header.shape, (Shape{3, 4}));
  EXPECT_EQ(header.type, DType::i16);
}

TEST(NpyHeader, ReadsTheLongIntegersOfPython2) { EXPECT_EQ(parse(npy_with("'<f4'", "(3L, 4L)")).shape, (Shape{3, 4})); }

TEST(NpyHeader, ReadsZeroDimensionsAndUpToThirtyTwo) {
  EXPECT_EQ(parse(npy_with("'<f8'", "()")).shape, Shape{});
  std::string ones = "(";
  for (int i = 0; i < 32; ++i) ones += "1, ";
  EXPECT_EQ(parse(npy_with("'<f8'", ones + ")")).shape, Shape(32, 1));
}

TEST(NpyHeader, TakesNativeAndAbsentByteOrdersAsLittleEndian) {
  for (const char* descr : {"'<i4'", "'=i4'", "'|i4'", "'i4'"}) EXPECT_EQ(parse(npy_with(descr, "(1,)")).type, DType::i32) << descr;
  for (const char* descr : {"'|u1'", "'>u1'", "'<u1'"}) EXPECT_EQ(parse(npy_with(descr, "(1,)")).type, DType::u8) << descr;
}

TEST(NpyHeader, TellsFortranOrderOnlyWhereItMatters) {
  EXPECT_TRUE(parse(npy_with("'<f8'", "(2, 3)", "True")).fortran_order);
  EXPECT_TRUE(parse(npy_with("'<f8'", "(2, 1, 3)", "True")).fortran_order);
  for (const char* shape : {"()", "(5,)", "(1, 5)", "(5, 1, 1)", "(0, 3)", "(4, 3, 0)"}) EXPECT_FALSE(parse(npy_with("'<f8'", shape, "True")).fortran_order) << shape;
}

TEST(NpyHeader, RefusesWhatIsNotNpy) {
  EXPECT_EQ(refusal(""), "x.npy: not a .npy file (it does not begin with \\x93NUMPY); write it with numpy.save");
  EXPECT_EQ(refusal("PK\x03\x04 an archive"), "x.npy: not a .npy file (it does not begin with \\x93NUMPY); write it with numpy.save");
  std::string other = npy_with("'<f8'", "(3,)");
  other[6] = 4;
  EXPECT_EQ(refusal(other), "x.npy: version 4.0 of the .npy format is not known; 1.0, 2.0 and 3.0 are");
}

TEST(NpyHeader, RefusesATruncatedHeaderAtEveryLength) {
  const std::string whole = npy_with("'<f8'", "(3,)", "False", 2);
  for (std::size_t n = 8; n < whole.size(); ++n) EXPECT_EQ(refusal(whole.substr(0, n)), "x.npy: the file ends inside its .npy header") << n;
}

TEST(NpyHeader, RefusesKeysThatLackRepeatOrAreUnknown) {
  EXPECT_EQ(refusal(npy_bytes("{'descr': '<f8', 'fortran_order': False}")), "x.npy: the .npy header lacks 'shape'");
  EXPECT_EQ(refusal(npy_bytes("{}")), "x.npy: the .npy header lacks 'descr'");
  EXPECT_EQ(refusal(npy_bytes("{'descr': '<f8', 'descr': '<f4'}")), "x.npy: the .npy header has the key 'descr' twice");
  EXPECT_EQ(refusal(npy_bytes("{'colour': 3}")), "x.npy: the .npy header has the key 'colour', which is not known");
}

TEST(NpyHeader, RefusesMalformedLiterals) {
  for (const char* text : {"", "{", "}", "{'descr'", "{'descr': '<f8'", "{'descr': '<f8' 'shape': (3,)}", "{'descr': '\\x3cf8'}", "{,}", "[1]", "{'shape': (3}", "{'shape': (,)}",
                           "{'shape': (3,,4)}", "{'shape': (3 4)}", "{'shape': (3)}", "{'shape': (3.0,)}", "{'shape': 3}", "{'shape': (True,)}", "{'fortran_order': 1}",
                           "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} trailing"})
    EXPECT_EQ(refusal(npy_bytes(text)).find("x.npy: the .npy header is malformed: "), 0u) << text << " -> " << refusal(npy_bytes(text));
}

TEST(NpyHeader, RefusesDataThatNoElementCanLieAt) {
  std::string bytes = npy_with("'<f8'", "(3,)");
  bytes.insert(bytes.size() - 1, 3, ' ');
  bytes[8] = static_cast<char>(bytes[8] + 3);
  EXPECT_EQ(refusal(bytes), "x.npy: the data begin at byte 131, where no float64 can lie; write the file with numpy.save");
}

TEST(NpyHeader, IsMadeAsNumpyMakesIt) {
  const std::string made = make_npy_header(DType::f64, {200000, 8});
  EXPECT_EQ(made.size(), 128u);
  EXPECT_EQ(made, npy_with("'<f8'", "(200000, 8)"));
  EXPECT_EQ(made.back(), '\n');
}

}  // namespace
