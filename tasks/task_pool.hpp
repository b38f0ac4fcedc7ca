#pragma once
/* A pool of processes that run tasks, with the verbs of Python's multiprocessing.Pool:

     int square(int x) { return x * x; }
     cadre::TaskPool pool;                                     // one worker per usable CPU
     std::vector<int> all = pool.map(square, std::vector{1, 2, 3});
     cadre::Future<int> f = pool.apply_async(square, 7);       // f.get() waits: 49, or throws what became of it
     for (const std::string& s : pool.imap(read_it, names)) ...

   A task is a function, or a lambda that captures trivially copyable values, and its arguments; results are trivially copyable, strings, vectors and the rest of what can be
   passed to a Process (shm/parcel.hpp); void becomes std::monostate. Items are cut into chunks: one chunk is one task, which fails or succeeds as a whole.

   An exception in a task arrives at get() as TaskError, with its type's name and message. A crash there, or a kill, is WorkerDied, with signal and stack: the worker is
   replaced, and the pool lives on. No task is run twice. When initializers fail three times in a row, the pool gives up, and says why.

   Made by the program's first process. Under fork, make it before other threads: those who replace a worker fork from a thread of the pool. The end of the scope terminates it, as in Python: close() and join() first, or get() what is to be had. */
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cadre/tasks/dispatcher.hpp>
#include <cadre/tasks/future.hpp>

namespace cadre {

struct TaskPoolOptions {
  std::uint32_t processes = 0;                 // 0: as many as there are usable CPUs
  std::uint64_t max_tasks_per_child = 0;       // then a fresh process takes its place; 0: never
  std::optional<StartMethod> start = {};       // nothing: set_start_method's
};

namespace detail {

template <class R>
using TaskResult = std::conditional_t<std::is_void_v<R>, std::monostate, std::decay_t<R>>;

/** One item: the only argument, or, where it is spread, all of them. */
template <bool spread, class F, class Item>
decltype(auto) call_with(F& f, Item& item) {
  if constexpr (spread)
    return std::apply(f, item);
  else
    return std::invoke(f, item);
}

template <bool spread, class F, class Item>
using ResultOf = TaskResult<decltype(call_with<spread>(std::declval<F&>(), std::declval<Item&>()))>;

/** What a worker does with a task. */
template <bool spread, class F, class Item>
struct TaskCode {
  using R = ResultOf<spread, F, Item>;
  static void run(const TaskCall& call, Parcel& reply) {
    ParcelReader callable({call.callable, call.callable_bytes}), items({call.items, call.items_bytes});
    F f = Travel<F>::unpack(callable);
    for (std::uint64_t i = 0; i < call.count; ++i) {
      if constexpr (lies_as_bytes<Item>) {
        union Room {
          Room() {}
          Item value;
        } room;
        items.take(static_cast<void*>(&room.value), sizeof(Item));
        keep(call, i, f, room.value, reply);
      } else {
        Item item = Travel<Item>::unpack(items);
        keep(call, i, f, item, reply);
      }
    }
  }

