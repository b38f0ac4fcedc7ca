#include <cadre/cadre.hpp>
#include <cmath>
#include <cstdio>

int main() {
  cadre::Engine engine;                                  // one worker process per usable core, forked now
  auto x = engine.array<double>(50'000'000);             // shared with every worker, copied to none
  auto y = engine.array<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = double(i) / double(x.size());

  engine.map(x, y, [a = 2.0](double v) { return a * std::sqrt(v); });
  double total = engine.reduce(y, 0.0, [](double a, double b) { return a + b; });
  auto bins = engine.scatter<std::uint64_t>(1'000'000, y, [](double v, auto& add) { add(std::size_t(v * 499'999.0), 1); });
  std::printf("%.6f %zu\n", total, bins.size());
}
