#include "picture.hpp"

#include <png.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>

#include "text.hpp"

namespace {
constexpr int kShades = 160;  // more than the eye tells apart, and room for text in a palette of 256
}

Colour viridis(double t) {
  t = std::round(std::clamp(t, 0.0, 1.0) * kShades) / kShades;
  constexpr int kSteps = 16;
  constexpr std::uint32_t palette[kSteps + 1] = {0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c,
                                                 0x1fa088, 0x28ae80, 0x3fbc73, 0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725};
  const double place = t * kSteps;
  const int below = std::min(static_cast<int>(place), kSteps - 1);
  Colour colour;
  for (int c = 0; c < 3; ++c) {
    const auto channel = [c](std::uint32_t rgb) { return static_cast<double>(rgb >> (16 - 8 * c) & 255) / 255; };
    colour[static_cast<std::size_t>(c)] =
        static_cast<float>(std::lerp(channel(palette[below]), channel(palette[below + 1]), place - below));
  }
  return colour;
}

Picture::Picture(int width, int height, Colour background)
    : width_(width), height_(height), pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background) {}

void Picture::set(int x, int y, Colour colour, float cover) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  Colour& pixel = pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x)];
  for (std::size_t c = 0; c < 3; ++c) pixel[c] = std::lerp(pixel[c], colour[c], cover);
}

void Picture::fill(int x, int y, int width, int height, Colour colour) {
  for (int v = y; v < y + height; ++v)
    for (int u = x; u < x + width; ++u) set(u, v, colour);
}

namespace {
void put(Picture& picture, int x, int y, const Glyphs& glyphs, Colour colour) {
  for (int v = 0; v < glyphs.height; ++v)
    for (int u = 0; u < glyphs.width; ++u) picture.set(x + u, y + v, colour, std::round(8 * glyphs.at(u, v)) / 8);
}
}  // namespace

void Picture::text(int x, int y, std::string_view words, int size, Colour colour, Align align) {
  const Glyphs glyphs = draw_text(words, size);
  put(*this, align == Align::left ? x : align == Align::centre ? x - glyphs.width / 2 : x - glyphs.width, y, glyphs, colour);
}

void Picture::text_upwards(int x, int y, std::string_view words, int size, Colour colour) {
  const Glyphs glyphs = turned(draw_text(words, size));
  put(*this, x, y - glyphs.height / 2, glyphs, colour);
}

void Picture::write_png(const std::string& path) const {
  // Few colours are written as a palette, with one byte for a pixel: about half the size.
  std::vector<png_byte> rgb, palette, indexes;
  std::map<std::array<png_byte, 3>, std::size_t> known;
  for (const Colour& pixel : pixels_) {
    std::array<png_byte, 3> bytes;
    for (std::size_t c = 0; c < 3; ++c) bytes[c] = static_cast<png_byte>(std::lround(255 * std::clamp(pixel[c], 0.f, 1.f)));
    const auto [place, is_new] = known.try_emplace(bytes, known.size());
    if (is_new) palette.insert(palette.end(), bytes.begin(), bytes.end());
    rgb.insert(rgb.end(), bytes.begin(), bytes.end());
    indexes.push_back(static_cast<png_byte>(place->second));
  }
  const bool few = known.size() <= 256;
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = few ? PNG_FORMAT_RGB_COLORMAP : PNG_FORMAT_RGB;
  image.colormap_entries = few ? static_cast<png_uint_32>(known.size()) : 0;
  if (!png_image_write_to_file(&image, path.c_str(), 0, few ? indexes.data() : rgb.data(), 0, few ? palette.data() : nullptr))
    throw std::runtime_error("write " + path + ": " + image.message);
}
