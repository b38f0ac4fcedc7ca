/* The histogram of 100 million float64 between 0 and 1 in 256, 65,536 or 2^24 bins, as int64. One element in 1,009 lies outside,
   on the last edge, or is NaN. With few bins bound by arithmetic and memory, with many by cache misses. */
#include <cadre/bench/huge_array.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <tbb/spin_mutex.h>
#include <limits>
#include <mutex>
#include <vector>

namespace cadre::bench {
namespace {

using Range = tbb::blocked_range<std::size_t>;

double element(std::size_t i) {
  if (i % 1009 != 5) return uniform(i, 1);
  constexpr double odd[] = {-0.25, 1.0, std::numeric_limits<double>::quiet_NaN(), 1.5};
  return odd[i / 1009 % 4];
}

/** What all contestants share: the data, the memory of the answer (bins + 1, the last for outsiders) and the right one. */
struct Problem {
  std::size_t n;
  Grid grid;
  const Loops& loops;
  HugeArray<double> x;
  HugeArray<std::int64_t> counts;
  std::vector<std::int64_t> right;

  Problem(const Setting& setting, std::uint32_t bins)
      : n(setting.size(100'000'000)), grid{0, 1, bins}, loops(setting.loops()), x(n), counts(bins + 1), right(bins + 1) {
    fill(x.data(), n, element);
    for (std::size_t i = 0; i < n; ++i) {
      const double v = x[i];
      const bool inside = v >= 0 && v <= 1;
      ++right[inside ? std::min<std::size_t>(static_cast<std::size_t>(v * bins), bins - 1) : bins];
    }
  }

  void check(std::int64_t* answer, std::size_t cells) const {
    expect_all(cells, "the count of bin", [&](std::size_t i) { return answer[i] == right[i]; });
    std::fill_n(answer, cells, -1);
  }

  void clear() {
    each_part(counts.size(), 1 << 16, [&](std::size_t first, std::size_t count) { std::fill_n(counts.data() + first, count, 0); });
  }
};

/** A table per thread, kept from run to run, cleared in the timed part; at the end all of them are added up by all threads. */
template <class Loop>
void private_copies(Problem& p, tbb::enumerable_thread_specific<std::shared_ptr<HugeArray<std::uint32_t>>>& tables, std::size_t tables_each,
                    Loop loop) {
  const std::size_t cells = p.grid.bins + 1;
  for (auto& table : tables) std::fill_n(table->data(), cells * tables_each, 0);
  tbb::parallel_for(Range(0, p.n, 1 << 16), [&](const Range& r) {
    auto& table = tables.local();
    if (!table) table = huge_array<std::uint32_t>(cells * tables_each);
    loop(p.x.data() + r.begin(), r.size(), p.grid, table->data());
  });
  std::vector<std::uint32_t*> all;
  for (auto& table : tables)
    for (std::size_t t = 0; t < tables_each; ++t) all.push_back(table->data() + t * cells);
  tbb::parallel_for(Range(0, cells, 1 << 12), [&](const Range& r) {
    for (std::size_t at = r.begin(); at < r.end(); at += 2048)
      p.loops.add_tables(all.data(), all.size(), at, std::min<std::size_t>(2048, r.end() - at), p.counts.data());
  });
}

/** Every thread gathers the cells of each segment in a buffer of its own; a full one is added to the result under the segment's lock. */
class LockedSegments {
 public:
  LockedSegments(Problem& p, std::size_t segments, std::size_t room) : p_(p), room_(room), locks_(segments) {
    while ((p.grid.bins >> shift_) >= segments) ++shift_;
  }

  void run() {
    p_.clear();
    tbb::parallel_for(Range(0, p_.n, 1 << 16), [&](const Range& r) {
      Buffers& mine = buffers_.local();
      if (mine.used.empty()) mine.used.resize(locks_.size()), mine.cell.resize(locks_.size() * room_);
      std::uint32_t cell[1024];
      std::uint32_t* const used = mine.used.data();
      std::uint32_t* const gathered = mine.cell.data();
      const std::size_t room = room_, shift = shift_;
      for (std::size_t i = r.begin(); i < r.end(); i += 1024) {
        const std::size_t m = std::min<std::size_t>(1024, r.end() - i);
        p_.loops.cells(p_.x.data() + i, m, p_.grid, cell);
        for (std::size_t j = 0; j < m; ++j) {
          const std::size_t segment = cell[j] >> shift;
          gathered[segment * room + used[segment]] = cell[j];
          if (++used[segment] == room) apply(mine, segment);
        }
      }
    });
    for (Buffers& b : buffers_)
      for (std::size_t segment = 0; segment < b.used.size(); ++segment) apply(b, segment);
  }

