#pragma once
/* Names for the places of a stack. */
#include <span>
#include <string>
#include <vector>

#include <cadre/engine/poison.hpp>

namespace cadre {

/** "invert_cdf (invert.cpp:41)", innermost first, without the engine's own frames below the kernel. Where a file has no line numbers: the symbol and the library; no
    symbol: the library and the offset. Files are read in a process of their own: what is in them can not hurt the caller. Any thread. */
std::vector<std::string> name_frames(std::span<const Frame> frames);

}  // namespace cadre
