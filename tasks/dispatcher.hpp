#pragma once
/* The maker's side of a pool: puts tasks on the ring, hands out replies, and puts a new process in the place of each worker that has ended. One thread of its own does all
   but the first; it has no lock that a worker needs. */
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <cadre/pool/process.hpp>
#include <cadre/tasks/future.hpp>

namespace cadre::detail {

/** A task as it will be on the ring: number and address of a TaskCall are filled in when it is put. */
struct NewTask {
  TaskCall call;
  std::vector<std::byte> behind;  // callable and items of a small one
};

class Dispatcher {
 public:
  using MakeWorker = std::function<Process(const TaskSeat& seat)>;
  /** Starts the workers. Throws Error. */
  Dispatcher(std::uint32_t workers, std::uint64_t most_tasks, MakeWorker make);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /** Task i of these is task i of the job. Throws Error when the pool is closed or broken. */
  void submit(const std::shared_ptr<Job>& job, std::vector<NewTask> tasks);
  void close();
  void terminate();
  /** Throws Error when it is neither closed nor terminated. */
  void join();
  std::vector<pid_t> pids() const;
  std::uint32_t workers() const;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace cadre::detail
