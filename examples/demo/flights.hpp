#pragma once
/* Flights as they might have been: the rows of the demo's table. Row i is a function of the seed and i alone, so any thread may make any
   row. Only operations that IEEE 754 rounds correctly are used (+ - * / sqrt), so the table is the same on every machine.

     distance  int16, miles      as flown, on one of 3,000 routes, few of them busy, many rare; most are short (feeders of a hub),
                                 some cross the country, a few an ocean: five modes
     time      float32, hours    scheduled departure, in whole minutes: peaks at 8 and 17 h, few flights at night
     delay     int16, minutes    arrival. Most flights are a little early, long ones by more and less surely (winds). Some are late, the
                                 more the later in the day (delays pass from flight to flight), with a long tail to 20 hours */
#include <cstdint>
#include <vector>

class Flights {
 public:
  struct Row {
    std::int16_t delay, distance;
    float time;
  };

  explicit Flights(std::uint64_t seed);
  Row row(std::uint64_t i) const noexcept;

 private:
  std::uint64_t seed_;
  std::vector<std::int16_t> distance_of_ticket_;  // 65,536 tickets, drawn with equal chances; a busy route has many
};
