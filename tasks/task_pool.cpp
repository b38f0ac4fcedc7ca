#include <cadre/tasks/task_pool.hpp>

#include <string>

namespace cadre {

namespace detail {

namespace {
constexpr std::size_t kSmall = 1024;  // bytes of callable and items that go on the ring itself
constexpr std::size_t kAligned = 64;
std::size_t aligned(std::size_t n) { return (n + kAligned - 1) / kAligned * kAligned; }
}  // namespace

std::shared_ptr<Job> submit(Dispatcher& dispatcher, RunTask run, const PackedCall& call, std::uint64_t chunk, std::uint64_t result_bytes) {
  call.callable.require_bytes_alone("a task");
  call.items.require_bytes_alone("a task");
  const auto callable = call.callable.bytes(), items = call.items.bytes();
  std::vector<Outcome> outcomes;
  for (std::uint64_t first = 0; first < call.count; first += chunk) outcomes.push_back({.first = first, .count = std::min(chunk, call.count - first)});
  const bool small = outcomes.size() <= 1 && callable.size() + items.size() <= kSmall && call.count * result_bytes <= kSmall;

  TaskMemory memory;
  std::byte *its_callable = nullptr, *its_items = nullptr, *its_results = nullptr;
  if (!small) {
    const std::size_t before_items = aligned(callable.size()), before_results = before_items + aligned(items.size());
    memory = TaskMemory(before_results + call.count * result_bytes + kAligned);
    its_callable = memory.data();
    its_items = its_callable + before_items;
    if (result_bytes) its_results = its_callable + before_results;
    if (!callable.empty()) std::memcpy(its_callable, callable.data(), callable.size());
    if (!items.empty()) std::memcpy(its_items, items.data(), items.size());
  }
  const auto begin_of = [&](std::uint64_t item) { return item == call.count ? items.size() : call.begins.empty() ? item * call.item_bytes : call.begins[item]; };
  std::vector<NewTask> tasks;
  tasks.reserve(outcomes.size());
  for (const Outcome& o : outcomes) {
    const std::uint64_t from = begin_of(o.first), bytes = begin_of(o.first + o.count) - from;
    NewTask& task = tasks.emplace_back();
    task.call = {.run = run,
                 .callable = its_callable,
                 .callable_bytes = callable.size(),
                 .items = small ? nullptr : its_items + from,
                 .items_bytes = bytes,
                 .results = its_results ? its_results + o.first * result_bytes : nullptr,
                 .count = o.count};
    if (!small) continue;
    task.behind.assign(callable.begin(), callable.end());
    task.behind.insert(task.behind.end(), items.begin(), items.end());
  }
  auto job = std::make_shared<Job>(std::move(outcomes), its_results);
  job->memory = std::move(memory);
  dispatcher.submit(job, std::move(tasks));
  return job;
}

}  // namespace detail

void TaskPool::start(const TaskPoolOptions& options, detail::Dispatcher::MakeWorker make) {
  const std::uint32_t n = options.processes ? options.processes : static_cast<std::uint32_t>(cpu_count());
  if (n > detail::kMostTaskWorkers) throw Error("a pool of " + std::to_string(n) + " processes: it can have up to " + std::to_string(detail::kMostTaskWorkers));
  dispatcher_ = std::make_unique<detail::Dispatcher>(n, options.max_tasks_per_child, std::move(make));
}

}  // namespace cadre
