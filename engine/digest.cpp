#include <cadre/engine/digest.hpp>

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace cadre {

namespace {

void store(XXH128_hash_t hash, std::byte* at) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static_assert(sizeof canonical == kHashBytes);
  std::memcpy(at, &canonical, kHashBytes);
}

}  // namespace

void hash_block(const Work& work, std::uint64_t block) noexcept {
  std::uint64_t before = 0;
  for (std::uint32_t i = 0; i < work.n_inputs; ++i) {
    const std::uint64_t bytes = work.inputs[i].row_bytes, blocks = (bytes + kDigestBlock - 1) / kDigestBlock;
    if (block < before + blocks) {
      const std::uint64_t at = (block - before) * kDigestBlock;
      store(XXH3_128bits(reinterpret_cast<const std::byte*>(work.inputs[i].address) + at, std::min(kDigestBlock, bytes - at)),
            protocol(reinterpret_cast<std::byte*>(work.hashes)) + block * kHashBytes);
      return;
    }
    before += blocks;
  }
}

std::string digest_of(std::span<const std::byte> block_hashes, const std::vector<SmallResult>& small) {
  std::vector<std::byte> bytes;
  for (const SmallResult& result : small)
    std::visit(
        [&](const auto& values) {
          const auto* data = reinterpret_cast<const std::byte*>(values.data());
          bytes.insert(bytes.end(), data, data + values.size() * 8);
        },
        result.values);
  std::vector<std::byte> all(block_hashes.begin(), block_hashes.end());
  all.resize(all.size() + kHashBytes);
  store(XXH3_128bits(bytes.data(), bytes.size()), all.data() + all.size() - kHashBytes);
  std::byte whole[kHashBytes];
  store(XXH3_128bits(all.data(), all.size()), whole);
  std::string hex;
  for (const std::byte b : whole) {
    constexpr char digits[] = "0123456789abcdef";
    hex += digits[std::to_integer<int>(b) >> 4];
    hex += digits[std::to_integer<int>(b) & 15];
  }
  return hex;
}

}  // namespace cadre
