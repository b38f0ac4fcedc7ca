/* heatmap COUNTS.npy OUT.png [--x LO HI LABEL] [--y LO HI LABEL] [--title TEXT] [--size WIDTH HEIGHT]: draws a two-dimensional int64 histogram,
   as cadre run histogram2d writes it: axis 0 to the right, axis 1 upwards, colours by the logarithm of the count. */
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <cadre/shm/npy_file.hpp>

#include "picture.hpp"

namespace {

using Counts = cadre::Array<const std::int64_t>;

constexpr Colour kBackground{0.055f, 0.060f, 0.075f}, kEmpty{0.085f, 0.090f, 0.110f}, kInk{0.86f, 0.87f, 0.90f},
    kFaint{0.55f, 0.57f, 0.62f};
/** What the darkest colour stands for, and anything less: a pixel that got no more than half a row. */
constexpr double kLeast = 0.5;

struct Axis {
  double lo = 0, hi = 1;
  std::string label;
};

struct Drawing {
  std::string counts, out, title;
  Axis x, y;
  int width = 1000, height = 640;  // of the plot alone, in pixels
};

/** How `from` cells make up `to` pixels, by overlap: the weights of each pixel add up to 1. */
struct Share {
  int cell, pixel;
  double weight;
};
std::vector<Share> shares(int from, int to) {
  std::vector<Share> out;
  for (int pixel = 0, cell = 0; pixel < to;) {
    const double cell_end = static_cast<double>(cell + 1) * to / from;
    const double begin = std::max(static_cast<double>(pixel), static_cast<double>(cell) * to / from),
                 end = std::min<double>(pixel + 1, cell_end);
    if (end - begin > 1e-9) out.push_back({cell, pixel, end - begin});
    if (cell_end <= pixel + 1 + 1e-9) ++cell;
    if (cell_end >= pixel + 1 - 1e-9) ++pixel;
    if (cell == from) break;
  }
  return out;
}

/** Counts per cell, averaged over the cells of each pixel; rows of pixels from the top. */
std::vector<double> resampled(const Counts& counts, int width, int height) {
  const auto nx = static_cast<int>(counts.shape()[0]), ny = static_cast<int>(counts.shape()[1]);
  const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height);
  std::vector<double> out(w * h);
  const std::vector<Share> columns = shares(nx, width), rows = shares(ny, height);
  for (const Share& column : columns)
    for (const Share& row : rows) {
      const double count = static_cast<double>(counts(static_cast<std::size_t>(column.cell), static_cast<std::size_t>(row.cell)));
      out[(h - 1 - static_cast<std::size_t>(row.pixel)) * w + static_cast<std::size_t>(column.pixel)] += count * column.weight * row.weight;
    }
  return out;
}

