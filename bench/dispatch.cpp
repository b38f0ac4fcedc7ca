/* What it costs to give out work: the caller waits outside until the tasks are done. Cost per call, the median of the calls of a
   sample (Engine::map does more than give out work: it describes a job, and its tasks write an array); the first calls of each are not counted, so that everybody is as warm as a busy program keeps it. */
#include <cadre/bench/dispatch.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/problem.hpp>
#include <cadre/shm/arena.hpp>

#include <tbb/task_group.h>
#include <chrono>
#include <thread>
#include <vector>

namespace cadre::bench {
namespace {

Outcome spend_chunk(void* context, int, std::uint32_t, std::uint64_t, const Death*) {
  volatile std::uint64_t sink = spend(*static_cast<const volatile std::uint64_t*>(context));
  (void)sink;
  return Outcome::done;
}

}  // namespace

double steps_per_microsecond() {
  static const double rate = [] {
    double best = 0;
    for (int i = 0; i < 50; ++i) {
      constexpr std::uint64_t kSteps = 200'000;
      volatile std::uint64_t sink = 0;
      best = std::max(best, kSteps / (1e6 * seconds_of([&] { sink = spend(kSteps); })));
    }
    return best;
  }();
  return rate;
}

SpendingPool::SpendingPool(int workers)
    : steps_(reinterpret_cast<std::uint64_t*>(Arena::instance().reserve(kGrain))),
      pool_(PoolOptions{.workers = workers}, Task{steps_, nullptr, spend_chunk}) {}

void SpendingPool::run(std::uint64_t chunks, std::uint64_t steps) {
  *steps_ = steps;  // read by a worker after it has claimed a chunk
  if (!pool_.run(chunks, false).complete) throw WrongAnswer("the pool did not do all chunks");
}

Race dispatch_race(const Setting& setting, const DispatchProblem& problem) {
  Race race{.name = problem.name, .cost_unit = "us", .cost_unit_size = 1e-6};
  const auto steps = static_cast<std::uint64_t>(problem.microseconds * steps_per_microsecond());
  const std::uint64_t tasks = problem.tasks;
  const bool idle = problem.idle;
  const int calls = idle ? 8 : std::max(10, static_cast<int>(4000 / (2 + problem.microseconds * static_cast<double>(tasks)))),
            warm_up = idle ? 0 : calls / 4 + 3;
  const auto add = [&](const std::string& name, std::function<void()> call) {
    race.contestants.push_back({name,
                                [=] {
                                  std::vector<double> costs;
                                  for (int i = 0; i < warm_up + calls; ++i) {
                                    if (idle) std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                    const double seconds = seconds_of(call);
                                    if (i >= warm_up) costs.push_back(seconds);
                                  }
                                  return spread_of(costs).median;
                                },
                                {}});
  };
  SpendingPool* pool = problem.workers == setting.workers ? setting.pool : setting.crowded_pool;
  add("processes", [=] { pool->run(tasks, steps); });

  Engine* engine = problem.workers == setting.workers ? setting.processes : setting.crowd;
  auto in = engine->array<double>(tasks), out = engine->array<double>(tasks);
  add("processes: Engine::map", [=] { engine->map(in, out, [steps](double v) { return v + static_cast<double>(spend(steps)); }); });
  race.contestants.back().check = [=] {
    expect_all(tasks, "the value of task", [&](std::size_t i) { return out[i] == static_cast<double>(spend(steps)); });
    std::fill(out.begin(), out.end(), -1.0);
  };

  auto arena = std::make_shared<tbb::task_arena>(problem.workers);
  team();  // the limit on threads is lifted
  const auto body = [steps](std::uint64_t) {
    volatile std::uint64_t sink = spend(steps);
    (void)sink;
  };
  add("oneTBB: parallel_for", [=] { arena->execute([&] { tbb::parallel_for(std::uint64_t{0}, tasks, body); }); });
  add("oneTBB: parallel_for, simple",
      [=] { arena->execute([&] { tbb::parallel_for(std::uint64_t{0}, tasks, body, tbb::simple_partitioner()); }); });
  add("oneTBB: parallel_for, static",
      [=] { arena->execute([&] { tbb::parallel_for(std::uint64_t{0}, tasks, body, tbb::static_partitioner()); }); });
  add("oneTBB: task_group", [=] {
    arena->execute([&] {
      tbb::task_group group;
      for (std::uint64_t i = 1; i < tasks; ++i) group.run([&] { body(i); });
      body(0);
      group.wait();
    });
  });
  if (problem.figure.what.empty()) return race;
  Figure figure = problem.figure;
  figure.ours = "processes";
  if (figure.kind != Figure::Kind::amount) figure.peers = peers_of(race);
  race.figures.push_back(figure);
  figure.what += ", through Engine::map";
  figure.ours = "processes: Engine::map";
  race.figures.push_back(figure);
  return race;
}

}  // namespace cadre::bench
