#pragma once
/* What a journal knows of the pass under way: which memory it has been given, and how far its stages have got. In protocol memory of the arena,
   written by the caller alone; a pass changes it with plain stores, in an order in which a kill at any instruction leaves something true:

     entries      appended before the memory is used; `count` is stored last
     at           {epoch, over, stage}: stored when the board has the stage's job but nobody can claim of it yet, and again when all of it is done
     generation   of the checkpoint that the pass follows; stored last when a ledger is begun. The one before: nothing of the ledger counts

   Each of them carries a check of its own bits in the same store, so that a damaged one is told from one that a kill left.

   A program that carries on plans the pass again, which is deterministic, is given the same memory for the same roles, leaves out the stages that are
   over and attaches to the one that was begun. Without a journal memory is simply allocated. */
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include <cadre/engine/work.hpp>
#include <cadre/pool/board.hpp>
#include <cadre/shm/storage.hpp>

namespace cadre {

/** What a piece of memory is in its pass; with an index where there are several. */
enum class Role : std::uint32_t { output, column, accumulators, segments, images, partial, partial_list, finish_area, previous, hashes };

/** The jobs of a pass on the board, in their order. */
enum class PassStage : std::uint32_t { none, clear, kernel, finish, copy, digest };

struct LedgerEntry {
  std::uint32_t role = 0, index = 0;
  std::uint64_t address = 0, bytes = 0;
  std::uint32_t sparse = 0, reserved = 0;  // sparse: of Arena::reserve
  std::uint64_t check = 0;                 // hash of the above and the generation
};
static_assert(sizeof(LedgerEntry) == 40);

struct LedgerPage {
  static constexpr std::uint32_t kMost = kMaxWorkers + 256;
  std::atomic<std::uint64_t> generation;  // 0: no ledger was begun yet. This and the next: 40 bits, and a check of 24
  std::atomic<std::uint64_t> at;          // epoch << 8 | over << 7 | stage; its check covers the stage's layout and, from the kernel on, kernel_epoch
  std::atomic<std::uint64_t> layout[6];   // by stage, hash of how its work is cut and laid out: stored before `at`
  std::atomic<std::uint32_t> count;
  std::atomic<std::uint32_t> kernel_epoch;  // of the kernel stage, for what was written down under it
  LedgerEntry entries[kMost];
};

class Ledger {
 public:
  Ledger() = default;
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /** From now on it is kept, in the next place of the arena that is free. */
  void keep();
  /** Takes up what an earlier program left there, if it is of this generation. Throws Error (damaged). */
  void attach(std::uint64_t generation);
  /** A new pass follows the checkpoint of that number: everything before it is forgotten. */
  void begin(std::uint64_t generation);

  /** Memory for a role of the pass: what an earlier program gave it, or new. `zero`: it is zero until a stage was begun. `sparse`: reserved, of which
      the first `secured` bytes may be touched. Throws Error. */
  std::shared_ptr<Storage> allocate(Role role, std::uint32_t index, std::uint64_t bytes, bool zero);
  std::shared_ptr<Storage> reserve(Role role, std::uint32_t index, std::uint64_t bytes, std::uint64_t secured);
  /** Memory that the pass uses again. */
  void note(Role role, std::uint32_t index, const Storage& storage, bool sparse = false);

  bool kept() const noexcept { return page_ != nullptr; }
  /** No stage of this pass was begun: what is set up before the first one is to be set up. */
  bool fresh() const noexcept;
  bool begun(PassStage stage) const noexcept;
  bool over(PassStage stage) const noexcept;
  /** Of the last stage that was begun, in this pass or before; 0: none was. */
  std::uint32_t epoch() const noexcept;
  std::uint32_t kernel_epoch() const noexcept { return page_->kernel_epoch.load(); }
  /** Throws Error unless the stage that was begun had this layout. */
  void require_layout(const Work& work) const;
  void begin_stage(PassStage stage, std::uint32_t epoch, const Work& work);
  void end_stage(PassStage stage);

 private:
  PassStage stage() const noexcept;
  std::uint64_t seed_of(PassStage stage) const noexcept;
  void store_at(PassStage stage, bool over, std::uint32_t epoch) noexcept;
  std::shared_ptr<Storage> found(Role role, std::uint32_t index, std::uint64_t bytes);
  void append(Role role, std::uint32_t index, const Storage& storage, bool sparse);

  LedgerPage* page_ = nullptr;
  using Key = std::pair<std::uint32_t, std::uint32_t>;
  std::map<Key, std::shared_ptr<Storage>> left_;  // by an earlier program, not asked for yet
  std::map<Key, std::uint64_t> known_;            // role -> address in the page
};

}  // namespace cadre
