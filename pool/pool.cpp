#include <cadre/pool/pool.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <thread>

#include <cadre/pool/cpus.hpp>
#include <cadre/pool/fork.hpp>
#include <cadre/pool/supervisor.hpp>
#include <cadre/pool/worker.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kWakeAfterNs = 600;      // let a spinning worker do a tiny job alone
constexpr std::uint64_t kCallerSpinNs = 20'000;  // then the caller gives its CPU to the workers
constexpr std::chrono::milliseconds kLookEvery{100};

// State that workers, supervisors and caller share, in protocol memory of the arena.
struct Shared {
  Board* board;
  std::byte* memory;
};

Shared make_board(int workers) {
  Arena& arena = Arena::instance();
  const std::size_t lines = sizeof(Board) + static_cast<std::size_t>(workers) * (sizeof(SlotLine) + sizeof(SlotWatch)) + 256;
  const std::size_t words_at = (lines + 4095) / 4096 * 4096;
  std::byte* memory = arena.reserve(words_at + kMaxChunks * sizeof(std::uint64_t));
  auto* board = new (memory) Board{};
  std::byte* at = memory + (sizeof(Board) + 63) / 64 * 64;
  board->lines = reinterpret_cast<SlotLine*>(at);
  at += static_cast<std::size_t>(workers) * sizeof(SlotLine);
  board->watches = reinterpret_cast<SlotWatch*>(at);
  board->words = reinterpret_cast<std::atomic<std::uint64_t>*>(memory + words_at);  // fresh memory is zero: epoch 0, pending
  board->workers = static_cast<std::uint32_t>(workers);
  return {board, memory};
}

}  // namespace

struct Pool::Impl {
  PoolOptions options;
  Task task;
  Shared shared{};
  SupervisorPlan plan;
  pid_t supervisor = 0;
  int shutdown_write = -1, lifeline_read = -1;
  std::vector<std::thread> threads;

