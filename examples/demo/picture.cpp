#include "picture.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <png.h>
#include <stdexcept>

#include "text.hpp"

Colour viridis(double t) {
  constexpr int kSteps = 16;
  constexpr std::uint32_t palette[kSteps + 1] = {0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c,
                                                 0x1fa088, 0x28ae80, 0x3fbc73, 0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725};
  const double place = std::clamp(t, 0.0, 1.0) * kSteps;
  const int below = std::min(static_cast<int>(place), kSteps - 1);
  Colour colour;
  for (int c = 0; c < 3; ++c) {
    const auto channel = [c](std::uint32_t rgb) { return static_cast<double>(rgb >> (16 - 8 * c) & 255) / 255; };
    colour[static_cast<std::size_t>(c)] = static_cast<float>(std::lerp(channel(palette[below]), channel(palette[below + 1]), place - below));
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
    for (int u = 0; u < glyphs.width; ++u) picture.set(x + u, y + v, colour, glyphs.at(u, v));
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
  std::vector<png_byte> bytes;
  bytes.reserve(3 * pixels_.size());
  for (const Colour& pixel : pixels_)
    for (const float channel : pixel) bytes.push_back(static_cast<png_byte>(std::lround(255 * std::clamp(channel, 0.f, 1.f))));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&image, path.c_str(), 0, bytes.data(), 0, nullptr)) throw std::runtime_error("write " + path + ": " + image.message);
}
