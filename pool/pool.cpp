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
#include <string>
#include <thread>
#include <utility>

#include <cadre/pool/cpus.hpp>
#include <cadre/pool/fork.hpp>
#include <cadre/pool/fresh.hpp>
#include <cadre/pool/supervisor.hpp>
#include <cadre/pool/worker.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kWakeAfterNs = 600;      // let a spinning worker do a tiny job alone
constexpr std::uint64_t kCallerSpinNs = 20'000;  // then the caller gives its CPU to the workers
constexpr std::chrono::milliseconds kLookEvery{100};
constexpr std::uint64_t kWakeSupervisorsNs = 1'000'000'000;  // how often that is looked for
constexpr std::chrono::milliseconds kLeaveLook{10};
constexpr std::uint64_t kLeaveNs = 5'000'000'000;  // for workers to put away what they keep, and for a zygote that has lost its standby

// State that workers, supervisors and caller share, in protocol memory of the arena.
struct Shared {
  Board* board;
  std::byte* memory;
};

std::uint32_t kept_workers(const Board& board) {
  const std::uint32_t word = board.kept_workers.load(), workers = word >> 16;
  if ((~word & 0xffff) != workers || workers < 1 || workers > kMaxWorkers)
    throw Error("the journal's board is damaged: it tells of a number of slots that can not be", Error::Kind::damaged);
  return workers;
}

// Everything has its place whatever the number of workers, so that the next program finds it with another number.
Shared make_board(int workers, bool attach) {
  Arena& arena = Arena::instance();
  constexpr std::size_t lines_at = (sizeof(Board) + 63) / 64 * 64, watches_at = lines_at + kMaxWorkers * sizeof(SlotLine);
  constexpr std::size_t words_at = (watches_at + kMaxWorkers * sizeof(SlotWatch) + 4095) / 4096 * 4096;
  std::byte* memory = arena.reserve(words_at + kMaxChunks * sizeof(std::uint64_t));
  auto* board = reinterpret_cast<Board*>(memory);
  std::uint32_t kept = 0;
  try {
    arena.secure(memory, words_at);
    if (attach) kept = kept_workers(*board);
  } catch (...) {
    arena.release(memory);
    throw;
  }
  if (!attach) new (memory) Board{};
  board->lines = reinterpret_cast<SlotLine*>(memory + lines_at);
  board->watches = reinterpret_cast<SlotWatch*>(memory + watches_at);
  board->words = reinterpret_cast<std::atomic<std::uint64_t>*>(memory + words_at);  // fresh memory is zero: epoch 0, pending
  board->active = static_cast<std::uint32_t>(workers);
  board->workers = std::max(kept, board->active);
  board->kept_workers.store(board->workers << 16 | (~board->workers & 0xffff));
  board->gate.store(attach);
  board->shutdown.store(0);
  board->dead.store(0);
  board->failure.store(0);
  board->failure_told.store(0);
  board->finished.store(0);
  board->caller.store(static_cast<std::uint32_t>(CallerIs::away));
  board->unfilled.store(0);
  board->zygote.store(0);
  board->standby.store(0);
  for (std::uint32_t slot = 0; attach && slot < board->workers; ++slot) {
    // Counts are told in the report: a wrong one does no harm.
    const std::uint32_t crashes = board->watches[slot].crashes.load(), timeouts = board->watches[slot].timeouts.load();
    new (&board->watches[slot]) SlotWatch{};
    board->watches[slot].crashes.store(crashes);
    board->watches[slot].timeouts.store(timeouts);
    for (auto* count : {&board->lines[slot].keeps, &board->lines[slot].searching}) count->store(0);
  }
  return {board, memory};
}

bool is_stopped(pid_t pid) {
  char text[512];
  const int fd = pid > 0 ? open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return false;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[std::max<ssize_t>(n, 0)] = 0;
  const char* const name_ends = strrchr(text, ')');
  return name_ends && name_ends[1] == ' ' && name_ends[2] == 'T';
}

}  // namespace

