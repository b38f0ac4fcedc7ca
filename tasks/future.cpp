#include <cadre/tasks/future.hpp>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/heap.hpp>

namespace cadre::detail {

namespace {
constexpr std::size_t kFromArena = std::size_t{256} << 10;
}

TaskMemory::TaskMemory(std::size_t bytes) {
  if (bytes >= kFromArena) {
    storage_ = allocate_storage(bytes, false);
    data_ = storage_->data();
  } else {
    data_ = static_cast<std::byte*>(Heap::instance().allocate(bytes, 64));
  }
}

TaskMemory::~TaskMemory() {
  if (data_ && !storage_ && Arena::instance().is_owner()) Heap::instance().deallocate(data_);
}

void Job::add_piece(std::size_t task, std::span<const std::byte> bytes) {
  std::vector<std::byte>& results = outcomes_[task].results;  // the dispatcher's alone until the task is over
  results.insert(results.end(), bytes.begin(), bytes.end());
}

void Job::drop_pieces(std::size_t task) { outcomes_[task].results.clear(); }

void Job::finish(std::size_t task, std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  outcomes_[task].error = std::move(error);
  outcomes_[task].over = true;
  order_.push_back(task);
  changed_.notify_all();
}

template <class Ready>
bool Job::wait(Deadline deadline, Ready ready) {
  std::unique_lock lock(mutex_);
  while (!ready()) {
    if (deadline.passed()) return false;
    changed_.wait_for(lock, deadline.left(std::chrono::hours(1)));
  }
  return true;
}

bool Job::wait_all(Deadline deadline) {
  return wait(deadline, [this] { return order_.size() == outcomes_.size(); });
}
bool Job::wait_for(std::size_t task, Deadline deadline) {
  return wait(deadline, [this, task] { return outcomes_[task].over; });
}
bool Job::wait_for_nth(std::size_t n, Deadline deadline) {
  return wait(deadline, [this, n] { return order_.size() > n; });
}
std::size_t Job::nth_over(std::size_t n) {
  const std::lock_guard lock(mutex_);
  return order_[n];
}

}  // namespace cadre::detail
