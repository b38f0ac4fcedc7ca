/* cadre_tensor is DLPack's DLTensor, to the byte. */
#include <cadre/kernels/kernel.h>

#include "abi_layout.h"

#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include <cstddef>

namespace {

static_assert(sizeof(cadre_dtype) == sizeof(DLDataType) && alignof(cadre_dtype) == alignof(DLDataType));
static_assert(offsetof(cadre_dtype, code) == offsetof(DLDataType, code));
static_assert(offsetof(cadre_dtype, bits) == offsetof(DLDataType, bits));
static_assert(offsetof(cadre_dtype, lanes) == offsetof(DLDataType, lanes));
static_assert(sizeof(cadre_tensor) == sizeof(DLTensor) && alignof(cadre_tensor) == alignof(DLTensor));
static_assert(offsetof(cadre_tensor, data) == offsetof(DLTensor, data));
static_assert(offsetof(cadre_tensor, device) == offsetof(DLTensor, device));
static_assert(sizeof(cadre_tensor::device) == sizeof(DLDevice));
static_assert(offsetof(cadre_tensor, ndim) == offsetof(DLTensor, ndim));
static_assert(offsetof(cadre_tensor, dtype) == offsetof(DLTensor, dtype));
static_assert(offsetof(cadre_tensor, shape) == offsetof(DLTensor, shape));
static_assert(offsetof(cadre_tensor, strides) == offsetof(DLTensor, strides));
static_assert(offsetof(cadre_tensor, byte_offset) == offsetof(DLTensor, byte_offset));

TEST(Contract, ATensorIsADLTensor) {
  EXPECT_EQ(static_cast<int>(CADRE_INT), static_cast<int>(kDLInt));
  EXPECT_EQ(static_cast<int>(CADRE_UINT), static_cast<int>(kDLUInt));
  EXPECT_EQ(static_cast<int>(CADRE_FLOAT), static_cast<int>(kDLFloat));
  double value = 4.5;
  std::int64_t shape[] = {1};
  cadre_tensor ours{};
  ours.data = &value;
  ours.device = {1, 0};
  ours.ndim = 1;
  ours.dtype = {CADRE_FLOAT, 64, 1};
  ours.shape = shape;
  DLTensor theirs;
  static_assert(sizeof ours == sizeof theirs);
  __builtin_memcpy(&theirs, &ours, sizeof theirs);
  EXPECT_EQ(theirs.data, &value);
  EXPECT_EQ(theirs.device.device_type, kDLCPU);
  EXPECT_EQ(theirs.ndim, 1);
  EXPECT_EQ(theirs.dtype.code, kDLFloat);
  EXPECT_EQ(theirs.dtype.bits, 64);
  EXPECT_EQ(theirs.shape, shape);
  EXPECT_EQ(theirs.strides, nullptr);
}

/** Fields are only added, at the end: what a plug-in of version 0.1 reads and writes lies where it lay. */
TEST(Contract, KeepsTheLayoutOfThePreviousHeader) {
  std::size_t i = 0;
  for (; layout_previous[i].what; ++i) {
    ASSERT_STREQ(layout_previous[i].what, layout_today[i].what);
    EXPECT_EQ(layout_previous[i].bytes, layout_today[i].bytes) << layout_today[i].what;
  }
  EXPECT_GT(i, 100u);
  EXPECT_EQ(kernel_size_previous, CADRE_KERNEL_LEAST_SIZE);
}

TEST(Contract, TypeBitsStandInTheOrderOfTheirNames) {
  EXPECT_EQ(CADRE_F64 | CADRE_F32, CADRE_FLOATS);
  EXPECT_EQ(CADRE_I8 | CADRE_I16 | CADRE_I32 | CADRE_I64 | CADRE_U8 | CADRE_U16 | CADRE_U32 | CADRE_U64, CADRE_INTEGERS);
  EXPECT_EQ(CADRE_FLOATS | CADRE_INTEGERS, CADRE_NUMBERS);
}

}  // namespace
