#include <cadre/engine/inquiry.hpp>

#include <string.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <cadre/engine/chunk_runner.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

namespace {

constexpr std::uint64_t kPieceShare = 4;  // of a deadline, for pieces: they are at most half of the chunk

template <class T>
std::uint64_t hash_before_check(const T& it) {
  return XXH3_64bits(&it, offsetof(T, check)) | 1;
}

}  // namespace

std::uint64_t Search::hash() const noexcept { return hash_before_check(*this); }
std::uint64_t PoisonEntry::hash() const noexcept { return hash_before_check(*this); }
bool PoisonEntry::is_of(std::uint32_t pass_epoch) const noexcept {
  const std::uint64_t told = check.load(std::memory_order_acquire);  // partner: Inquiry::condemn
  return told != 0 && epoch == pass_epoch && told == hash();
}

Inquiry::Inquiry(const Work& work, const SlotPlace& place, std::uint32_t epoch, std::uint32_t chunk)
    : work_(work), place_(place), epoch_(epoch), chunk_(chunk), trouble_(protocol(reinterpret_cast<SlotTrouble*>(work.troubles)) + place.slot),
      list_(protocol(reinterpret_cast<PoisonList*>(work.poison))) {}

Search& Inquiry::now() const { return trouble_->search[trouble_->current.load(std::memory_order_acquire) & 1]; }

void Inquiry::store(const Search& next) {
  const std::uint32_t other = ~trouble_->current.load(std::memory_order_relaxed) & 1;
  trouble_->search[other] = next;
  trouble_->search[other].check = next.hash();
  trouble_->current.store(other, std::memory_order_release);  // partner: the acquire in now(), by the slot's next process
  place_.line->searching.store(next.stage == Stage::narrowing || next.stage == Stage::single, std::memory_order_relaxed);
}

void Inquiry::resume(const Death& death, std::uint64_t from) {
  Search s = now();
  const bool known = s.epoch == epoch_ && s.chunk == chunk_;
  if (!known) s = {.epoch = epoch_, .chunk = chunk_, .stage = Stage::whole, .judged = place_.line->tries.load() - 1, .lo = from, .hi = range_of(work_, chunk_).count, .exit = -1};
  if (!known && !death.of_kernel) return;  // killed from outside: the chunk is as good as any
  open_ = true;
  if (death.of_kernel && s.judged != place_.line->tries.load()) {
    s.signal = death.signal;
    s.exit = death.exit;
    s.timed_out = death.timed_out;
    s.out_of_memory = death.out_of_memory;
    s.peak_rss = death.peak_rss;
    count(s);
  }
  store(s);
  load_skipped();
}

void Inquiry::failed(const char* what, std::uint64_t from, std::uint64_t to) {
  Search s = now();
  if (s.epoch != epoch_ || s.chunk != chunk_) s = {.epoch = epoch_, .chunk = chunk_, .stage = Stage::whole, .lo = from, .hi = to};
  open_ = true;
  s.signal = 0;
  s.exit = -1;
  s.timed_out = s.out_of_memory = 0;
  s.peak_rss = 0;
  Witness& w = trouble_->witness;
  w.signal = 0;
  w.n_frames = 0;
  std::snprintf(w.what, sizeof w.what, "%s", what);
  w.tried = place_.line->tries.load();
  count(s);
  store(s);
}

void Inquiry::suspect(std::uint64_t from, std::uint64_t to) {
  Search s = now();
  s.lo = from;
  s.hi = to;
  store(s);
}

