/* Lines F1 to F4 of the table of faults: bad .npy files, and what must come of each. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <cadre/shm/npy.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/shm/truncation_guard.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"
#include "counted_new.hpp"
#include "npy_bytes.hpp"

namespace {

using namespace cadre;
using namespace cadre::testing;

class NpyFault : public LeakCheck {
 protected:
  std::string refusal(const std::string& path) {
    const std::string opened = error_of([&] { open_npy(path); }), inspected = error_of([&] { inspect_npy(path); });
    EXPECT_EQ(opened, inspected);
    return opened;
  }
  /* The same without the path in front of it. */
  std::string reason(const std::string& bytes) {
    const std::string path = directory_.file("x.npy", bytes), message = refusal(path);
    EXPECT_EQ(message.rfind(path + ": ", 0), 0u) << message;
    return message.substr(std::min(message.size(), path.size() + 2));
  }
  TempDir directory_;
};
class FaultF1 : public NpyFault {};
class FaultF2 : public NpyFault {};
class FaultF4 : public NpyFault {};

TEST_F(FaultF1, AHeaderOfFourGibibytesInTwelveBytesIsRefusedInBoundedMemory) {
  const std::string bytes = std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12);
  const std::size_t before = allocated_bytes();
  EXPECT_EQ(reason(bytes), "the .npy header claims 4294967295 bytes; more than 64 KiB is refused");
  EXPECT_LT(allocated_bytes() - before, 1u << 20);
}

TEST_F(FaultF1, AShapeWhoseProductOverflowsIsRefused) {
  EXPECT_EQ(reason(npy_with("'<f8'", "(4294967296, 4294967296)")), "the shape (4294967296, 4294967296) has more elements than memory has addresses");
  EXPECT_EQ(reason(npy_with("'<f8'", "(2305843009213693952,)")), "the shape (2305843009213693952,) has more elements than memory has addresses");
  EXPECT_EQ(reason(npy_with("'<f8'", "(0, 4294967296, 4294967296)")), "the shape (0, 4294967296, 4294967296) has more elements than memory has addresses");
  EXPECT_EQ(reason(npy_with("'<f8'", "(99999999999999999999,)")), "the shape has an extent that does not fit in 63 bits");
}

TEST_F(FaultF1, ANegativeShapeIsRefused) { EXPECT_EQ(reason(npy_with("'<f8'", "(3, -1)")), "the shape has a negative extent"); }

TEST_F(FaultF1, AShapeOfSixtyFiveDimensionsIsRefused) {
  std::string shape = "(";
  for (int i = 0; i < 65; ++i) shape += "1, ";
  EXPECT_EQ(reason(npy_with("'<f8'", shape + ")")), "the shape has more than 32 dimensions, as many as NumPy knows");
}

TEST_F(FaultF1, TypesThatKernelsDoNotTakeAreRefusedByName) {
  const struct { const char* descr; const char* message; } cases[] = {
      {"'|b1'", "bool elements are not supported: convert with x.astype('uint8') (descr '|b1')"},
      {"'?'", "bool elements are not supported: convert with x.astype('uint8') (descr '?')"},
      {"'<c8'", "complex64 elements are not supported: save x.real and x.imag (descr '<c8')"},
      {"'<c16'", "complex128 elements are not supported: save x.real and x.imag (descr '<c16')"},
      {"'|O'", "object elements are not supported: save an array of numbers (descr '|O')"},
      {"'<U12'", "unicode string elements are not supported: save an array of numbers (descr '<U12')"},
      {"'|S5'", "byte string elements are not supported: save an array of numbers (descr '|S5')"},
      {"'|V8'", "raw (void) elements are not supported: save an array of numbers (descr '|V8')"},
      {"'<M8[ns]'", "datetime64 elements are not supported: convert with x.astype('int64') (descr '<M8[ns]')"},
      {"'<m8[s]'", "timedelta64 elements are not supported: convert with x.astype('int64') (descr '<m8[s]')"},
      {"'<f2'", "float16 elements are not supported: convert with x.astype('float32') (descr '<f2')"},
      {"'<f16'", "float128 elements are not supported: convert with x.astype('float64') (descr '<f16')"},
      {"'>f8'", "big-endian float64 is not supported: convert with x.astype('<f8') (descr '>f8')"},
      {"'>i2'", "big-endian int16 is not supported: convert with x.astype('<i2') (descr '>i2')"},
      {"[('a', '<f4'), ('b', '<i8')]", "structured elements are not supported: save each field as an array of its own"},
      {"('<f8', (3,))", "structured elements are not supported: save each field as an array of its own"},
      {"''", "the element type '' is not known; float32, float64 and integers of 8 to 64 bits are"},
      {"'<i3'", "the element type '<i3' is not known; float32, float64 and integers of 8 to 64 bits are"},
      {"'<i99999999999'", "the element type '<i99999999999' is not known; float32, float64 and integers of 8 to 64 bits are"},
      {"'float64'", "the element type 'float64' is not known; float32, float64 and integers of 8 to 64 bits are"},
      {"'<f-8'", "the element type '<f-8' is not known; float32, float64 and integers of 8 to 64 bits are"},
  };
  for (const auto& [descr, message] : cases) EXPECT_EQ(reason(npy_with(descr, "(1,)") + std::string(64, '\0')), message);
}