  ~Impl() {
    if (!shared.board) return;  // there was no memory for one: nothing was started
    Board& board = *shared.board;
    if (!threads.empty()) {
      board.shutdown.store(1);
      board.epoch.fetch_add(1);
      futex_wake(board.epoch);
      for (std::thread& t : threads) t.join();
    } else if (supervisor > 0 && getpid() == plan.caller) {  // a child that the caller forked must not end the caller's pool
      (void)!write(shutdown_write, "x", 1);
      while (waitpid(supervisor, nullptr, 0) < 0 && errno == EINTR) {
      }
      pollfd last{lifeline_read, POLLIN, 0};  // a zygote that has lost its standby is not this process's child
      while (poll(&last, 1, 10'000) < 0 && errno == EINTR) {
      }
    }
    for (int fd : {shutdown_write, lifeline_read, plan.shutdown_fd, plan.caller_pidfd})
      if (fd >= 0) close(fd);
    Arena::instance().release(shared.memory);
  }

  bool supervised() const {
    if (!threads.empty()) return true;
    pollfd line{lifeline_read, POLLIN, 0};
    return poll(&line, 1, 0) <= 0;  // interrupted: as good as open, it is asked again
  }

  static void supervisor_body(void* context) {
    auto& impl = *static_cast<Impl*>(context);
    close(impl.lifeline_read);
    close(impl.shutdown_write);
    supervise(impl.plan);
  }

  void start_processes() {
    int lifeline[2], shutdown[2];
    if (pipe2(lifeline, O_CLOEXEC) != 0) throw_errno("make a pipe for the pool's supervisors", errno, Error::Kind::failed);
    lifeline_read = lifeline[0];
    plan.lifeline_fd = lifeline[1];
    if (pipe2(shutdown, O_CLOEXEC) != 0) {
      const int error = errno;
      close(lifeline[1]);
      throw_errno("make a pipe for the pool's supervisors", error, Error::Kind::failed);
    }
    plan.shutdown_fd = shutdown[0];
    shutdown_write = shutdown[1];
    plan.caller = getpid();
    plan.caller_pidfd = open_pidfd(plan.caller);
    if (plan.caller_pidfd < 0) {
      const int error = errno;
      close(lifeline[1]);
      throw_errno("open a pidfd of this process (Linux 5.3 and up)", error, Error::Kind::failed);
    }
    supervisor = fork_child(supervisor_body, this, Orphan::lives);
    const int error = errno;
    close(lifeline[1]);
    plan.lifeline_fd = -1;
    if (supervisor < 0) throw_errno("fork the pool's supervisor", error, Error::Kind::failed);
  }

  std::uint64_t count_done(std::uint32_t epoch, std::uint64_t chunks) const {
    std::uint64_t done = 0;
    for (std::uint64_t c = 0; c < chunks; ++c) done += shared.board->words[c].load(std::memory_order_relaxed) == chunk_word(epoch, chunk_state::done);
    return done;
  }

  // Cancels what nobody has claimed; true when nothing is claimed any more.
  bool settle(std::uint32_t epoch, std::uint64_t chunks) {
    bool settled = true;
    for (std::uint64_t c = 0; c < chunks; ++c) {
      std::uint64_t word = chunk_word(epoch, chunk_state::pending);
      if (shared.board->words[c].compare_exchange_strong(word, chunk_word(epoch, chunk_state::cancelled))) continue;
      settled = settled && !chunk_state::claimed(state_of(word));
    }
    return settled;
  }

  void wake_workers(std::uint64_t chunks) {
    Board& board = *shared.board;
    std::uint64_t wanted = std::min<std::uint64_t>(chunks, board.workers);
    int asleep = 0;
    for (std::uint32_t s = 0; s < board.workers; ++s) {
      if (board.lines[s].phase.load() == static_cast<std::uint32_t>(Phase::sleeping))
        ++asleep;
      else if (wanted > 0)
        --wanted;
    }
    if (asleep > 0 && wanted > 0) futex_wake(board.epoch, static_cast<int>(wanted));
  }
};

Pool::Pool(const PoolOptions& options, const Task& task) : impl_(new Impl) {
  CADRE_CHECK(options.workers >= 1 && options.workers <= kMaxWorkers);
  impl_->options = options;
  impl_->task = task;
  impl_->shared = make_board(options.workers);
  Board& board = *impl_->shared.board;
  const std::vector<int> cpus = usable_cpus();
  board.spinners = static_cast<std::uint32_t>(std::min<int>(options.workers, std::max(usable_cpu_count() - 1, 0)));
  impl_->plan.board = &board;
  impl_->plan.task = &impl_->task;
  if (options.pin) impl_->plan.cpus = cpus;
  if (options.shortest_deadline_ns > 0) impl_->plan.look_ns = std::clamp<std::uint64_t>(options.shortest_deadline_ns / 8, 1'000'000, impl_->plan.look_ns);
  if (options.on_threads)
    for (int slot = 0; slot < options.workers; ++slot) impl_->threads.emplace_back([&board, this, slot] { Worker(&board, impl_->task, slot).live(); });
  else
    impl_->start_processes();
}

Pool::~Pool() = default;

int Pool::workers() const noexcept { return impl_->options.workers; }
std::uint32_t Pool::next_epoch() const noexcept { return impl_->shared.board->epoch.load() + 1; }
Board& Pool::board() noexcept { return *impl_->shared.board; }
pid_t Pool::zygote() const noexcept { return impl_->shared.board->zygote.load(); }
pid_t Pool::standby() const noexcept { return impl_->shared.board->standby.load(); }

PoolResult Pool::run(std::uint64_t chunks, bool ordered, const std::function<Stop(std::uint64_t)>& look) {
  CADRE_CHECK(chunks <= kMaxChunks);
  if (chunks == 0) return {.complete = true};
  Board& board = *impl_->shared.board;
  const std::uint32_t epoch = next_epoch();
  for (std::uint64_t c = 0; c < chunks; ++c) board.words[c].store(chunk_word(epoch, chunk_state::pending), std::memory_order_relaxed);
  board.chunks.store(static_cast<std::uint32_t>(chunks), std::memory_order_relaxed);
  board.ordered.store(ordered, std::memory_order_relaxed);
  board.done.store(chunk_word(epoch, 0), std::memory_order_relaxed);
  board.cursor.store(chunk_word(epoch, 0), std::memory_order_relaxed);
  board.stop.store(static_cast<std::uint32_t>(Stop::no), std::memory_order_relaxed);
  board.epoch.store(epoch);  // publishes the above: partner is the acquire in Worker::live

  const std::uint64_t begin = monotonic_ns();
  const auto caller_is = [&](CallerIs what) { board.caller.store(static_cast<std::uint32_t>(what)); };
  const auto finished = [&] { return board.finished.load(std::memory_order_acquire) == epoch; };
  // The worker that was woken may be pinned to this CPU: it runs at once, and this thread again when the worker sleeps.
  const auto await_finish = [&] {
    for (const std::uint64_t until = monotonic_ns() + kCallerSpinNs; !finished() && monotonic_ns() < until;) sched_yield();
    return finished();
  };
  while (!finished() && monotonic_ns() - begin <= kWakeAfterNs) cpu_relax();
  if (finished()) return {.complete = true};
  caller_is(CallerIs::awake);
  const struct Away {
    Board& board;
    ~Away() { board.caller.store(static_cast<std::uint32_t>(CallerIs::away)); }
  } away{board};
  impl_->wake_workers(chunks);
  if (await_finish()) return {.complete = true};
  std::uint64_t next_look = begin + static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookEvery).count());
  for (;;) {
    // Workers die between a store and its wake, and counters miss what a dead one did not tell: look at the words themselves.
    caller_is(CallerIs::asleep);
    const std::uint32_t last_finished = board.finished.load();
    if (last_finished != epoch) futex_wait(board.finished, last_finished);
    caller_is(CallerIs::awake);
    if (await_finish()) return {.complete = true};
    const auto stop = static_cast<Stop>(board.stop.load());
    if (stop != Stop::no && impl_->settle(epoch, chunks)) break;
    const std::uint64_t done = impl_->count_done(epoch, chunks);
    if (done == chunks) return {.complete = true};
    if (!impl_->supervised()) throw Error("the supervisors of the worker processes were killed: the job can not go on", Error::Kind::failed);
    if (board.dead.load()) break;
    if (look && monotonic_ns() >= next_look) {
      next_look = monotonic_ns() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookEvery).count());
      const Stop wanted = look(done);
      if (wanted > static_cast<Stop>(board.stop.load())) board.stop.store(static_cast<std::uint32_t>(wanted));
    }
  }
  PoolResult result;
  result.complete = impl_->count_done(epoch, chunks) == chunks;
  if (board.failure_told.load(std::memory_order_acquire) == epoch) {  // partner: Board::fail
    result.failure = static_cast<Failure>(state_of(board.failure.load()));
    result.slot = static_cast<int>(board.failed_slot);
    result.status = board.failed_status;
  } else if (board.dead.load()) {
    result.failure = static_cast<Failure>(board.dead.load());
  }
  return result;
}

PoolCounts Pool::counts() const noexcept {
  const Board& board = *impl_->shared.board;
  PoolCounts counts;
  for (std::uint32_t s = 0; s < board.workers; ++s) {
    counts.deaths += board.watches[s].deaths.load();
    counts.crashes += board.watches[s].crashes.load();
    counts.timeouts += board.watches[s].timeouts.load();
    counts.retries += board.lines[s].retries.load();
  }
  return counts;
}

std::vector<pid_t> Pool::worker_pids() const {
  std::vector<pid_t> pids;
  const Board& board = *impl_->shared.board;
  if (impl_->threads.empty())
    for (std::uint32_t s = 0; s < board.workers; ++s) pids.push_back(board.watches[s].pid.load());
  return pids;
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace cadre
