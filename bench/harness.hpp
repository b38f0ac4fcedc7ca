#pragma once
/* Races: the same problem solved by several contestants, measured so that the ratio between them can be believed.

   All contestants of a race live in one process and take turns, A B C A B C ..., the order turned by one every round, so that a noisy
   neighbour, a clock that changes or memory that the host takes back meets all of them. A ratio is the median of the
   ratios within a round, not the ratio of two medians. Every contestant's answer is compared with the right one after the
   warm-up and after the last round; a wrong one ends the program with a status that is not 0. */
#include <cstddef>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace cadre::bench {

/** A contestant's answer is not the problem's. */
struct WrongAnswer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Contestant {
  std::string name;                // "processes", "oneTBB: private copies"
  std::function<double()> sample;  // solves the problem once and returns what that cost: seconds, or bytes where the race is about memory
  std::function<void()> check;     // throws WrongAnswer; empty where sample() itself checks
};

/** A line of the table: what is wanted of one contestant, alone or against the best of some others. */
struct Figure {
  enum class Kind {
    speed,   // cost of the best peer / cost of ours, at least `wanted`
    cost,    // cost of ours / cost of the best peer, at most `wanted`
    amount,  // cost of ours, at most `wanted` units
  };
  std::string what;
  Kind kind = Kind::speed;
  double wanted = 1;
  std::string ours;
  std::vector<std::string> peers;
  std::string unit = "us";  // of an amount
  double unit_size = 1e-6;  // the unit in what sample() returns
};

struct Race {
  std::string name;       // what --filter sees
  std::string rate_unit;  // "GB/s"; "" where only the cost is shown
  double work = 0;        // rate = work / cost
  std::string cost_unit = "ms";
  double cost_unit_size = 1e-3;
  std::vector<Contestant> contestants;
  std::vector<Figure> figures;
  std::size_t most_rounds = 1000;  // where the cost hardly varies
  double settle = 0.002;           // seconds of sleep before every sample: lets the workers of the contestant before go to sleep
};

struct Limits {
  double seconds = 8;          // no new round after that time ...
  std::size_t min_rounds = 5;  // ... unless fewer have been made
  std::size_t max_rounds = 51;
  std::size_t warm_up = 2;  // rounds that are not counted
};

struct Spread {
  double low = 0, median = 0, high = 0;  // quartiles
};
Spread spread_of(std::vector<double> values);

struct Measured {
  std::vector<std::vector<double>> costs;  // by contestant, then by round
};

/** Throws WrongAnswer. */
Measured run(const Race&, const Limits&);

struct Verdict {
  Spread value;
  std::string best_peer;  // "" for an amount
  bool met = false;
};
Verdict judge(const Figure&, const Race&, const Measured&);

/** Markdown: the figures' table head, a race's lines of it, and the table of all contestants of a race. */
void print_figures_head(std::ostream&);
void print_figures(std::ostream&, const Race&, const Measured&);
void print_contestants(std::ostream&, const Race&, const Measured&);

/** Seconds that f() takes. */
double seconds_of(const std::function<void()>& f);

}  // namespace cadre::bench