struct Pool::Impl {
  PoolOptions options;
  Task task;
  TaskRecipe recipe;
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
      let_workers_leave();
      (void)!write(shutdown_write, "x", 1);
      close(std::exchange(shutdown_write, -1));  // says the same, should the write fail
      await_supervisors();
    }
    for (int fd : {shutdown_write, lifeline_read, plan.shutdown_fd, plan.caller_pidfd})
      if (fd >= 0) close(fd);
    Arena::instance().release(shared.memory);
  }

  // A worker that keeps something (Task::leave) puts it away before it is killed, unless that takes too long. One that is in a kernel still, of a job that was given
  // up, is not waited for.
  void let_workers_leave() {
    Board& board = *shared.board;
    const auto keeps = [&] {
      for (std::uint32_t s = 0; s < board.workers; ++s)
        if (board.lines[s].keeps.load() && board.lines[s].phase.load() != static_cast<std::uint32_t>(Phase::kernel)) return true;
      return false;
    };
    for (const std::uint64_t begin = monotonic_ns(); keeps() && supervised() && monotonic_ns() - begin < kLeaveNs;) {
      const std::uint32_t seen = board.finished.load();
      board.shutdown.store(1);
      futex_wake(board.epoch);  // again and again: one that went to sleep meanwhile has missed the last
      if (keeps()) futex_wait(board.finished, seen, kLeaveLook);
    }
  }

  // The line is cut when the last of them has ended. A zygote that has lost its standby is not this process's child, and a child that the program forked may hold the line.
  void await_supervisors() {
    bool reaped = false;
    for (std::uint64_t since = 0; !reaped || monotonic_ns() - since < kLeaveNs;) {
      pollfd line{lifeline_read, POLLIN, 0};
      if (poll(&line, 1, static_cast<int>(kLookEvery.count())) > 0) break;
      wake_supervisors();
      if (!reaped && waitpid(supervisor, nullptr, WNOHANG) != 0) reaped = true, since = monotonic_ns();
    }
    while (!reaped && waitpid(supervisor, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  // A supervisor that was stopped, by hand or with a whole group of which this process alone was continued, would hold up whoever needs it. What was stopped
  // with it goes on too: the supervisor would take such a worker for one that hangs.
  void wake_supervisors() const {
    const Board& board = *shared.board;
    if (!threads.empty() || !(is_stopped(board.standby.load()) || is_stopped(board.zygote.load()))) return;
    for (std::uint32_t s = 0; s < board.workers; ++s)
      if (const pid_t pid = board.watches[s].pid.load(); pid > 0) kill(pid, SIGCONT);
    for (const pid_t pid : {board.zygote.load(), board.standby.load()})
      if (pid > 0) kill(pid, SIGCONT);
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
    if (plan.start == StartMethod::fork) {
      supervisor = fork_child(supervisor_body, this, Orphan::lives);
    } else {
      try {
        supervisor = exec_supervisor(plan);
      } catch (...) {
        close(lifeline[1]);
        throw;
      }
    }
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

  [[noreturn]] static void refuse(const std::string& why) {
    throw Error("the journal's board is damaged: " + why, Error::Kind::damaged);
  }
  static void refuse(std::uint64_t chunk, const std::string& why) { refuse("chunk " + std::to_string(chunk) + " " + why); }

  static bool owns(const Board& board, std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunks) {
    const std::uint64_t hint = board.lines[slot].hint.load();
    return epoch_of(hint) == epoch && state_of(hint) < chunks && board.words[state_of(hint)].load() == chunk_word(epoch, slot + 1);
  }

  // A claimed chunk is that of its slot's hint, or no process would ever finish it.
  void require_words(std::uint32_t epoch, std::uint64_t chunks) const {
    const Board& board = *shared.board;
    for (std::uint64_t c = 0; c < chunks; ++c) {
      const std::uint64_t word = board.words[c].load();
      const std::uint32_t state = state_of(word);
      if (epoch_of(word) != epoch) refuse(c, "is of job " + std::to_string(epoch_of(word)) + " instead of " + std::to_string(epoch));
      if (state == chunk_state::pending || state == chunk_state::done || state == chunk_state::abandoned || state == chunk_state::cancelled) continue;
      if (state > board.workers) refuse(c, "is claimed by slot " + std::to_string(state - 1) + " of " + std::to_string(board.workers));
      if (board.lines[state - 1].hint.load() != chunk_word(epoch, static_cast<std::uint32_t>(c)))
        refuse(c, "is claimed by slot " + std::to_string(state - 1) + ", which knows nothing of it");
    }
  }

  // The job that an earlier program left on the board. Nobody works on it: the gate is shut. Returns how many chunks are done.
  std::uint64_t take_over(std::uint32_t epoch, std::uint64_t chunks) {
    Board& board = *shared.board;
    require_words(epoch, chunks);
    // An abandoned chunk goes back to its slot, whose hint names it: first to one with a record, which is of that chunk, for one without may only have tried to
    // claim it. Left to whoever is free it might be left for good, where all slots hold later chunks of a job in order and wait for its turn.
    for (const bool recorded : {true, false})
      for (std::uint32_t s = 0; s < board.workers; ++s) {
        const std::uint64_t hint = board.lines[s].hint.load();
        if (epoch_of(hint) != epoch || state_of(hint) >= chunks || (board.lines[s].record.load() != Record{}.packed()) != recorded) continue;
        std::uint64_t abandoned = chunk_word(epoch, chunk_state::abandoned);
        board.words[state_of(hint)].compare_exchange_strong(abandoned, chunk_word(epoch, s + 1));
        // The record is cleared before the hint is stored for a claim.
        if (recorded && abandoned != chunk_word(epoch, chunk_state::abandoned) && abandoned != chunk_word(epoch, chunk_state::done) &&
            abandoned != chunk_word(epoch, s + 1))
          refuse(state_of(hint), "is not that of slot " + std::to_string(s) + ", which has a record of it");
      }
    for (std::uint64_t c = 0; c < chunks; ++c) {
      const std::uint32_t state = state_of(board.words[c].load());
      if (state == chunk_state::abandoned) refuse(c, "was given up, but by no slot");
      if (state == chunk_state::cancelled) board.words[c].store(chunk_word(epoch, chunk_state::pending));
    }
    forget_idle(epoch, chunks);
    const std::uint64_t done = count_done(epoch, chunks);
    board.finished.store(done == chunks ? epoch : 0);
    board.done.store(chunk_word(epoch, static_cast<std::uint32_t>(done)));
    return done;
  }

  // What the slots say that own nothing of the job.
  void forget_idle(std::uint32_t epoch, std::uint64_t chunks) {
    Board& board = *shared.board;
    for (std::uint32_t s = 0; s < board.workers; ++s) {
      if (owns(board, s, epoch, chunks)) continue;
      board.lines[s].hint.store(0);
      board.lines[s].record.store(Record{}.packed());
    }
  }

  void wake_workers(std::uint64_t chunks) {
    Board& board = *shared.board;
    std::uint64_t wanted = std::min<std::uint64_t>(chunks, board.workers);
    int asleep = 0;
    for (std::uint32_t s = 0; s < board.workers; ++s) {
      const auto phase = static_cast<Phase>(board.lines[s].phase.load());
      if (phase == Phase::sleeping)
        ++asleep;
      else if (wanted > 0 && phase != Phase::retired)
        --wanted;
    }
    if (asleep > 0 && wanted > 0) futex_wake(board.epoch, static_cast<int>(wanted));
  }
};

Pool::Pool(const PoolOptions& options, const Task& task, const TaskRecipe& recipe) : impl_(new Impl) {
  CADRE_CHECK(options.workers >= 1 && options.workers <= kMaxWorkers);
  impl_->options = options;
  impl_->task = task;
  impl_->shared = make_board(options.workers, options.attach);
  Board& board = *impl_->shared.board;
  const std::vector<int> cpus = usable_cpus();
  board.spinners = static_cast<std::uint32_t>(std::min<int>(options.workers, std::max(usable_cpu_count() - 1, 0)));
  impl_->plan.board = &board;
  impl_->plan.task = &impl_->task;
  impl_->recipe = recipe;
  impl_->plan.recipe = &impl_->recipe;
  impl_->plan.start = options.start;
  if (options.pin) impl_->plan.cpus = cpus;
  if (options.shortest_deadline_ns > 0) impl_->plan.look_ns = std::clamp<std::uint64_t>(options.shortest_deadline_ns / 8, 1'000'000, impl_->plan.look_ns);
  impl_->plan.slots = board.workers;
  impl_->plan.active = board.active;
  if (options.on_threads)
    for (int slot = 0; slot < options.workers; ++slot) impl_->threads.emplace_back([&board, this, slot] { Worker(&board, impl_->task, slot).live(); });
  else
    impl_->start_processes();
}

Pool::~Pool() = default;

int Pool::workers() const noexcept { return impl_->options.workers; }
int Pool::slots() const noexcept { return static_cast<int>(impl_->shared.board->workers); }
void Pool::set_epoch(std::uint32_t epoch) noexcept { impl_->shared.board->epoch.store(epoch); }
std::uint32_t Pool::next_epoch() const noexcept { return impl_->shared.board->epoch.load() + 1; }
Board& Pool::board() noexcept { return *impl_->shared.board; }
pid_t Pool::zygote() const noexcept { return impl_->shared.board->zygote.load(); }
pid_t Pool::standby() const noexcept { return impl_->shared.board->standby.load(); }

PoolResult Pool::run(std::uint64_t chunks, bool ordered, const std::function<Stop(std::uint64_t)>& look, const Continuation& continuation) {
  CADRE_CHECK(chunks <= kMaxChunks);
  if (chunks == 0) return {.complete = true};
  Board& board = *impl_->shared.board;
  PoolResult result;
  const std::uint32_t epoch = continuation.attach ? continuation.attach : next_epoch();
  if (continuation.attach) {
    result.found_done = impl_->take_over(epoch, chunks);
  } else {
    if (board.gate.load()) impl_->forget_idle(epoch, 0);
    Arena::instance().secure(board.words, chunks * sizeof(std::uint64_t));
    board.write_words(epoch, chunks);
  }
  board.describe(epoch, chunks, ordered);
  if (continuation.ready) continuation.ready(epoch);
  board.epoch.store(epoch);  // publishes the above: partner is the acquire in Worker::live
  if (board.gate.load()) {
    board.gate.store(0, std::memory_order_release);  // partner: the acquire in Worker::wait_at_gate
    futex_wake(board.gate);
  }

  const auto complete = [&] {
    result.complete = true;
    return result;
  };
  const std::uint64_t begin = monotonic_ns();
  const auto caller_is = [&](CallerIs what) { board.caller.store(static_cast<std::uint32_t>(what)); };
  const auto finished = [&] { return board.finished.load(std::memory_order_acquire) == epoch; };
  // The worker that was woken may be pinned to this CPU: it runs at once, and this thread again when the worker sleeps.
  const auto await_finish = [&] {
    for (const std::uint64_t until = monotonic_ns() + kCallerSpinNs; !finished() && monotonic_ns() < until;) sched_yield();
    return finished();
  };
  while (!finished() && monotonic_ns() - begin <= kWakeAfterNs) cpu_relax();
  if (finished()) return complete();
  caller_is(CallerIs::awake);
  const struct Away {
    Board& board;
    ~Away() { board.caller.store(static_cast<std::uint32_t>(CallerIs::away)); }
  } away{board};
  impl_->wake_workers(chunks);
  if (await_finish()) return complete();
  std::uint64_t next_waking = begin + kWakeSupervisorsNs;
  std::uint64_t next_look = begin + static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookEvery).count());
  for (;;) {
    // Workers die between a store and its wake, and counters miss what a dead one did not tell: look at the words themselves.
    caller_is(CallerIs::asleep);
    const std::uint32_t last_finished = board.finished.load();
    if (last_finished != epoch) futex_wait(board.finished, last_finished);
    caller_is(CallerIs::awake);
    if (await_finish()) return complete();
    const auto stop = static_cast<Stop>(board.stop.load());
    if (stop != Stop::no && impl_->settle(epoch, chunks)) break;
    const std::uint64_t done = impl_->count_done(epoch, chunks);
    if (done == chunks) return complete();
    if (!impl_->supervised()) throw Error("the supervisors of the worker processes were killed: the job can not go on", Error::Kind::failed);
    if (board.dead.load()) break;
    if (monotonic_ns() >= next_waking) {
      next_waking = monotonic_ns() + kWakeSupervisorsNs;
      impl_->wake_supervisors();
    }
    if (look && monotonic_ns() >= next_look) {
      next_look = monotonic_ns() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kLookEvery).count());
      const Stop wanted = look(done);
      if (wanted > static_cast<Stop>(board.stop.load())) board.stop.store(static_cast<std::uint32_t>(wanted));
    }
  }
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
