#include <cadre/tasks/dispatcher.hpp>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include <cadre/engine/stack.hpp>

namespace cadre::detail {

namespace {

constexpr std::uint64_t kMostOnRing = 4096, kTaskBytes = 256u << 10, kReplyBytes = 1u << 20;
constexpr std::chrono::milliseconds kLook{10};  // for dead workers, while there is something to do
// Workers in a row that end before they are ready: three by themselves, or many that are killed.
constexpr int kFailed = 40, kKilled = 1, kMostFailures = 3 * kFailed;

/** The stack above the task's own code is the pool's. */
std::vector<std::string> stack_of(const Witness& witness) {
  std::vector<std::string> names = name_frames(std::span(witness.frames, std::min<std::uint32_t>(witness.n_frames, kMaxFrames)));
  const auto ours = std::find_if(names.begin(), names.end(), [](const std::string& name) { return name.find("(task_pool.hpp:") != std::string::npos || name.find("(task_board.cpp:") != std::string::npos; });
  names.erase(ours, names.end());
  return names;
}

struct Pending {
  std::shared_ptr<Job> job;
  std::size_t task;
};

}  // namespace

struct Dispatcher::State {
  State(std::uint32_t n, std::uint64_t most_tasks, MakeWorker make_worker)
      : n(n), most(most_tasks), make(std::move(make_worker)), tasks(kMostOnRing, kTaskBytes, 0), replies(0, kReplyBytes, 0), memory(sizeof(TaskBoard) + n * sizeof(TaskSlot)) {
    std::memset(memory.data(), 0, sizeof(TaskBoard) + n * sizeof(TaskSlot));
    board = reinterpret_cast<TaskBoard*>(memory.data());
    board->tasks = &*tasks.ring();
    board->replies = &*replies.ring();
  }

  // Constant.
  const std::uint32_t n;
  const std::uint64_t most;
  const MakeWorker make;
  QueueRing tasks, replies;
  TaskMemory memory;
  TaskBoard* board;

  mutable std::mutex mutex;  // of all below
  bool closed = false, told_to_leave = false, terminated = false;
  std::string broken;        // why no worker can be had
  std::uint64_t next = 0;    // number of the next task to be put
  std::deque<std::pair<NewTask, Pending>> waiting;       // for room on the ring
  std::unordered_map<std::uint64_t, Pending> running;   // on the ring, or with a worker
  std::vector<Process> workers;
  int failures = 0;

  std::atomic<bool> stop{false};  // terminate() has been called
  std::mutex joining;
  std::thread thread;

  bool put(NewTask& task, bool wait) {
    task.call.number = next;
    std::vector<std::byte> message(sizeof(TaskCall) + task.behind.size());
    std::memcpy(message.data(), &task.call, sizeof(TaskCall));
    if (!task.behind.empty()) std::memcpy(message.data() + sizeof(TaskCall), task.behind.data(), task.behind.size());
    if (!tasks.ring().put(message.data(), message.size(), wait ? Deadline::in(std::chrono::seconds(1)) : Deadline::in(std::chrono::nanoseconds(0)))) return false;
    ++next;
    return true;
  }
  // With the mutex held.
  void put_what_waits() {
    while (!waiting.empty() && running.size() < kMostOnRing / 2) {
      const std::uint64_t number = next;
      const Pending pending = waiting.front().second;
      running[number] = pending;
      if (!put(waiting.front().first, false)) {
        running.erase(number);
        return;
      }
      waiting.pop_front();
    }
    if (closed && !told_to_leave && waiting.empty() && running.empty()) {
      told_to_leave = true;
      for (std::uint32_t i = 0; i < n; ++i) {
        NewTask leave{};
        (void)put(leave, true);
      }
    }
  }

