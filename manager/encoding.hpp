#pragma once
/* Values as bytes. Each begins with a byte that says what it is:

     0 null   1 false   2 true
     3 integer   zigzag, then 7 bits a byte, the lowest first; the highest bit: more follow
     4 real      8 bytes, the lowest first
     5 text, 6 bytes     size (7 bits a byte), then the bytes
     7 list      size, then the values
     8 dict      size, then key, value, key, value ...
     9 array     element type, size, then the numbers, the lowest byte first

   What is read is trusted in nothing: a size is compared with what is left before anything is made of it, values in values are counted, and all values too. */
#include <span>
#include <string>
#include <string_view>

#include <cadre/manager/data.hpp>

namespace cadre::detail {

/** Lists and dicts in one another. */
constexpr int kMostNested = 100;
/** Values in one message: each takes some 40 bytes of memory, whatever it takes in the message. */
constexpr std::size_t kMostValues = std::size_t{4} << 20;

/** Throws Error: nested too deep, too many. */
void encode(std::string& out, const Data& value);
/** All of `bytes` as one value. Throws Error for anything else. */
Data decode(std::string_view bytes);

}  // namespace cadre::detail