 private:
  static void keep(const TaskCall& call, std::uint64_t i, F& f, Item& item, Parcel& reply) {
    if constexpr (std::is_same_v<R, std::monostate>) {
      (void)call, (void)i, (void)reply;
      call_with<spread>(f, item);
    } else if constexpr (lies_as_bytes<R>) {
      const R result = call_with<spread>(f, item);
      if (call.results)
        std::memcpy(call.results + i * sizeof(R), &result, sizeof(R));
      else
        reply.put(&result, sizeof(R));
    } else {
      Travel<R>::pack(reply, call_with<spread>(f, item));
    }
  }
};

/** Callable and items of a call as bytes, and where each item begins. */
struct PackedCall {
  Parcel callable, items;
  std::vector<std::uint64_t> begins;  // empty: items of `item_bytes` each
  std::uint64_t count = 0, item_bytes = 0;
};
/** Cuts it into tasks of `chunk` items and gives them to the dispatcher. `result_bytes`: of each result, where that is known and not 0. */
std::shared_ptr<Job> submit(Dispatcher& dispatcher, RunTask run, const PackedCall& call, std::uint64_t chunk, std::uint64_t result_bytes);

template <class F, class Item>
constexpr void require_task_travels() {
  static_assert(can_travel<F>, "a task must be a function, or a lambda that captures nothing but trivially copyable values and no pointers: pass everything else as an argument");
  static_assert(can_travel<Item>, "an argument of a task must be trivially copyable, a shared handle (array, value, lock ...), a std::string, or a std::vector, pair or tuple of these");
  static_assert(!std::is_pointer_v<Item> || std::is_function_v<std::remove_pointer_t<Item>>, "a pointer means nothing in another process: pass what it points to");
}

template <bool spread, class F, class Items>
std::shared_ptr<Job> submit_all(Dispatcher& dispatcher, const F& f, Items&& items, std::uint64_t chunk) {
  using Item = std::remove_cvref_t<std::ranges::range_reference_t<Items>>;
  require_task_travels<F, Item>();
  using R = ResultOf<spread, F, Item>;
  static_assert(can_travel<R>, "the result of a task must be trivially copyable, a shared handle, a std::string, or a std::vector, pair or tuple of these");
  PackedCall call;
  Travel<F>::pack(call.callable, f);
  if constexpr (lies_as_bytes<Item> && std::ranges::contiguous_range<Items>) {
    call.count = std::ranges::size(items);
    call.items.put(std::ranges::data(items), call.count * sizeof(Item));
    call.item_bytes = sizeof(Item);
  } else {
    for (auto&& each : items) {
      const Item& item = each;
      call.begins.push_back(call.items.bytes().size());
      if constexpr (lies_as_bytes<Item>)
        call.items.put(&item, sizeof(Item));
      else
        Travel<Item>::pack(call.items, item);
      ++call.count;
    }
  }
  return submit(dispatcher, &TaskCode<spread, F, Item>::run, call, chunk, lies_as_bytes<R> && !std::is_same_v<R, std::monostate> ? sizeof(R) : 0);
}

/** What a worker's process does. */
template <class Initialize, class... Args>
void work_in_pool(TaskSeat& seat, Initialize& initialize, Args&... args) {
  seat.begin();
  seat.initialize([&] { std::invoke(initialize, args...); });
  seat.work();
}
inline void nothing_to_initialize() {}

}  // namespace detail

template <class F>
concept TaskFunction = !std::same_as<std::remove_cvref_t<F>, TaskPoolOptions> && !std::integral<std::remove_cvref_t<F>>;

class TaskPool {
 public:
  /** Starts the workers. Throws Error: not the program's first process, no process to be had, init missing. */
  explicit TaskPool(const TaskPoolOptions& options = {}) : TaskPool(options, &detail::nothing_to_initialize) {}
  explicit TaskPool(std::uint32_t processes) : TaskPool(TaskPoolOptions{.processes = processes}) {}
  /** Each worker calls initializer(args...) before its first task. */
  template <TaskFunction F, class... Args>
  TaskPool(const TaskPoolOptions& options, F initializer, Args&&... args) {
    detail::require_travels<F, detail::KeptAs<Args>...>();
    const ProcessOptions process{.daemon = true, .start = options.start};
    start(options, [process, initializer, ... kept = detail::KeptAs<Args>(std::forward<Args>(args))](const detail::TaskSeat& seat) {
      return Process(process, &detail::work_in_pool<F, detail::KeptAs<Args>...>, seat, initializer, kept...);
    });
  }