 private:
  struct Buffers {
    std::vector<std::uint32_t> used, cell;
  };
  struct alignas(64) Lock {
    tbb::spin_mutex mutex;
  };

  void apply(Buffers& b, std::size_t segment) {
    const std::uint32_t* cell = b.cell.data() + segment * room_;
    const std::uint32_t used = b.used[segment];
    std::int64_t* counts = p_.counts.data();
    std::lock_guard hold(locks_[segment].mutex);
    for (std::uint32_t j = 0; j < used; ++j) ++counts[cell[j]];
    b.used[segment] = 0;
  }

  Problem& p_;
  std::size_t room_, shift_ = 0;
  std::vector<Lock> locks_;
  tbb::enumerable_thread_specific<Buffers> buffers_;
};

}  // namespace

Race histogram_race(const Setting& setting, std::uint32_t bins) {
  auto p = std::make_shared<Problem>(setting, bins);
  const std::string size = bins == 1 << 24 ? "16M" : std::to_string(bins);
  Race race{.name = "histogram_" + size, .rate_unit = "Melem/s", .work = 1e-6 * static_cast<double>(p->n)};
  const auto add = [&](const std::string& name, auto body) {
    race.contestants.push_back(
        {name, [=] { return seconds_of([&] { team().execute(body); }); }, [=] { p->check(p->counts.data(), p->counts.size()); }});
  };
  const auto add_private = [&](const std::string& name, std::size_t tables_each, auto loop) {
    auto tables = std::make_shared<tbb::enumerable_thread_specific<std::shared_ptr<HugeArray<std::uint32_t>>>>();
    add("oneTBB: private copies" + name, [=] { private_copies(*p, *tables, tables_each, loop); });
  };
  const auto add_locked = [&](std::size_t segments, std::size_t room) {
    auto locked = std::make_shared<LockedSegments>(*p, segments, room);
    add("oneTBB: lock per segment, " + std::to_string(segments) + " segments, buffers of " + std::to_string(room), [=] {
      (void)p;
      locked->run();
    });
  };
  const Loops& loops = p->loops;
  if (bins <= 1 << 18) add_private(", four each", 4, loops.count_4);
  add_private("", 1, loops.count_1);
  if (bins > 1 << 16) add_private(", prefetch", 1, loops.count_prefetch);
  add("oneTBB: atomics", [=] {
    p->clear();
    tbb::parallel_for(Range(0, p->n, 1 << 16),
                      [&](const Range& r) { p->loops.count_atomic(p->x.data() + r.begin(), r.size(), p->grid, p->counts.data()); });
  });
  add_locked(64, 256);
  if (bins > 1 << 16) {
    add_locked(256, 1024);
    add_locked(1024, 256);
  }
  const std::string what = "histogram of 100 M values, " + std::to_string(bins) +
                           " bins, processes / best of private copies, atomics, lock per segment on oneTBB";
  race.figures.push_back({.what = what, .wanted = bins > 1 << 16 ? 1.2 : 0.95, .ours = "processes", .peers = peers_of(race)});

  auto x = setting.processes->array<double>(p->n);
  auto counts = setting.processes->array<std::int64_t>(bins);
  fill(x.data(), p->n, element);
  const Job job =
      job_of("histogram", {{"x", x}}, {{"out", counts}}, {{"bins", std::int64_t{bins}}, {"lo", p->grid.lo}, {"hi", p->grid.hi}});
  add_engines(race, setting, job, [=](const Report& report) {
    expect_close(number_of(report, "outside"), static_cast<double>(p->right[bins]), 0, "the number of values outside");
    p->check(counts.data(), bins);
  });
  return race;
}

}  // namespace cadre::bench
