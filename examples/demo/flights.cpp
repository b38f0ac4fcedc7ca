#include "flights.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr int kRoutes = 3000;
constexpr std::uint64_t kTickets = 65536;

/** A stream of random numbers for one row: the counter is mixed as in splitmix64 (Steele, Lea, Flood 2014). */
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed ^ mix(stream))) {}
  std::uint64_t bits() { return mix(state_ += 0x9e3779b97f4a7c15); }
  /** In (0, 1). */
  double uniform() { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }
  /** Mean 0, deviation 1: the sum of four 16-bit uniforms, which is close to a normal distribution and never beyond 3.5. */
  double normal() {
    const std::uint64_t b = bits();
    const auto sum = static_cast<double>((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    return (sum / 65535.0 - 2.0) * 1.7320508075688772;
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint64_t state_;
};

/** Lomax distribution with exponent 4, cut off at 3.3 scales: a long tail out of two square roots. */
double long_tail(double scale, double u) { return scale * (1 / std::sqrt(std::sqrt(0.003 + 0.997 * u)) - 1); }

struct Mode {
  double share, mean, deviation;
};
constexpr Mode kDistances[] = {{0.34, 310, 115},  {0.30, 680, 190},   {0.19, 1060, 170},
                               {0.11, 1750, 230}, {0.055, 2480, 120}, {0.005, 4300, 330}};
constexpr Mode kTimes[] = {{0.30, 8.0, 1.5}, {0.36, 17.2, 2.1}, {0.27, 12.5, 3.6}, {0.07, 21.4, 1.3}};

template <std::size_t N>
const Mode& pick(const Mode (&modes)[N], double u) {
  for (std::size_t m = 0; m + 1 < N; ++m) {
    if (u < modes[m].share) return modes[m];
    u -= modes[m].share;
  }
  return modes[N - 1];
}

double route_distance(Random& random) {
  const Mode& mode = pick(kDistances, random.uniform());
  double miles;
  do miles = mode.mean + mode.deviation * random.normal();
  while (miles < 31);
  return miles;
}

double departure(Random& random) {
  const Mode& mode = pick(kTimes, random.uniform());
  double hours = mode.mean + mode.deviation * random.normal();
  if (hours < 0) hours += 24;
  if (hours >= 24) hours -= 24;
  return std::floor(hours * 60) / 60;
}

}  // namespace

Flights::Flights(std::uint64_t seed) : seed_(seed), distance_of_ticket_(kTickets) {
  Random random(seed, ~std::uint64_t{0});
  double weight = 0;  // of all routes: the k-th busiest has 1 / (k + 40)
  for (int k = 0; k < kRoutes; ++k) weight += 1.0 / (k + 40);
  double sold = 0;
  std::uint64_t ticket = 0;
  for (int k = 0; k < kRoutes; ++k) {
    sold += 1.0 / (k + 40);
    const auto end = k + 1 == kRoutes ? kTickets : static_cast<std::uint64_t>(sold / weight * static_cast<double>(kTickets));
    const auto miles = static_cast<std::int16_t>(route_distance(random));
    while (ticket < end) distance_of_ticket_[ticket++] = miles;
  }
}

Flights::Row Flights::row(std::uint64_t i) const noexcept {
  Random random(seed_, i);
  const double miles = distance_of_ticket_[random.bits() % kTickets] * (1 + 0.006 * random.normal());
  const double hours = departure(random);
  const double day = hours < 4 ? 1.0 : (hours - 4) / 20;  // 0 at four in the morning, 1 at midnight and after

  double minutes = -7 - 0.0014 * miles + (7.5 + 0.0026 * miles) * random.normal();
  const double luck = random.uniform(), how_late = random.uniform();
  if (luck < 0.012 + 0.012 * day)
    minutes += 35 + long_tail(380, how_late);
  else if (luck < 0.20 + 0.26 * day)
    minutes += long_tail(58 + 34 * day, how_late);
  return {static_cast<std::int16_t>(std::floor(std::clamp(minutes, -120.0, 1800.0) + 0.5)),
          static_cast<std::int16_t>(std::floor(miles + 0.5)), static_cast<float>(hours)};
}