  /** f(item) for each: the results in the order of the items. `chunk` items make one task; 0: four tasks per worker. Throws TaskError, WorkerDied. */
  template <class F, std::ranges::input_range Items>
  auto map(F f, Items&& items, std::uint64_t chunk = 0) {
    return map_async(std::move(f), std::forward<Items>(items), chunk).get();
  }
  /** Returns at once. */
  template <class F, std::ranges::input_range Items>
  auto map_async(F f, Items&& items, std::uint64_t chunk = 0) {
    return map_future<false>(std::move(f), std::forward<Items>(items), chunk);
  }
  /** The same for items that are tuples of arguments: f(a, b). */
  template <class F, std::ranges::input_range Items>
  auto starmap(F f, Items&& items, std::uint64_t chunk = 0) {
    return starmap_async(std::move(f), std::forward<Items>(items), chunk).get();
  }
  template <class F, std::ranges::input_range Items>
  auto starmap_async(F f, Items&& items, std::uint64_t chunk = 0) {
    return map_future<true>(std::move(f), std::forward<Items>(items), chunk);
  }
  /** Results one after the other, in the order of the items, while others are still being made. */
  template <class F, std::ranges::input_range Items>
  auto imap(F f, Items&& items, std::uint64_t chunk = 1) {
    return results(std::move(f), std::forward<Items>(items), chunk, true);
  }
  /** In the order in which they are made. */
  template <class F, std::ranges::input_range Items>
  auto imap_unordered(F f, Items&& items, std::uint64_t chunk = 1) {
    return results(std::move(f), std::forward<Items>(items), chunk, false);
  }
  /** f(args...) in a worker. Throws TaskError, WorkerDied. */
  template <class F, class... Args>
  auto apply(F f, Args&&... args) {
    return apply_async(std::move(f), std::forward<Args>(args)...).get();
  }
  /** Returns at once. */
  template <class F, class... Args>
  auto apply_async(F f, Args&&... args) {
    using Item = std::tuple<detail::KeptAs<Args>...>;
    static_assert(std::is_invocable_v<F&, detail::KeptAs<Args>&...>, "the task can not be called with these arguments (each is a copy; text is a std::string)");
    const Item item[1] = {Item(std::forward<Args>(args)...)};
    return Future<detail::ResultOf<true, F, Item>>(detail::submit_all<true>(*dispatcher_, f, std::span<const Item>(item), 1));
  }

  /** No more tasks: the workers leave when they have done those that there are. */
  void close() { dispatcher_->close(); }
  /** Kills the workers. Tasks that are not over fail. */
  void terminate() { dispatcher_->terminate(); }
  /** After close() or terminate(): waits until all workers are gone. */
  void join() { dispatcher_->join(); }

  /** Workers, and their pids as of now. */
  std::uint32_t processes() const { return dispatcher_->workers(); }
  std::vector<pid_t> pids() const { return dispatcher_->pids(); }

 private:
  void start(const TaskPoolOptions& options, detail::Dispatcher::MakeWorker make);
  std::uint64_t chunk_for(std::uint64_t chunk, std::uint64_t count) const { return chunk ? chunk : std::max<std::uint64_t>(1, (count + 4 * processes() - 1) / (4 * processes())); }
  template <bool spread, class F, class Items>
  auto map_future(F f, Items&& items, std::uint64_t chunk) {
    using Item = std::remove_cvref_t<std::ranges::range_reference_t<Items>>;
    if constexpr (std::ranges::sized_range<Items>) {
      return MapFuture<detail::ResultOf<spread, F, Item>>(detail::submit_all<spread>(*dispatcher_, f, items, chunk_for(chunk, std::ranges::size(items))));
    } else {
      std::vector<Item> all;
      for (auto&& item : items) all.push_back(item);
      return MapFuture<detail::ResultOf<spread, F, Item>>(detail::submit_all<spread>(*dispatcher_, f, all, chunk_for(chunk, all.size())));
    }
  }
  template <class F, class Items>
  auto results(F f, Items&& items, std::uint64_t chunk, bool in_order) {
    using Item = std::remove_cvref_t<std::ranges::range_reference_t<Items>>;
    return Results<detail::ResultOf<false, F, Item>>(detail::submit_all<false>(*dispatcher_, f, items, std::max<std::uint64_t>(chunk, 1)), in_order);
  }
  std::unique_ptr<detail::Dispatcher> dispatcher_;
};

}  // namespace cadre
