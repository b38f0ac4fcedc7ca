/* Any bytes as a journal, and as what stands behind its first line (whose checksum keeps a fuzzer out): refused with an Error that names the file, or a
   checkpoint whose arrays lie in its memory and which is read again as it was written. */
#include <cstdlib>

#include <cadre/engine/checkpoint.hpp>
#include <cadre/shm/error.hpp>

namespace {

template <class Parse>
void try_it(Parse parse) {
  try {
    const cadre::JournalText text = parse();
    for (const cadre::ArenaExtent& extent : extents_of(text.checkpoint))
      if (extent.address < text.arena_base || extent.bytes > text.arena_size || extent.address - text.arena_base > text.arena_size - extent.bytes) std::abort();
    const std::string written = to_text(text);
    const auto* bytes = reinterpret_cast<const std::byte*>(written.data());
    if (to_text(cadre::parse_journal({bytes, written.size()}, "fuzz/journal")) != written) std::abort();
  } catch (const cadre::Error& error) {
    if (std::string(error.what()).rfind("fuzz/journal: ", 0) != 0) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_it([&] { return cadre::parse_journal({reinterpret_cast<const std::byte*>(data), size}, "fuzz/journal"); });
  try_it([&] { return cadre::parse_journal_body({reinterpret_cast<const char*>(data), size}, "fuzz/journal"); });
  return 0;
}