  void on_reply(std::span<const std::byte> message) {
    ReplyHead head;
    if (message.size() < sizeof head) return;
    std::memcpy(&head, message.data(), sizeof head);
    const auto bytes = message.subspan(sizeof head);
    Pending p;
    {
      const std::lock_guard lock(mutex);
      const auto at = running.find(head.task);
      if (at == running.end()) return;
      p = at->second;
      if (head.kind != ReplyKind::piece) running.erase(at);
      failures = 0;
    }
    if (head.kind != ReplyKind::threw) p.job->add_piece(p.task, bytes);
    if (head.kind == ReplyKind::piece) return;
    std::exception_ptr error;
    if (head.kind == ReplyKind::threw) {
      p.job->drop_pieces(p.task);
      ParcelReader reader(bytes);
      auto type = Travel<std::string>::unpack(reader);
      error = std::make_exception_ptr(TaskError(std::move(type), Travel<std::string>::unpack(reader)));
    }
    p.job->finish(p.task, error);
  }

  bool take_reply(Deadline deadline) {
    std::vector<std::byte> message;
    const bool taken = replies.ring().take(deadline, [&](const std::byte* bytes, std::size_t size, const std::byte* rest, std::size_t more) {
      message.reserve(size + more);
      message.assign(bytes, bytes + size);
      message.insert(message.end(), rest, rest + more);
    });
    if (taken) on_reply(message);
    return taken;
  }
  void take_replies() {
    while (take_reply(Deadline::in(std::chrono::nanoseconds(0)))) continue;
  }

  void fail_all(const std::exception_ptr& error) {
    std::vector<Pending> all;
    {
      const std::lock_guard lock(mutex);
      for (auto& [number, pending] : running) all.push_back(std::move(pending));
      for (auto& [task, pending] : waiting) all.push_back(std::move(pending));
      running.clear();
      waiting.clear();
    }
    for (const Pending& p : all) {
      p.job->drop_pieces(p.task);
      p.job->finish(p.task, error);
    }
  }

  // What a worker that has ended held, if anything: see task_board.hpp.
  void bury(std::uint32_t i) {
    TaskSlot& slot = board->slots[i];
    const std::uint64_t held = slot.task.load();
    const std::uint64_t taken = RingPosition{tasks.ring()->head.load()}.items();
    bool elsewhere = false;
    for (std::uint32_t k = 0; k < n; ++k) elsewhere |= k != i && board->slots[k].task.load() == held;
    take_replies();
    if (held == 0 || elsewhere) return;
    // Of numbers modulo 2^24, those of the last 2^23 tasks have been taken.
    if (((taken - held) & RingPosition::kItemMask) >= (std::uint64_t{1} << 23)) return;
    Pending p;
    {
      const std::lock_guard lock(mutex);
      const auto at = running.find(held - 1);
      if (at == running.end()) return;
      p = at->second;
      running.erase(at);
    }
    const int code = workers[i].exitcode().value_or(255);
    const Witness& witness = slot.witness;
    const bool witnessed = witness.tried == slot.line.tries.load();
    char said[sizeof witness.what + 1] = {};
    if (witnessed) std::memcpy(said, witness.what, sizeof witness.what);
    // A sanitizer that reports a crash ends the process with an exit code of its own.
    const int signal = code < 0 ? -code : witnessed ? witness.signal : 0;
    std::vector<std::string> stack;
    if (witnessed && signal != 0 && witness.signal == signal) stack = stack_of(witness);
    p.job->drop_pieces(p.task);
    p.job->finish(p.task, std::make_exception_ptr(WorkerDied(signal, signal ? 0 : code, std::move(stack), said)));
  }

  void start(std::uint32_t i) {
    TaskSlot& slot = board->slots[i];
    slot.task.store(0);
    slot.ready.store(0);
    slot.failure[0] = 0;
    slot.witness.tried = 0;
    slot.witness.signal = 0;
    slot.witness.what[0] = 0;
    slot.line.tries.store(0);
    slot.line.phase.store(0);
    Process p = make(TaskSeat(board, i, most));
    p.start();
    const std::lock_guard lock(mutex);
    workers[i] = std::move(p);
  }