void Inquiry::count(Search& s) {
  s.judged = place_.line->tries.load();
  switch (s.stage) {
    case Stage::whole:
      if (!s.known && ++s.failures <= work_.retries) {
        place_.line->retries.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      s.known = 1;
      s.stage = s.hi - s.lo > 1 ? Stage::narrowing : Stage::single;
      s.failures = s.stage == Stage::single ? s.failures : 0;  // one element: it was alone all the time
      return;
    case Stage::narrowing:
      s.hi = s.lo + (s.hi - s.lo) / 2;
      if (s.hi - s.lo == 1) s.stage = Stage::single;
      s.failures = s.stage == Stage::single && !s.timed_out ? 1 : 0;  // a piece has less time than an element alone
      return;
    case Stage::single: ++s.failures; return;
    case Stage::vain: return;
  }
}

Inquiry::Step Inquiry::next(std::uint64_t& lo, std::uint64_t& hi) {
  Search s = now();
  lo = s.lo;
  hi = s.hi;
  switch (s.stage) {
    case Stage::whole: return Step::whole;
    case Stage::narrowing: hi = s.lo + (s.hi - s.lo) / 2; return Step::piece;
    case Stage::vain: return Step::vain;
    case Stage::single: break;
  }
  hi = lo + 1;
  if (s.failures <= work_.retries) return Step::piece;
  const std::uint32_t place = condemn(s);
  if (!work_.skip || place >= work_.max_skipped) {
    place_.line->searching.store(0, std::memory_order_relaxed);
    return work_.skip ? Step::too_many : Step::poison;
  }
  s.stage = Stage::whole;
  s.failures = 0;
  store(s);
  load_skipped();
  return Step::whole;
}

void Inquiry::passed() {
  Search s = now();
  if (s.stage == Stage::narrowing) {
    s.lo += (s.hi - s.lo) / 2;
    if (s.hi - s.lo == 1) {
      s.stage = Stage::single;
      s.failures = 0;
    }
  } else {
    s.stage = Stage::vain;
  }
  store(s);
}

// Writes the element into the list, once; returns where. What the list has no room for is too much for any --max-skipped.
std::uint32_t Inquiry::condemn(const Search& s) {
  const std::uint64_t element = range_of(work_, chunk_).first + s.lo;
  const std::uint32_t taken = std::min<std::uint32_t>(list_->taken.load(), work_.most_poison);
  for (std::uint32_t i = 0; i < taken; ++i)
    if (list_->entries[i].is_of(epoch_) && list_->entries[i].element == element) return i;
  const std::uint32_t at = list_->taken.fetch_add(1);
  if (at >= work_.most_poison) return at;
  PoisonEntry& e = list_->entries[at];
  e.epoch = epoch_;
  e.chunk = chunk_;
  e.element = element;
  e.signal = s.signal;
  e.exit = s.exit;
  e.timed_out = s.timed_out;
  e.out_of_memory = s.out_of_memory;
  e.attempts = s.failures;
  e.peak_rss = s.peak_rss;
  if (at < kToldInFull) {
    const Witness& seen = trouble_->witness;
    list_->told[at] = {};
    if (seen.tried == s.judged) list_->told[at] = seen;
  }
  e.check.store(e.hash(), std::memory_order_release);  // partner: whoever reads the list
  return at;
}

void Inquiry::load_skipped() {
  skipped_.clear();
  if (!work_.skip) return;
  const ChunkRange range = range_of(work_, chunk_);
  const std::uint32_t taken = std::min<std::uint32_t>(list_->taken.load(), work_.most_poison);
  for (std::uint32_t i = 0; i < taken; ++i) {
    const PoisonEntry& e = list_->entries[i];
    if (e.is_of(epoch_) && e.chunk == chunk_) skipped_.push_back(e.element - range.first);
  }
  std::sort(skipped_.begin(), skipped_.end());
}

std::uint64_t Inquiry::allowed() const {
  const bool piece = open_ && now().stage == Stage::narrowing;
  return piece ? work_.allowed_ns / kPieceShare : work_.allowed_ns;
}

void Inquiry::describe(char* text, std::size_t bytes) const {
  const Search& s = now();
  const Witness& seen = trouble_->witness;
  describe_end(s.signal, s.exit, s.timed_out != 0, s.out_of_memory != 0, seen.tried == s.judged ? seen.what : "", text, bytes);
}

void describe_end(std::int32_t signal, std::int32_t exit, bool timed_out, bool out_of_memory, const char* what, char* text, std::size_t bytes) {
  if (timed_out)
    std::snprintf(text, bytes, "over its deadline");
  else if (out_of_memory)
    std::snprintf(text, bytes, "killed by the system for want of memory");
  else if (signal > 0)
    std::snprintf(text, bytes, "SIG%s%s%s", sigabbrev_np(signal) ? sigabbrev_np(signal) : "?", what[0] ? ": " : "", what);
  else if (exit >= 0)
    std::snprintf(text, bytes, "it left with exit code %d", exit);
  else
    std::snprintf(text, bytes, "%s", what);
}

}  // namespace cadre