TEST_F(FaultF1, FortranOrderIsRefusedWhereItMattersAndReadWhereItDoesNot) {
  const std::string matters = directory_.file("f.npy", npy_with("'|u1'", "(2, 3)", "True") + "abcdef");
  EXPECT_EQ(error_of([&] { open_npy(matters); }), matters + ": is in Fortran order with the shape (2, 3); C order is needed: save numpy.ascontiguousarray(x)");
  EXPECT_TRUE(inspect_npy(matters).fortran_order);
  const std::string does_not = directory_.file("g.npy", npy_with("'|u1'", "(6, 1)", "True") + "abcdef");
  EXPECT_EQ(open_npy(does_not).as<const std::uint8_t>()[5], 'f');
}

TEST_F(FaultF1, VersionsOneTwoAndThreeAreRead) {
  for (const int version : {1, 2, 3})
    EXPECT_EQ(open_npy(directory_.file("v.npy", npy_with("'|u1'", "(3,)", "False", version) + "abc")).as<const std::uint8_t>()[2], 'c');
}

TEST_F(FaultF2, ShorterDataIsRefusedWithBothSizes) {
  EXPECT_EQ(reason(npy_with("'<f8'", "(3, 2)") + std::string(40, 'x')), "is truncated: the shape (3, 2) of float64 needs 48 bytes of data, the file has 40");
  EXPECT_EQ(reason(npy_with("'<f8'", "(3,)")), "is truncated: the shape (3,) of float64 needs 24 bytes of data, the file has 0");
  EXPECT_EQ(reason(npy_with("'<f8'", "(100000000000,)")), "is truncated: the shape (100000000000,) of float64 needs 800000000000 bytes of data, the file has 0");
}

TEST_F(FaultF2, LongerDataIsReadWithAWarning) {
  const std::string path = directory_.file("x.npy", npy_with("'|u1'", "(3,)") + "abcdefg");
  ::testing::internal::CaptureStderr();
  const AnyArray x = open_npy(path);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "cadre: warning: " + path + ": 4 bytes follow the data that the header speaks of; they are ignored\n");
  EXPECT_EQ(x.as<const std::uint8_t>().size(), 3u);
  EXPECT_EQ(x.as<const std::uint8_t>()[2], 'c');
}

TEST_F(FaultF4, ANamedPipeIsRefusedWithoutWaitingForAWriter) {
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal(directory_ / "pipe"), (directory_ / "pipe") + ": is a FIFO, not a file that can be mapped");
}

TEST_F(FaultF4, ADirectoryADeviceAndASocketAreRefused) {
  EXPECT_EQ(refusal(directory_.path()), directory_.path() + ": is a directory, not a file that can be mapped");
  EXPECT_EQ(refusal("/dev/zero"), "/dev/zero: is a character device, not a file that can be mapped");
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{AF_UNIX, {}};
  std::strncpy(address.sun_path, (directory_ / "socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(listener);
  EXPECT_EQ(refusal(directory_ / "socket"), (directory_ / "socket") + ": is a socket, not a file that can be mapped");
}

TEST_F(FaultF4, MissingFilesDanglingAndLoopingLinksAreRefused) {
  EXPECT_EQ(refusal(directory_ / "none.npy"), (directory_ / "none.npy") + ": there is no such file");
  std::filesystem::create_symlink(directory_ / "none.npy", directory_ / "dangling.npy");
  EXPECT_EQ(refusal(directory_ / "dangling.npy"), (directory_ / "dangling.npy") + ": is a link to a file that does not exist");
  std::filesystem::create_symlink(directory_ / "b.npy", directory_ / "a.npy");
  std::filesystem::create_symlink(directory_ / "a.npy", directory_ / "b.npy");
  EXPECT_EQ(refusal(directory_ / "a.npy"), (directory_ / "a.npy") + ": is a link that leads in a circle");
}

TEST_F(FaultF4, AFileThatMayNotBeReadIsRefused) {
  const std::string path = directory_.file("secret.npy", make_npy_header(DType::u8, {0}));
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  const std::string outcome = in_child([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return 1;  // what root is refused, nobody knows
    open_npy(path);
    return 0;
  });
  EXPECT_EQ(outcome, "threw " + path + ": may not be read (permission denied)");
}

TEST_F(FaultF4, ANameWithANulIsRefused) {
  EXPECT_EQ(refusal(std::string("a\0b.npy", 7)), "a file name with a NUL in it: a...");
}

}  // namespace
