#include "stage.hpp"

#include <algorithm>
#include <new>

#include <cadre/engine/combine.hpp>
#include <cadre/pool/worker.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/futex.hpp>

namespace cadre::crash {

namespace {

constexpr std::size_t kPartialBytes = std::size_t{6} << 20;
constexpr std::size_t kImageBytes = std::size_t{64} << 10;
constexpr std::uint32_t kMostPoison = 16;

}  // namespace

Stage::Stage() {
  board_ = new (memory_.place<Board>()) Board{};
  board_->workers = board_->active = kSlots;
  board_->caller.store(static_cast<std::uint32_t>(CallerIs::asleep));
  board_->lines = memory_.place<SlotLine>(kSlots);
  board_->watches = memory_.place<SlotWatch>(kSlots);
  board_->words = memory_.place<std::atomic<std::uint64_t>>(kMostChunks);
  work_ = new (memory_.place<Work>()) Work{};
  segments_ = memory_.place<Segment>(kMostSegments);
  complaints_ = memory_.place<Complaint>(kSlots);
  troubles_ = memory_.place<SlotTrouble>(kSlots, kPage);
  poison_ = reinterpret_cast<PoisonList*>(memory_.place<std::byte>(sizeof(PoisonList) + kMostPoison * sizeof(PoisonEntry), kPage));
  partials_ = memory_.place<std::uint64_t>(kSlots);
  images_ = memory_.place<std::byte>(kImageBytes * kSlots, kPage);
  for (std::uint32_t s = 0; s < kSlots; ++s) partials_[s] = address_of(memory_.place<std::byte>(kPartialBytes, kPage));
}

Work Stage::blank() {
  Work w{};
  w.slots = kSlots;
  w.plan.size = sizeof w.plan;
  w.lines = address_of(board_->lines);
  w.complaints = address_of(complaints_);
  w.stop = address_of(&board_->stop);
  w.troubles = address_of(troubles_);
  w.poison = address_of(poison_);
  w.most_poison = kMostPoison;
  w.retries = 2;
  w.partials = address_of(partials_);
  w.images = address_of(images_);
  w.image_stride = kImageBytes;
  w.segments = address_of(segments_);
  return w;
}

void Stage::post_next() {
  const StagedJob& job = jobs_.at(board_->epoch.load());
  CADRE_CHECK(job.work.chunks <= kMostChunks && job.work.n_segments <= kMostSegments && job.work.partial_bytes <= kPartialBytes && image_bytes(job.work) <= kImageBytes);
  *work_ = job.work;
  for (std::uint32_t s = 0; s < job.work.n_segments; ++s) new (&segments_[s]) Segment{};
  board_->post(job.work.chunks, job.work.ordered != 0);
  futex_wake(board_->epoch);
}

bool Stage::job_done() const {
  const auto epoch = board_->epoch.load();
  for (std::uint64_t c = 0; c < work_->chunks; ++c)
    if (board_->words[c].load() != chunk_word(epoch, chunk_state::done)) return false;
  return true;
}

Words Stage::words() const {
  Words w{};
  w.epoch = board_->epoch.load();
  for (std::uint32_t s = 0; s < kSlots; ++s) {
    w.record[s] = line(s).record.load();
    w.hint[s] = line(s).hint.load();
  }
  for (std::uint32_t c = 0; c < kMostChunks; ++c) w.chunk[c] = board_->words[c].load();
  for (std::uint32_t s = 0; s < kMostSegments; ++s) {
    w.lock[s] = segments_[s].lock.load();
    w.turn[s] = segments_[s].turn.load();
  }
  return w;
}

bool Stage::waited_for() const { return std::any_of(segments_, segments_ + kMostSegments, [](const Segment& s) { return s.waiters.load() != 0; }); }

std::string Stage::faults() const {
  for (std::uint32_t s = 0; s < kSlots; ++s)
    if (complaints_[s].epoch.load() != 0) return "slot " + std::to_string(s) + " complains: " + complaints_[s].text;
  for (std::uint32_t s = 0; s < work_->n_segments; ++s) {
    if (segments_[s].lock.load() != 0) return "segment " + std::to_string(s) + " is locked by slot " + std::to_string(segments_[s].lock.load() - 1);
    if (work_->ordered && segments_[s].turn.load() != work_->chunks) return "segment " + std::to_string(s) + " waits for chunk " + std::to_string(segments_[s].turn.load());
  }
  for (std::size_t j = 0; j < jobs_.size(); ++j)
    for (const Expectation& e : jobs_[j].expected)
      for (std::size_t i = 0; i < e.bytes.size(); ++i)
        if (e.at[i] != e.bytes[i]) return "job " + std::to_string(j) + ": " + e.what + " differs from byte " + std::to_string(i) + " on";
  return "";
}

int Stage::step_of(std::uint32_t slot) const {
  const std::uint64_t hint = line(slot).hint.load();
  const Record record = Record::of(line(slot).record.load());
  const bool holds = epoch_of(hint) == board_->epoch.load() && board_->words[state_of(hint)].load() == chunk_word(epoch_of(hint), slot + 1);
  if (!holds) return record.ready ? 6 : 1;
  if (!record.ready) return 2;
  if (work_->n_segments == 0) return 4;  // copying
  if (record.segment >= work_->n_segments) return 5;
  return record.segment == 0 && record.block == 0 && !record.saved && segments_[0].lock.load() != slot + 1 ? 3 : 4;
}

namespace {

Outcome run_chunk(void* context, int slot, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) {
  return static_cast<ChunkRunner*>(context)->run(static_cast<std::uint32_t>(slot), epoch, chunk, predecessor);
}

}  // namespace

void live(Stage& stage, std::uint32_t slot) {
  ChunkRunner runner(stage.work(), {}, false);
  const Task task{&runner, nullptr, run_chunk};
  Worker(&stage.board(), task, static_cast<int>(slot)).live();
}

}  // namespace cadre::crash
