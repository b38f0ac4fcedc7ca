#include <cadre/engine/backend.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>

#include <cadre/shm/truncation_guard.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

int threads_of_this_process() {
  std::error_code error;
  std::filesystem::directory_iterator tasks("/proc/self/task", error);
  return error ? 1 : static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

class Processes final : public Hands {
 public:
  explicit Processes(const HandsPlan& plan) : plan_(plan), runner_(*plan.work, plan.plugins, true) {
    if (int others = threads_of_this_process() - 1; others > 0)
      std::fprintf(stderr, "cadre: warning: this process already runs %d other thread%s: workers are forked with their locks as they are now. Make the engine first\n", others, others == 1 ? "" : "s");
    pool_.emplace(PoolOptions{.workers = plan.workers, .pin = plan.pin, .retries = plan.retries}, Task{this, &Processes::start, &Processes::run_chunk});
  }

  PoolResult run(std::uint64_t chunks, bool ordered, const Look& look) override {
    PoolResult result = pool_->run(chunks, ordered, look);
    const Board& board = pool_->board();
    if (const std::uint32_t unfilled = board.unfilled.load(); unfilled > 0 && unfilled < board.workers && !warned_) {
      warned_ = true;
      std::fprintf(stderr, "cadre: warning: %u of %u worker processes could not be started (%s); the others do the work\n", unfilled, board.workers, std::strerror(board.unfilled_error.load()));
    }
    return result;
  }
  std::uint32_t next_epoch() const override { return pool_->next_epoch(); }
  SlotLine* lines() override { return pool_->board().lines; }
  std::atomic<std::uint32_t>* stop() override { return &pool_->board().stop; }
  Pool* pool() override { return &*pool_; }

 private:
  // In a worker: this object, and with it the runner, is that process's own copy.
  static void start(void* context, int) {
    auto& self = *static_cast<Processes*>(context);
    try {
      install_truncation_guard(protocol(self.plan_.truncated));
    } catch (const std::exception& e) {
      std::fprintf(stderr, "cadre: a worker can not start: %s\n", e.what());
      _exit(70);
    }
  }
  static Outcome run_chunk(void* context, int slot, std::uint32_t epoch, std::uint64_t chunk, bool resumed) {
    return static_cast<Processes*>(context)->runner_.run(static_cast<std::uint32_t>(slot), epoch, chunk, resumed);
  }

  const HandsPlan plan_;
  ChunkRunner runner_;
  std::optional<Pool> pool_;
  bool warned_ = false;
};

}  // namespace

std::unique_ptr<Hands> make_processes(const HandsPlan& plan) { return std::make_unique<Processes>(plan); }

}  // namespace cadre
