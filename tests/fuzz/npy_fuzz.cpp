/* Any bytes as the beginning of a .npy file: refused with an Error, or a header that, written again, says the same. */
#include <cstdlib>

#include <cadre/shm/npy.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cadre::NpyHeader header;
  try {
    header = cadre::parse_npy_header({reinterpret_cast<const std::byte*>(data), size}, "fuzz.npy");
  } catch (const cadre::Error&) {
    return 0;
  }
  if (header.data_offset > size) std::abort();
  cadre::elements_of(header.shape, cadre::size_of(header.type));  // throws where they overflow: then it should have been refused
  const std::string again = cadre::make_npy_header(header.type, header.shape);
  const cadre::NpyHeader same = cadre::parse_npy_header({reinterpret_cast<const std::byte*>(again.data()), again.size()}, "again.npy");
  if (same.type != header.type || same.shape != header.shape || same.fortran_order || same.data_offset != again.size()) std::abort();
  return 0;
}
