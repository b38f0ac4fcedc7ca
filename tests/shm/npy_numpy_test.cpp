/* An independent check of the format: files that NumPy writes are read here, files that are written here are read by NumPy. */
#include <cstdlib>
#include <string>

#include <cadre/shm/npy_file.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

constexpr const char* kScript = R"(
import sys, numpy as np
directory = sys.argv[1]
if sys.argv[2] == 'write':
    for name in 'float64 float32 int8 int16 int32 int64 uint8 uint16 uint32 uint64'.split():
        np.save(f'{directory}/{name}.npy', np.arange(24, dtype=name).reshape(2, 3, 4))
        for version in (1, 0), (2, 0), (3, 0):
            with open(f'{directory}/{name}_{version[0]}.npy', 'wb') as f:
                np.lib.format.write_array(f, np.arange(24, dtype=name).reshape(2, 3, 4), version=version)
    np.save(f'{directory}/scalar.npy', np.float64(2.5))
    np.save(f'{directory}/empty.npy', np.zeros((3, 0, 2)))
    np.save(f'{directory}/fortran.npy', np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.save(f'{directory}/vector_f.npy', np.asfortranarray(np.arange(6.0).reshape(6, 1)))
    refused = dict(boolean='?', complex64='c8', complex128='c16', unicode='U5', bytes='S5', datetime='M8[ns]', timedelta='m8[s]', half='f2',
                   longdouble='g', structured=[('a', 'f4'), ('b', 'i8')], big='>f8', void='V8')
    for name, dtype in refused.items():
        np.save(f'{directory}/refused_{name}.npy', np.zeros(3, dtype=dtype))
    np.save(f'{directory}/refused_object.npy', np.array([1, 'a'], dtype=object))
else:
    for name in 'float64 float32 int8 int16 int32 int64 uint8 uint16 uint32 uint64'.split():
        x = np.load(f'{directory}/out_{name}.npy', mmap_mode='r')
        assert x.dtype == np.dtype(name) and x.flags.c_contiguous, name
        assert np.array_equal(x, np.arange(24, dtype=name).reshape(2, 3, 4)), name
)";

class NumpyTest : public LeakCheck {
 protected:
  void SetUp() override {
    LeakCheck::SetUp();
    if (std::system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) GTEST_SKIP() << "/usr/bin/python3 has no numpy";
    script_ = directory_.file("script.py", kScript);
  }
  bool numpy(const std::string& mode) { return std::system(("/usr/bin/python3 " + script_ + " " + directory_.path() + " " + mode).c_str()) == 0; }
  TempDir directory_;
  std::string script_;
};

/* Calls `visit` with a value of each element type. */
template <class Visit>
void for_each_type(Visit visit) {
  visit(double{}), visit(float{}), visit(std::int8_t{}), visit(std::int16_t{}), visit(std::int32_t{}), visit(std::int64_t{});
  visit(std::uint8_t{}), visit(std::uint16_t{}), visit(std::uint32_t{}), visit(std::uint64_t{});
}

TEST_F(NumpyTest, WhatNumpyWritesIsReadOrRefusedByName) {
  ASSERT_TRUE(numpy("write"));
  for_each_type([&](auto value) {
    using T = decltype(value);
    const std::string name = name_of(dtype_of<T>());
    for (const char* version : {"", "_1", "_2", "_3"}) {
      const AnyArray any = open_npy(directory_ / (name + version + ".npy"));
      EXPECT_EQ(any.shape, (Shape{2, 3, 4})) << name;
      const Array<const T> x = any.as<const T>();
      for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(x[i], static_cast<T>(i)) << name << version;
    }
  });
  EXPECT_EQ(open_npy(directory_ / "scalar.npy").as<const double>()[0], 2.5);
  EXPECT_EQ(open_npy(directory_ / "scalar.npy").shape, Shape{});
  EXPECT_EQ(open_npy(directory_ / "empty.npy").shape, (Shape{3, 0, 2}));
  EXPECT_EQ(open_npy(directory_ / "vector_f.npy").as<const double>()[5], 5.0);
  EXPECT_TRUE(inspect_npy(directory_ / "fortran.npy").fortran_order);

  const struct { const char* file; const char* says; } refused[] = {
      {"boolean", "bool"}, {"complex64", "complex64"}, {"complex128", "complex128"}, {"unicode", "unicode"}, {"bytes", "byte string"}, {"datetime", "datetime64"},
      {"timedelta", "timedelta64"}, {"half", "float16"}, {"longdouble", "float128"}, {"structured", "structured"}, {"big", "big-endian float64"}, {"void", "void"},
      {"object", "object"}};
  for (const auto& [file, says] : refused) {
    const std::string error = error_of([&, file = file] { open_npy(directory_ / (std::string("refused_") + file + ".npy")); });
    EXPECT_NE(error.find(says), std::string::npos) << file << ": " << error;
  }
}

TEST_F(NumpyTest, WhatIsWrittenHereIsReadByNumpy) {
  for_each_type([&](auto value) {
    using T = decltype(value);
    NpyOutput out(directory_ / (std::string("out_") + name_of(dtype_of<T>()) + ".npy"), dtype_of<T>(), {2, 3, 4});
    const Array<T> y = out.array().as<T>();
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<T>(i);
    out.commit();
  });
  EXPECT_TRUE(numpy("read"));
}

}  // namespace
