#pragma once
/* The digest of a result: the XXH3-128 of the XXH3-128s of its 1 MiB blocks, so that it can be computed in parallel and anew from the files. */
#include <cstdint>
#include <span>
#include <string>

#include <cadre/engine/report.hpp>
#include <cadre/engine/work.hpp>

namespace cadre {

constexpr std::uint64_t kDigestBlock = 1u << 20;
constexpr std::uint64_t kHashBytes = 16;

/** Hashes block `block` of the work's inputs, each cut into blocks of its own, into Work::hashes. */
void hash_block(const Work& work, std::uint64_t block) noexcept;

/** The 32 hex digits for the block hashes of all outputs, in order, and the small results. */
std::string digest_of(std::span<const std::byte> block_hashes, const std::vector<SmallResult>& small);

}  // namespace cadre
