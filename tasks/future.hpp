#pragma once
/* What becomes of tasks: a Future for all that one call has started, Results for those of imap, one after the other. Copies share the same tasks. Any thread of the process
   that has the pool. */
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <cadre/shm/storage.hpp>
#include <cadre/sync/deadline.hpp>
#include <cadre/tasks/task_board.hpp>
#include <cadre/tasks/task_error.hpp>

namespace cadre {

namespace detail {

/** Shared memory for the callable, the items and the results of a job. */
class TaskMemory {
 public:
  TaskMemory() = default;
  explicit TaskMemory(std::size_t bytes);
  ~TaskMemory();
  TaskMemory(TaskMemory&& other) noexcept : storage_(std::move(other.storage_)), data_(std::exchange(other.data_, nullptr)) {}
  TaskMemory& operator=(TaskMemory&& other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(data_, other.data_);
    return *this;
  }
  std::byte* data() const noexcept { return data_; }

 private:
  std::shared_ptr<Storage> storage_;
  std::byte* data_ = nullptr;
};

/** What became of a task: of some items of a job. */
struct Outcome {
  std::uint64_t first = 0, count = 0;  // its items
  bool over = false;
  std::vector<std::byte> results;      // packed; those of a known size lie in the job's memory
  std::exception_ptr error;
};

/** The tasks of one call. */
class Job {
 public:
  Job(std::vector<Outcome> tasks, std::byte* results) : results(results), outcomes_(std::move(tasks)) {}
  TaskMemory memory;
  std::byte* const results;  // in memory; nullptr: each is packed

  /** By the dispatcher. */
  void add_piece(std::size_t task, std::span<const std::byte> bytes);
  void drop_pieces(std::size_t task);
  void finish(std::size_t task, std::exception_ptr error);

  /** Waits for all, for task number `task`, or for the n-th to be over; false: not in time. */
  bool wait_all(Deadline deadline);
  bool wait_for(std::size_t task, Deadline deadline);
  bool wait_for_nth(std::size_t n, Deadline deadline);
  /** Which was the n-th to be over. */
  std::size_t nth_over(std::size_t n);
  std::size_t size() const noexcept { return outcomes_.size(); }
  /** Of a task that is over: constant from then on. */
  const Outcome& outcome(std::size_t task) const { return outcomes_[task]; }

 private:
  template <class Ready>
  bool wait(Deadline deadline, Ready ready);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Outcome> outcomes_;
  std::vector<std::size_t> order_;  // in which they were over
};

/** The results of a task that is over. Throws what it has thrown, or WorkerDied. */
template <class R>
void append_results(const Job& job, std::size_t task, std::vector<R>& to) {
  const Outcome& outcome = job.outcome(task);
  if (outcome.error) std::rethrow_exception(outcome.error);
  ParcelReader packed(outcome.results);
  for (std::uint64_t i = 0; i < outcome.count; ++i) {
    if constexpr (std::is_same_v<R, std::monostate>) {
      to.emplace_back();
    } else if constexpr (lies_as_bytes<R>) {
      union Room {
        Room() {}
        R value;
      } room;
      if (job.results)
        std::memcpy(static_cast<void*>(&room.value), job.results + (outcome.first + i) * sizeof(R), sizeof(R));
      else
        packed.take(static_cast<void*>(&room.value), sizeof(R));
      to.push_back(room.value);
    } else {
      to.push_back(Travel<R>::unpack(packed));
    }
  }
}

template <class T>
struct Collect;

}  // namespace detail

/** A T that tasks will have made. */
template <class T>
class [[nodiscard]] Future {
 public:
  explicit Future(std::shared_ptr<detail::Job> job) : job_(std::move(job)) {}
  /** Waits for it. Throws TaskError: a task has thrown (of several, the first in the order of the items); WorkerDied; Error: the pool was terminated. As often as you like. */
  T get() const {
    (void)job_->wait_all(Deadline::never());
    return detail::Collect<T>::from(*job_);
  }
  /** Nothing: not in that time. */
  std::optional<T> get(std::chrono::nanoseconds timeout) const {
    if (!wait(timeout)) return std::nullopt;
    return detail::Collect<T>::from(*job_);
  }
  void wait() const { (void)job_->wait_all(Deadline::never()); }
  [[nodiscard]] bool wait(std::chrono::nanoseconds timeout) const { return job_->wait_all(Deadline::in(timeout)); }
  bool ready() const { return wait(std::chrono::nanoseconds(0)); }
  /** Whether all tasks have returned. Throws Error when they are not over. */
  bool successful() const {
    if (!ready()) throw Error("the tasks are not over: ask ready(), or wait()");
    for (std::size_t i = 0; i < job_->size(); ++i)
      if (job_->outcome(i).error) return false;
    return true;
  }

