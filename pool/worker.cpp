#include <cadre/pool/worker.hpp>

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include <cadre/pool/planted.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kSpinNs = 50'000;
constexpr std::chrono::milliseconds kSleep{1000};

struct Range {
  std::uint64_t begin, end;
};
Range range_of(std::uint64_t slot, std::uint64_t slots, std::uint64_t chunks) { return {slot * chunks / slots, (slot + 1) * chunks / slots}; }

}  // namespace

// In a worker process the arena is read-only at its own address: the board is written through the alias.
Worker::Worker(Board* board, const Task& task, int slot)
    : board_(*protocol(board)), words_(protocol(board->words)), task_(task), slot_(slot), line_(protocol(board->lines)[slot]) {}

void Worker::live() {
  line_.keeps.store(0);  // a predecessor's
  if (task_.start) task_.start(task_.context, slot_, line_);
  line_.started.fetch_add(1);
  wait_at_gate();
  finish_predecessors_chunk();
  if (static_cast<std::uint32_t>(slot_) >= board_.active) return;  // a surplus slot, which owns nothing now: it retires
  std::uint32_t seen = 0;  // the job on the board, if any, may have chunks left
  while (!board_.shutdown.load(std::memory_order_relaxed)) {
    const std::uint32_t now = board_.epoch.load(std::memory_order_acquire);  // partner: post()'s store, after the description
    if (now == seen) {
      wait_for_job(seen);
    } else {
      work(now);
      seen = now;
    }
  }
  enter(Phase::idle);  // as long as it takes: the caller does not wait for ever
  leave();
}

void Worker::leave() {
  if (line_.keeps.load() == 0) return;
  if (task_.leave) task_.leave(task_.context);
  line_.keeps.store(0);
  futex_wake(board_.finished);
}

void Worker::wait_at_gate() {
  while (board_.gate.load(std::memory_order_acquire) && !board_.shutdown.load()) {  // partner: the store in Pool::run, after the description
    enter(Phase::sleeping);
    futex_wait(board_.gate, 1, kSleep);
  }
}

void Worker::finish_predecessors_chunk() {
  const std::uint64_t hint = line_.hint.load();
  const std::uint32_t chunk = state_of(hint);
  enter(Phase::claiming);
  if (epoch_of(hint) == 0 || chunk >= kMaxChunks ||
      words_[chunk].load() != chunk_word(epoch_of(hint), static_cast<std::uint32_t>(slot_) + 1))
    return;
  epoch_ = epoch_of(hint);
  chunks_ = board_.chunks.load(std::memory_order_relaxed);
  const Death death = death_of_predecessor(hint);
  run(chunk, &death);
  tell_done(finished_here_);
}

// The supervisor wrote down what it saw before it put this process here. What it says of another try, or another chunk, is older.
Death Worker::death_of_predecessor(std::uint64_t hint) const {
  const SlotWatch& watch = board_.watches[slot_];
  if (watch.charged_hint.load() != hint || watch.charged_try.load() != line_.tries.load()) return {};
  return {true, watch.signal.load(), watch.exit.load(), watch.timed_out.load() != 0, watch.out_of_memory.load() != 0, watch.peak_rss.load()};
}

void Worker::work(std::uint32_t epoch) {
  enter(Phase::claiming);
  // Read without care: if the board is being rewritten for the next job, every claim below fails by its epoch.
  epoch_ = epoch;
  chunks_ = std::min<std::uint64_t>(board_.chunks.load(std::memory_order_relaxed), kMaxChunks);
  const bool ordered = board_.ordered.load(std::memory_order_relaxed) != 0;
  const Range own = range_of(static_cast<std::uint64_t>(slot_), board_.workers, chunks_);
  own_ = own.begin;
  own_end_ = own.end;
  victim_ = 0;
  robbed_ = robbed_begin_ = 0;
  lowest_ = 0;
  finished_here_ = 0;
  std::uint64_t chunk;
  while (board_.stop.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(Stop::no) &&
         (ordered ? claim_lowest(chunk) : claim_own_then_steal(chunk))) {
    run(chunk, nullptr);
    if (task_.worn && task_.worn(task_.context)) {
      tell_done(finished_here_);
      leave();
      _exit(0);
    }
  }
  tell_done(finished_here_);
}

bool Worker::try_claim(std::uint64_t chunk) {
  std::uint64_t expected = chunk_word(epoch_, chunk_state::pending);
  if (words_[chunk].load(std::memory_order_relaxed) != expected) return false;
  // Step 6 of a predecessor that died before it, or of a chunk that was abandoned with its job.
  if (!planted(Mistake::keep_ready)) line_.record.store(Record{}.packed(), std::memory_order_release);
  const std::uint64_t hint = chunk_word(epoch_, static_cast<std::uint32_t>(chunk));
  // Before the claim, which is a full barrier: a successor must find it.
  if (!planted(Mistake::late_hint)) line_.hint.store(hint, std::memory_order_release);
  const bool claimed = words_[chunk].compare_exchange_strong(expected, chunk_word(epoch_, static_cast<std::uint32_t>(slot_) + 1));
  if (planted(Mistake::late_hint) && claimed) line_.hint.store(hint);
  return claimed;
}