  void replace_the_dead() {
    for (std::uint32_t i = 0; i < n; ++i) {
      if (workers[i].pid() == 0 || workers[i].is_alive()) continue;
      bury(i);
      std::string why;
      {
        const std::lock_guard lock(mutex);
        if (told_to_leave || !broken.empty()) continue;
        const int code = workers[i].exitcode().value_or(255);
        if (board->slots[i].ready.load() == 0 && (failures += code == -SIGKILL || code == -SIGTERM ? kKilled : kFailed) >= kMostFailures) {
          const char* said = board->slots[i].failure;
          why = "the initializer of the pool fails in every worker: " +
                (*said ? std::string(said, strnlen(said, sizeof board->slots[i].failure)) : code < 0 ? "signal " + std::to_string(-code) : "exit code " + std::to_string(code));
        }
      }
      if (why.empty()) {
        try {
          start(i);
        } catch (const std::exception& e) {
          why = std::string("a worker of the pool can not be replaced: ") + e.what();
        }
      }
      if (why.empty()) continue;
      {
        const std::lock_guard lock(mutex);
        broken = why;
      }
      fail_all(std::make_exception_ptr(Error(why, Error::Kind::failed)));
    }
  }

  void live() {
    std::uint64_t looked = 0;
    for (;;) {
      bool idle;
      {
        const std::lock_guard lock(mutex);
        put_what_waits();
        idle = running.empty();
      }
      const bool taken = take_reply(Deadline::in(idle ? std::chrono::duration_cast<std::chrono::nanoseconds>(kLookAgain) : kLook));
      if (taken) take_replies();
      if (stop.load()) break;
      if (const std::uint64_t now = monotonic_ns(); now - looked >= static_cast<std::uint64_t>(std::chrono::nanoseconds(kLook).count())) {
        looked = now;
        replace_the_dead();
        const std::lock_guard lock(mutex);
        if (told_to_leave && std::none_of(workers.begin(), workers.end(), [](const Process& p) { return p.is_alive(); })) return;
        if (closed && !broken.empty()) break;
      }
    }
    for (Process& p : workers) p.kill();
    for (Process& p : workers) p.join();
    take_replies();
    fail_all(std::make_exception_ptr(Error("the pool was terminated before the task was over", Error::Kind::failed)));
  }
};

Dispatcher::Dispatcher(std::uint32_t workers, std::uint64_t most_tasks, MakeWorker make) : s_(std::make_unique<State>(workers, most_tasks, std::move(make))) {
  for (std::uint32_t i = 0; i < workers; ++i) s_->workers.push_back(s_->make(TaskSeat(s_->board, i, most_tasks)));
  try {
    for (Process& p : s_->workers) p.start();
  } catch (...) {
    for (Process& p : s_->workers)
      if (p.pid() != 0) {
        p.kill();
        p.join();
      }
    throw;
  }
  s_->thread = std::thread([s = s_.get()] { s->live(); });
}

Dispatcher::~Dispatcher() {
  terminate();
  join();
}

void Dispatcher::submit(const std::shared_ptr<Job>& job, std::vector<NewTask> tasks) {
  const std::lock_guard lock(s_->mutex);
  if (s_->terminated) throw Error("the pool was terminated");
  if (s_->closed) throw Error("the pool is closed: it takes no more tasks");
  if (!s_->broken.empty()) throw Error(s_->broken, Error::Kind::failed);
  for (std::size_t i = 0; i < tasks.size(); ++i) s_->waiting.emplace_back(std::move(tasks[i]), Pending{job, i});
  s_->put_what_waits();
}

void Dispatcher::close() {
  const std::lock_guard lock(s_->mutex);
  s_->closed = true;
  s_->put_what_waits();
}

void Dispatcher::terminate() {
  {
    const std::lock_guard lock(s_->mutex);
    s_->closed = s_->terminated = true;
  }
  s_->stop.store(true);
  s_->replies.ring()->filled.ring_for_all();
}

void Dispatcher::join() {
  {
    const std::lock_guard lock(s_->mutex);
    if (!s_->closed) throw Error("the pool is still running: close() or terminate() it before join()");
  }
  const std::lock_guard lock(s_->joining);
  if (s_->thread.joinable()) s_->thread.join();
}

std::vector<pid_t> Dispatcher::pids() const {
  const std::lock_guard lock(s_->mutex);
  std::vector<pid_t> all;
  for (const Process& p : s_->workers) all.push_back(p.pid());
  return all;
}

std::uint32_t Dispatcher::workers() const { return s_->n; }

}  // namespace cadre::detail
