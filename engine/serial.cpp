#include <cadre/engine/backend.hpp>
#include <cadre/engine/surroundings.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/truncation_guard.hpp>

namespace cadre {

namespace {

class Serial final : public Hands {
 public:
  explicit Serial(const HandsPlan& plan) : runner_(*plan.work, plan.plugins, false), plugins_(!plan.plugins.empty()) { install_truncation_guard(plan.truncated); }

  PoolResult run(std::uint64_t chunks, bool, const Look& look, const Continuation&) override {
    const Surroundings surroundings(plugins_);
    const std::uint32_t epoch = ++epoch_;
    stop_.store(0);
    std::uint64_t next_look = 0;
    for (std::uint64_t c = 0; c < chunks; ++c) {
      if (look && monotonic_ns() >= next_look) {
        if (look(c) != Stop::no) return {};
        next_look = monotonic_ns() + 100'000'000;
      }
      if (runner_.run(0, epoch, c, nullptr) != Outcome::done) return {};
      line_.record.store(0);
    }
    return {.complete = true};
  }
  std::uint32_t next_epoch() const override { return epoch_ + 1; }
  SlotLine* lines() override { return &line_; }
  std::atomic<std::uint32_t>* stop() override { return &stop_; }

 private:
  ChunkRunner runner_;
  const bool plugins_;
  SlotLine line_{};
  std::atomic<std::uint32_t> stop_{0};
  std::uint32_t epoch_ = 0;
};

}  // namespace

std::unique_ptr<Hands> make_serial(const HandsPlan& plan) { return std::make_unique<Serial>(plan); }

}  // namespace cadre
