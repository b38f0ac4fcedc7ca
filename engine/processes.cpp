#include <cadre/engine/backend.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>

#include <cadre/engine/crash.hpp>
#include <cadre/engine/sandbox.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/shm/truncation_guard.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

int threads_of_this_process() {
  std::error_code error;
  std::filesystem::directory_iterator tasks("/proc/self/task", error);
  return error ? 1 : static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

namespace {

constexpr std::uint64_t kWeighEveryNs = 10'000'000;

// Memory of this process alone: resident and not shared.
std::uint64_t private_bytes() {
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[128] = {};
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  unsigned long long size = 0, resident = 0, shared = 0;
  if (got <= 0 || std::sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || shared > resident) return 0;
  return (resident - shared) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/* What a worker has: a copy of the caller's where it was forked, else made by itself from what was packed. */
struct WorkerSide {
  HandsPlan plan;
  ChunkRunner runner;
  std::uint64_t chunks_run = 0, next_weighing = 0;
  struct {
    std::uint32_t slot, epoch;
    std::uint64_t chunk;
  } now{};  // what it runs

  explicit WorkerSide(const HandsPlan& p) : plan(p), runner(*p.work, p.plugins, true) {}
  Task task() { return {this, &WorkerSide::start, &WorkerSide::run_chunk, plan.max_chunks || plan.max_memory ? &WorkerSide::worn : nullptr, &WorkerSide::leave}; }

  TaskRecipe recipe() const {
    TaskRecipe recipe{.make = &WorkerSide::make_task};
    recipe.parcel.put(plan.work);
    recipe.parcel.put(plan.truncated);
    recipe.parcel.put(plan.troubles);
    recipe.parcel.put(plan.max_chunks);
    recipe.parcel.put(plan.max_memory);
    recipe.parcel.put<std::uint64_t>(plan.sandbox);
    Travel<std::vector<std::string>>::pack(recipe.parcel, plan.plugins);
    CodeMap::pack(recipe.parcel);
    return recipe;
  }
  static Task make_task(ParcelReader& reader) {
    HandsPlan plan;
    plan.work = reader.take<const Work*>();
    plan.truncated = reader.take<std::atomic<const void*>*>();
    plan.troubles = reader.take<SlotTrouble*>();
    plan.max_chunks = reader.take<std::uint64_t>();
    plan.max_memory = reader.take<std::uint64_t>();
    plan.sandbox = reader.take<std::uint64_t>() != 0;
    plan.plugins = Travel<std::vector<std::string>>::unpack(reader);
    auto* side = new WorkerSide(plan);  // as long as the process
    side->runner.translate_code(CodeMap::unpack(reader));
    return side->task();
  }

  static void start(void* context, int slot, SlotLine& line) {
    auto& self = *static_cast<WorkerSide*>(context);
    try {
      install_truncation_guard(protocol(self.plan.truncated));
      witness_crashes(&line, &protocol(self.plan.troubles)[slot].witness);
      keep_stdout_clean();
      if (self.plan.sandbox) enter_sandbox(&WorkerSide::violated, &self);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "cadre: a worker can not start: %s\n", e.what());
      _exit(70);
    }
  }
  static Outcome run_chunk(void* context, int slot, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) {
    auto& self = *static_cast<WorkerSide*>(context);
    self.now = {static_cast<std::uint32_t>(slot), epoch, chunk};
    return self.runner.run(static_cast<std::uint32_t>(slot), epoch, chunk, predecessor);
  }
  static bool worn(void* context) {
    auto& self = *static_cast<WorkerSide*>(context);
    ++self.chunks_run;
    if (self.plan.max_chunks > 0 && self.chunks_run >= self.plan.max_chunks) return true;
    if (self.plan.max_memory == 0 || monotonic_ns() < self.next_weighing) return false;
    self.next_weighing = monotonic_ns() + kWeighEveryNs;
    return private_bytes() > self.plan.max_memory;
  }
  static void leave(void* context) { static_cast<WorkerSide*>(context)->runner.leave(); }
  // In a signal handler: the job ends, and this process.
  static void violated(void* context, const char* call) {
    auto& self = *static_cast<WorkerSide*>(context);
    const std::int32_t plugin = self.plan.work->code.plugin;
    char text[sizeof(Complaint::text)];
    std::snprintf(text, sizeof text, "%.150s: the sandbox does not allow the system call %s", plugin >= 0 ? self.plan.plugins[static_cast<std::size_t>(plugin)].c_str() : "a kernel", call);
    self.runner.refuse(self.now.slot, self.now.epoch, self.now.chunk, text);
    _exit(70);
  }
};

class Processes final : public Hands {
 public:
  explicit Processes(const HandsPlan& plan) : worker_(plan) {
    if (int others = threads_of_this_process() - 1; others > 0 && plan.start == StartMethod::fork)
      std::fprintf(stderr, "cadre: warning: this process already runs %d other thread%s: workers are forked with their locks as they are now. Make the engine first\n", others, others == 1 ? "" : "s");
    pool_.emplace(PoolOptions{.workers = plan.workers, .pin = plan.pin, .shortest_deadline_ns = plan.timeout_ns, .attach = plan.attach, .start = plan.start}, worker_.task(),
                  plan.start == StartMethod::fork ? TaskRecipe{} : worker_.recipe());
  }

  PoolResult run(std::uint64_t chunks, bool ordered, const Look& look, const Continuation& continuation) override {
    PoolResult result = pool_->run(chunks, ordered, look, continuation);
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
  int slots() const override { return pool_->slots(); }

 private:
  WorkerSide worker_;  // in a forked worker: that process's own copy
  std::optional<Pool> pool_;
  bool warned_ = false;
};

}  // namespace

std::unique_ptr<Hands> make_processes(const HandsPlan& plan) { return std::make_unique<Processes>(plan); }

}  // namespace cadre
