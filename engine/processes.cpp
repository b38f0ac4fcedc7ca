#include <cadre/engine/backend.hpp>

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <optional>

#include <cadre/shm/truncation_guard.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

class Processes final : public Hands {
 public:
  explicit Processes(const HandsPlan& plan) : plan_(plan), runner_(*plan.work, plan.plugins, true) {
    pool_.emplace(PoolOptions{.workers = plan.workers, .pin = plan.pin, .retries = plan.retries}, Task{this, &Processes::start, &Processes::run_chunk});
  }

  PoolResult run(std::uint64_t chunks, bool ordered, const Look& look) override { return pool_->run(chunks, ordered, look); }
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
};

}  // namespace

std::unique_ptr<Hands> make_processes(const HandsPlan& plan) { return std::make_unique<Processes>(plan); }

}  // namespace cadre