/** A step of 1, 2 or 5 times a power of ten that cuts the range in at most `most` parts. */
double tick_step(double range, int most) {
  const double rough = range / most, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

/** "-100", "2.5", "1,000,000" */
std::string number(double v) {
  char text[64];
  std::snprintf(text, sizeof text, "%.6g", std::abs(v) < 1e-12 ? 0.0 : v);
  if (std::abs(v) >= 1e3 && std::abs(v) < 1e15 && v == std::floor(v)) {
    std::snprintf(text, sizeof text, "%.0f", v);
    std::string digits = text;
    for (auto at = static_cast<int>(digits.size()) - 3; at > (v < 0 ? 1 : 0); at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
    return digits;
  }
  return text;
}

class Sheet {
 public:
  explicit Sheet(const Drawing& drawing)
      : drawing_(drawing),
        unit_(std::max(10, drawing.width / 48)),
        left_(6 * unit_),
        top_(4 * unit_),
        picture_(drawing.width + 13 * unit_, drawing.height + 8 * unit_, kBackground) {}

  void draw(const Counts& counts) {
    const int width = drawing_.width, height = drawing_.height;
    const std::vector<double> density = resampled(counts, width, height);
    const double top = std::max(10.0, *std::max_element(density.begin(), density.end())), span = std::log(top / kLeast);
    for (int v = 0; v < height; ++v)
      for (int u = 0; u < width; ++u) {
        const double d = density[static_cast<std::size_t>(v) * static_cast<std::size_t>(width) + static_cast<std::size_t>(u)];
        picture_.set(left_ + u, top_ + v, d > 0 ? viridis(std::log(std::max(d, kLeast) / kLeast) / span) : kEmpty);
      }
    axes();
    scale(top);
    picture_.text(left_, top_ - 5 * unit_ / 2, drawing_.title, 3 * unit_ / 2, kInk);
  }
  void write() const { picture_.write_png(drawing_.out); }

 private:
  void axes() {
    const int right = left_ + drawing_.width, bottom = top_ + drawing_.height;
    picture_.fill(left_ - 1, top_ - 1, 1, drawing_.height + 2, kFaint);
    picture_.fill(left_ - 1, bottom, drawing_.width + 2, 1, kFaint);
    const double step_x = tick_step(drawing_.x.hi - drawing_.x.lo, 10), step_y = tick_step(drawing_.y.hi - drawing_.y.lo, 12);
    for (double at = std::ceil(drawing_.x.lo / step_x) * step_x; at <= drawing_.x.hi; at += step_x) {
      const int x = left_ + static_cast<int>(std::lround((at - drawing_.x.lo) / (drawing_.x.hi - drawing_.x.lo) * drawing_.width));
      picture_.fill(x, bottom, 1, unit_ / 3, kFaint);
      picture_.text(x, bottom + unit_ / 2, number(at), unit_, kInk, Picture::Align::centre);
    }
    for (double at = std::ceil(drawing_.y.lo / step_y) * step_y; at <= drawing_.y.hi; at += step_y) {
      const int y = bottom - static_cast<int>(std::lround((at - drawing_.y.lo) / (drawing_.y.hi - drawing_.y.lo) * drawing_.height));
      picture_.fill(left_ - unit_ / 3, y, unit_ / 3, 1, kFaint);
      picture_.text(left_ - unit_ / 2, y - unit_ / 2, number(at), unit_, kInk, Picture::Align::right);
    }
    picture_.text((left_ + right) / 2, bottom + 5 * unit_ / 2, drawing_.x.label, 5 * unit_ / 4, kInk, Picture::Align::centre);
    picture_.text_upwards(unit_, (top_ + bottom) / 2, drawing_.y.label, 5 * unit_ / 4, kInk);
  }

  void scale(double top) {
    const int x = left_ + drawing_.width + unit_, height = drawing_.height;
    for (int v = 0; v < height; ++v) picture_.fill(x, top_ + height - 1 - v, unit_, 1, viridis((v + 0.5) / height));
    for (double at = 1; at <= top * 1.0001; at *= 10) {
      const int y = top_ + height - static_cast<int>(std::lround(std::log(at / kLeast) / std::log(top / kLeast) * height));
      picture_.fill(x + unit_, y, unit_ / 3, 1, kFaint);
      picture_.text(x + 3 * unit_ / 2, y - unit_ / 2, number(at), unit_, kInk);
    }
    picture_.text(picture_.width() - unit_ / 2, top_ - 3 * unit_ / 2, "rows per bin", unit_, kInk, Picture::Align::right);
  }

  const Drawing& drawing_;
  int unit_;  // the height of small text
  int left_, top_;
  Picture picture_;
};

bool parse(int argc, char** argv, Drawing& drawing) {
  if (argc < 3) return false;
  drawing.counts = argv[1], drawing.out = argv[2];
  for (int i = 3; i < argc;) {
    const std::string flag = argv[i++];
    if ((flag == "--x" || flag == "--y") && i + 2 < argc) {
      (flag == "--x" ? drawing.x : drawing.y) = {std::atof(argv[i]), std::atof(argv[i + 1]), argv[i + 2]};
      i += 3;
    } else if (flag == "--title" && i < argc) {
      drawing.title = argv[i++];
    } else if (flag == "--size" && i + 1 < argc) {
      drawing.width = std::atoi(argv[i++]), drawing.height = std::atoi(argv[i++]);
    } else {
      return false;
    }
  }
  const auto fair = [](int pixels) { return pixels >= 100 && pixels <= 10000; };
  return fair(drawing.width) && fair(drawing.height) && drawing.x.lo < drawing.x.hi && drawing.y.lo < drawing.y.hi;
}

}  // namespace

int main(int argc, char** argv) {
  Drawing drawing;
  if (!parse(argc, argv, drawing)) {
    std::fprintf(stderr, "usage: heatmap COUNTS.npy OUT.png [--x LO HI LABEL] [--y LO HI LABEL] [--title TEXT] [--size WIDTH HEIGHT]\n");
    return 2;
  }
  try {
    const cadre::AnyArray file = cadre::open_npy(drawing.counts);
    if (file.shape.size() != 2 || file.elements() == 0)
      throw cadre::Error(drawing.counts + ": the shape is " + cadre::to_string(file.shape) + "; a histogram of two dimensions is needed");
    Sheet sheet(drawing);
    sheet.draw(file.as<const std::int64_t>());
    sheet.write();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "heatmap: %s\n", error.what());
    return 1;
  }
}