bool Worker::claim_lowest(std::uint64_t& chunk) {
  const std::uint64_t cursor = board_.cursor.load(std::memory_order_relaxed);
  if (epoch_of(cursor) == epoch_) lowest_ = std::max<std::uint64_t>(lowest_, state_of(cursor));
  while (lowest_ < chunks_) {
    if (planted(Mistake::leading_hint)) board_.cursor.store(chunk_word(epoch_, static_cast<std::uint32_t>(lowest_) + 1));
    if (try_claim(lowest_)) break;
    ++lowest_;
  }
  if (lowest_ == chunks_) return false;
  chunk = lowest_;
  // All before it were seen claimed. The store may be lost with this process: then the cursor lags.
  std::uint64_t seen = cursor;
  while (epoch_of(seen) == epoch_ && state_of(seen) < chunk &&
         !board_.cursor.compare_exchange_weak(seen, chunk_word(epoch_, static_cast<std::uint32_t>(chunk)))) {
  }
  return true;
}

bool Worker::claim_own_then_steal(std::uint64_t& chunk) {
  if (planted(Mistake::cursor_claim)) {
    chunk = state_of(board_.cursor.fetch_add(1));
    if (chunk >= chunks_) return false;
    line_.hint.store(chunk_word(epoch_, static_cast<std::uint32_t>(chunk)));
    words_[chunk].store(chunk_word(epoch_, static_cast<std::uint32_t>(slot_) + 1));
    return true;
  }
  while (own_ < own_end_) {
    chunk = own_++;
    if (try_claim(chunk)) return true;
  }
  const std::uint32_t slots = board_.workers;
  for (;;) {
    while (robbed_ > robbed_begin_) {
      chunk = --robbed_;
      if (try_claim(chunk)) return true;
    }
    if (++victim_ >= slots) {
      victim_ = slots;
      return false;
    }
    const Range range = range_of((static_cast<std::uint64_t>(slot_) + victim_) % slots, slots, chunks_);
    robbed_begin_ = range.begin;
    robbed_ = range.end;
  }
}

void Worker::run(std::uint64_t chunk, const Death* predecessor) {
  if (planted(Mistake::done_early)) words_[chunk].store(chunk_word(epoch_, chunk_state::done));
  const Outcome outcome = task_.run(task_.context, slot_, epoch_, chunk, predecessor);
  enter(Phase::claiming);
  if (planted(Mistake::ready_first)) line_.record.store(Record{}.packed());
  // Step 5, before 6, before the next claim's hint: each release keeps the stores before it there. The caller, which reads the results once it
  // has seen the word, is the partner of the first.
  words_[chunk].store(chunk_word(epoch_, outcome == Outcome::done ? chunk_state::done : chunk_state::abandoned), std::memory_order_release);
  // Step 6. The record of what was abandoned stays: the job may be taken up again.
  if (outcome == Outcome::done && !planted(Mistake::keep_ready)) line_.record.store(Record{}.packed(), std::memory_order_release);
  line_.progress.store(line_.progress.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // this process alone writes it
  if (outcome == Outcome::done) ++finished_here_;
}

void Worker::tell_done(std::uint32_t count) {
  finished_here_ = 0;
  if (count == 0) return;
  std::uint64_t seen = board_.done.load();
  // A job that is over (found so by looking at the words) may have been followed by another: its count is not ours to raise.
  do {
    if (epoch_of(seen) != epoch_) return;
  } while (!board_.done.compare_exchange_weak(seen, seen + count));
  if (state_of(seen) + count == chunks_) board_.finished.store(epoch_);
  // Not finished: nothing is left to be claimed, so the end is near, and a caller that wakes up now does not have to be woken then.
  if (board_.caller.load() == static_cast<std::uint32_t>(CallerIs::asleep)) futex_wake(board_.finished);
}

void Worker::wait_for_job(std::uint32_t seen) {
  std::uint32_t spinning = 0;
  for (std::uint32_t s = 0; s < board_.workers; ++s)
    spinning += board_.lines[s].phase.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(Phase::spinning);
  if (spinning < board_.spinners) {
    enter(Phase::spinning);
    const std::uint64_t until = monotonic_ns() + kSpinNs;
    do {
      for (int i = 0; i < 64; ++i) {
        if (board_.epoch.load(std::memory_order_acquire) != seen) return;
        cpu_relax();
      }
      // A caller that waits may be queued behind this process.
      if (board_.caller.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(CallerIs::away)) sched_yield();
    } while (monotonic_ns() < until);
  }
  // Sleeping must be said before the futex compares: the caller wakes those that it sees sleeping, and the compare catches the rest.
  line_.phase.store(static_cast<std::uint32_t>(Phase::sleeping));
  if (!board_.shutdown.load()) futex_wait(board_.epoch, seen, kSleep);
  enter(Phase::idle);
}

}  // namespace cadre