 private:
  std::shared_ptr<detail::Job> job_;
};

namespace detail {

template <class T>
struct Collect {
  static T from(const Job& job) {
    std::vector<T> one;
    append_results(job, 0, one);
    return std::move(one.front());
  }
};
template <class R>
struct CollectAll {
  static std::vector<R> from(const Job& job) {
    std::vector<R> all;
    const Outcome* last = job.size() ? &job.outcome(job.size() - 1) : nullptr;
    all.reserve(last ? last->first + last->count : 0);
    for (std::size_t i = 0; i < job.size(); ++i) append_results(job, i, all);
    return all;
  }
};

}  // namespace detail

/** The results of map_async. */
template <class R>
class [[nodiscard]] MapFuture {
 public:
  explicit MapFuture(std::shared_ptr<detail::Job> job) : job_(std::move(job)), whole_(job_) {}
  /** As Future's. */
  std::vector<R> get() const {
    whole_.wait();
    return detail::CollectAll<R>::from(*job_);
  }
  std::optional<std::vector<R>> get(std::chrono::nanoseconds timeout) const {
    if (!whole_.wait(timeout)) return std::nullopt;
    return detail::CollectAll<R>::from(*job_);
  }
  void wait() const { whole_.wait(); }
  [[nodiscard]] bool wait(std::chrono::nanoseconds timeout) const { return whole_.wait(timeout); }
  bool ready() const { return whole_.ready(); }
  bool successful() const { return whole_.successful(); }

 private:
  std::shared_ptr<detail::Job> job_;
  Future<R> whole_;
};

/** The results of imap or imap_unordered, as they come:

     while (std::optional<int> r = results.next()) ...      // throws for a task that failed; goes on with the next one after it
     for (int r : results) ...                              // the same, until one fails */
template <class R>
class [[nodiscard]] Results {
 public:
  Results(std::shared_ptr<detail::Job> job, bool in_order) : job_(std::move(job)), in_order_(in_order) {}

  /** Waits for the next one; nothing: that was all. Throws TaskError, WorkerDied: in place of all results of the task that failed. */
  std::optional<R> next() {
    while (at_ == ready_.size()) {
      if (task_ == job_->size()) return std::nullopt;
      ready_.clear();
      at_ = 0;
      const std::size_t n = task_++;
      (void)wait_for(n, Deadline::never());
      detail::append_results(*job_, in_order_ ? n : job_->nth_over(n), ready_);
    }
    return std::move(ready_[at_++]);
  }
  /** Whether next() would not wait, at latest after `timeout`. */
  [[nodiscard]] bool wait(std::chrono::nanoseconds timeout) { return at_ < ready_.size() || task_ == job_->size() || wait_for(task_, Deadline::in(timeout)); }

  class Iterator {
   public:
    using value_type = R;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Results* results) : results_(results), value_(results->next()) {}
    const R& operator*() const { return *value_; }
    Iterator& operator++() {
      value_ = results_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !value_; }

   private:
    Results* results_;
    std::optional<R> value_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() { return {}; }

 private:
  bool wait_for(std::size_t n, Deadline deadline) { return in_order_ ? job_->wait_for(n, deadline) : job_->wait_for_nth(n, deadline); }
  std::shared_ptr<detail::Job> job_;
  bool in_order_;
  std::size_t task_ = 0, at_ = 0;
  std::vector<R> ready_;
};

}  // namespace cadre
