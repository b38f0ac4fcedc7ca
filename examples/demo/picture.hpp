#pragma once
/* A picture in memory: red, green and blue of 0 to 1 as they are stored (sRGB), written as PNG. */
#include <array>
#include <string>
#include <string_view>
#include <vector>

using Colour = std::array<float, 3>;

/** The palette viridis (van der Walt and Smith, CC0), even to the eye, also without colour: t = 0 dark purple, t = 1 yellow. */
Colour viridis(double t);

class Picture {
 public:
  Picture(int width, int height, Colour background);

  int width() const { return width_; }
  int height() const { return height_; }
  /** Pixels outside the picture are left out. `cover` 0 to 1: how much of the pixel takes the colour. */
  void set(int x, int y, Colour colour, float cover = 1);
  void fill(int x, int y, int width, int height, Colour colour);

  enum class Align { left, centre, right };
  /** Text with its top at y, and its left end, middle or right end at x. */
  void text(int x, int y, std::string_view words, int size, Colour colour, Align align = Align::left);
  /** Text that is read from bottom to top, with its left at x and its middle at y. */
  void text_upwards(int x, int y, std::string_view words, int size, Colour colour);

  /** Throws std::runtime_error. */
  void write_png(const std::string& path) const;

 private:
  int width_, height_;
  std::vector<Colour> pixels_;
};
