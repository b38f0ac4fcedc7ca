/* The thread backend, and the one file that knows oneTBB. */
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <latch>
#include <optional>
#include <system_error>
#include <thread>

#include <cadre/engine/backend.hpp>
#include <cadre/engine/surroundings.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/truncation_guard.hpp>

#ifdef CADRE_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace cadre {

namespace {

// oneTBB orders what comes before and after a chunk, but is not instrumented, so that ThreadSanitizer does not see it: it is told.
void comes_before([[maybe_unused]] void* meeting) {
#ifdef CADRE_THREAD_SANITIZER
  __tsan_release(meeting);
#endif
}
void comes_after([[maybe_unused]] void* meeting) {
#ifdef CADRE_THREAD_SANITIZER
  __tsan_acquire(meeting);
#endif
}

// oneTBB ends the program when it can not make a thread, so it is tried before: this thread and as many more as can live at once.
int threads_to_be_had(int wanted) {
  std::vector<std::thread> made;
  std::latch all(1);
  try {
    while (static_cast<int>(made.size()) + 1 < wanted) made.emplace_back([&all] { all.wait(); });
  } catch (const std::system_error&) {
  }
  all.count_down();
  for (std::thread& t : made) t.join();
  return static_cast<int>(made.size()) + 1;
}

class Threads final : public Hands {
 public:
  explicit Threads(const HandsPlan& plan)
      : concurrency_(threads_to_be_had(plan.workers)), arena_(concurrency_), plugins_(!plan.plugins.empty()), lines_(new SlotLine[static_cast<std::size_t>(plan.workers)]{}) {
    // More workers than cores are run as such, or comparisons would compare something else; and never more than there can be.
    if (concurrency_ > static_cast<int>(tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism)) || concurrency_ < plan.workers)
      limit_.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(concurrency_));
    if (concurrency_ < plan.workers) std::fprintf(stderr, "cadre: warning: %d of %d threads could be made (ulimit -u); they do the work\n", concurrency_, plan.workers);
    install_truncation_guard(plan.truncated);
    for (int slot = 0; slot < plan.workers; ++slot) runners_.emplace_back(*plan.work, plan.plugins, false);
  }

  PoolResult run(std::uint64_t chunks, bool ordered, const Look& look, const Continuation&) override {
    const Surroundings surroundings(plugins_);
    epoch_ = next_epoch();
    stop_.store(0);
    done_.store(0);
    next_look_.store(monotonic_ns() + 100'000'000);
    look_ = look ? &look : nullptr;
    comes_before(this);
    arena_.execute([&] {
      if (ordered)
        run_in_order(chunks);
      else
        tbb::parallel_for(tbb::blocked_range<std::uint64_t>(0, chunks), [&](const tbb::blocked_range<std::uint64_t>& range) {
          for (std::uint64_t c = range.begin(); c < range.end() && !stop_.load(std::memory_order_relaxed); ++c) run_one(c);
        });
    });
    comes_after(this);
    return {.complete = done_.load() == chunks};
  }
  std::uint32_t next_epoch() const override { return epoch_ + 1; }
  SlotLine* lines() override { return lines_.get(); }
  std::atomic<std::uint32_t>* stop() override { return &stop_; }

 private:
  void run_one(std::uint64_t chunk) {
    comes_after(this);
    run_and_count(chunk);
    comes_before(this);
  }

  void run_and_count(std::uint64_t chunk) {
    const int slot = tbb::this_task_arena::current_thread_index();
    if (runners_[static_cast<std::size_t>(slot)].run(static_cast<std::uint32_t>(slot), epoch_, chunk, nullptr) != Outcome::done) return;
    lines_[static_cast<std::size_t>(slot)].record.store(0, std::memory_order_relaxed);
    const std::uint64_t done = done_.fetch_add(1, std::memory_order_relaxed) + 1;
    std::uint64_t due = next_look_.load(std::memory_order_relaxed);
    if (!look_) return;
    const std::uint64_t now = monotonic_ns();
    if (now >= due && next_look_.compare_exchange_strong(due, kLooking)) {
      const Stop wanted = (*look_)(done);
      if (wanted != Stop::no) stop_.store(static_cast<std::uint32_t>(wanted));
      next_look_.store(monotonic_ns() + 100'000'000);
    }
  }

  // Each thread takes the lowest chunk that is left: whoever waits for its turn waits for chunks that threads are running.
  void run_in_order(std::uint64_t chunks) {
    std::atomic<std::uint64_t> next{0};
    tbb::parallel_for(0, arena_.max_concurrency(), [&](int) {
      for (std::uint64_t c; !stop_.load(std::memory_order_relaxed) && (c = next.fetch_add(1)) < chunks;) run_one(c);
    }, tbb::simple_partitioner{});
  }

  static constexpr std::uint64_t kLooking = ~std::uint64_t{0};  // in next_look_: a thread is at it, one at a time

  const int concurrency_;
  std::optional<tbb::global_control> limit_;
  tbb::task_arena arena_;
  const bool plugins_;
  std::deque<ChunkRunner> runners_;
  std::unique_ptr<SlotLine[]> lines_;
  std::atomic<std::uint32_t> stop_{0};
  std::atomic<std::uint64_t> done_{0}, next_look_{0};
  const Look* look_ = nullptr;
  std::uint32_t epoch_ = 0;
};

}  // namespace

std::unique_ptr<Hands> make_threads(const HandsPlan& plan) { return std::make_unique<Threads>(plan); }

}  // namespace cadre
