#pragma once
/* Text for pictures: letters of 5 x 7 dots, smoothed when they are made larger, so that no font file is needed. */
#include <string_view>
#include <vector>

/** How much of each pixel a letter covers, 0 to 1, row by row. */
struct Glyphs {
  int width = 0, height = 0;
  std::vector<float> cover;
  float at(int x, int y) const {
    return cover[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
  }
};

/** One line of printable ASCII, `size` pixels from the top of a capital to the bottom of a descender. */
Glyphs draw_text(std::string_view text, int size);
/** The same, a quarter turn to the left: read from bottom to top. */
Glyphs turned(const Glyphs& glyphs);
