#include <cadre/bench/harness.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <thread>

namespace cadre::bench {
namespace {

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 == sorted.size()) return sorted[below];
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

std::size_t index_of(const Race& race, const std::string& name) {
  for (std::size_t i = 0; i < race.contestants.size(); ++i)
    if (race.contestants[i].name == name) return i;
  throw std::logic_error("race " + race.name + " has no contestant named " + name);
}

double sample(const Race& race, const Contestant& contestant) {
  std::this_thread::sleep_for(std::chrono::duration<double>(race.settle));
  return contestant.sample();
}

void check(const Race& race, const Contestant& contestant) {
  if (!contestant.check) return;
  try {
    contestant.check();
  } catch (const WrongAnswer& wrong) {
    throw WrongAnswer(race.name + ", " + contestant.name + ": " + wrong.what());
  }
}

std::string fixed(double value, int places) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(places) << value;
  return text.str();
}

std::string digits(double value) { return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0); }

/** Where a hundredth is what is asked for, a thousandth says how near it is. */
std::string ratio_digits(double value) { return fixed(value, value < 2 ? 3 : 1); }

std::string wanted_text(const Figure& f) {
  switch (f.kind) {
    case Figure::Kind::speed: return "at least " + digits(f.wanted);
    case Figure::Kind::cost: return "at most " + digits(f.wanted);
    default: return "at most " + digits(f.wanted) + " " + f.unit;
  }
}

}  // namespace

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)};
}

Measured run(const Race& race, const Limits& limits) {
  const std::size_t n = race.contestants.size();
  for (std::size_t round = 0; round < limits.warm_up; ++round)
    for (const Contestant& c : race.contestants) {
      sample(race, c);
      // Before anybody else has run: contestants may share the memory of their answer.
      if (round + 1 == limits.warm_up) check(race, c);
    }
  Measured measured{std::vector<std::vector<double>>(n)};
  double spent = 0;
  for (std::size_t round = 0; round < std::min(limits.max_rounds, race.most_rounds); ++round) {
    if (round >= limits.min_rounds && spent > limits.seconds) break;
    spent += seconds_of([&] {
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t turn = (i + round) % n;
        measured.costs[turn].push_back(sample(race, race.contestants[turn]));
      }
    });
  }
  for (const Contestant& c : race.contestants) {
    sample(race, c);
    check(race, c);
  }
  return measured;
}

Verdict judge(const Figure& figure, const Race& race, const Measured& measured) {
  const std::vector<double>& ours = measured.costs[index_of(race, figure.ours)];
  Verdict verdict;
  if (figure.kind == Figure::Kind::amount) {
    verdict.value = spread_of(ours);
    for (double* v : {&verdict.value.low, &verdict.value.median, &verdict.value.high}) *v /= figure.unit_size;
    verdict.met = verdict.value.median <= figure.wanted;
    return verdict;
  }
  const std::vector<double>* best = nullptr;
  for (const std::string& name : figure.peers) {
    const std::vector<double>& peer = measured.costs[index_of(race, name)];
    if (best && spread_of(*best).median <= spread_of(peer).median) continue;
    best = &peer;
    verdict.best_peer = name;
  }
  if (!best) throw std::logic_error("figure without a peer: " + figure.what);
  const bool speed = figure.kind == Figure::Kind::speed;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(speed ? (*best)[i] / ours[i] : ours[i] / (*best)[i]);
  verdict.value = spread_of(ratios);
  verdict.met = speed ? verdict.value.median >= figure.wanted : verdict.value.median <= figure.wanted;
  return verdict;
}

void print_figures_head(std::ostream& out) {
  out << "| what | wanted | measured | quartiles | ours | best peer | met |\n|---|---|---|---|---|---|---|\n";
}

void print_figures(std::ostream& out, const Race& race, const Measured& measured) {
  const auto cost_text = [&](const std::string& name) {
    const double median = spread_of(measured.costs[index_of(race, name)]).median;
    std::string text = digits(median / race.cost_unit_size) + " " + race.cost_unit;
    if (!race.rate_unit.empty()) text += ", " + digits(race.work / median) + " " + race.rate_unit;
    return text;
  };
  for (const Figure& figure : race.figures) {
    const Verdict v = judge(figure, race, measured);
    const auto text = [&](double value) { return figure.kind == Figure::Kind::amount ? digits(value) + " " + figure.unit : ratio_digits(value); };
    out << "| " << figure.what << " | " << wanted_text(figure) << " | " << text(v.value.median) << " | " << text(v.value.low) << " to " << text(v.value.high)
        << " | " << figure.ours << ": " << cost_text(figure.ours) << " | "
        << (v.best_peer.empty() ? "" : v.best_peer + ": " + cost_text(v.best_peer)) << " | " << (v.met ? "yes" : "**no**") << " |\n";
  }
  out << std::flush;
}

void print_contestants(std::ostream& out, const Race& race, const Measured& measured) {
  std::vector<std::size_t> order(race.contestants.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return spread_of(measured.costs[a]).median < spread_of(measured.costs[b]).median; });
  out << "\n**" << race.name << "**, " << measured.costs.front().size() << " rounds\n\n| contestant | median, " << race.cost_unit
      << " | quartiles |" << (race.rate_unit.empty() ? "" : " " + race.rate_unit + " |") << "\n|---|---|---|"
      << (race.rate_unit.empty() ? "" : "---|") << "\n";
  for (std::size_t i : order) {
    const Spread s = spread_of(measured.costs[i]);
    out << "| " << race.contestants[i].name << " | " << digits(s.median / race.cost_unit_size) << " | "
        << digits(s.low / race.cost_unit_size) << " to " << digits(s.high / race.cost_unit_size) << " |";
    if (!race.rate_unit.empty()) out << " " << digits(race.work / s.median) << " |";
    out << "\n";
  }
  out << std::flush;
}

}  // namespace cadre::bench
