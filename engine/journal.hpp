#pragma once
/* The directory that makes a job resumable:

     DIR/journal          which job it is and how far it has got (checkpoint.hpp); replaced as a whole, by a rename
     DIR/journal.arena    the shared memory, while the job is not finished (ledger.hpp for what is in it of the pass under way)
     DIR/journal.lock     held by every process of the program that uses the journal

   One journal is one job. It is created by the first rename to DIR/journal: what was there before was never begun. Page cache outlives SIGKILL, so nothing is
   synced on the way; what was not closed in order is believed only until the machine is started again. Caller only. */
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/checkpoint.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/shm/arena.hpp>

namespace cadre {

class Journal {
 public:
  /** Opens or prepares options.journal. Throws Error (usage), with the reason: in use, there and not to be resumed, of another version, machine,
      program or boot, damaged, truncated; nothing of it is changed then. */
  explicit Journal(const Options& options);
  /** Gives the lock back. What was never begun is removed. */
  ~Journal();
  /** Whether the journal in that directory, if any, has nothing left to be computed. */
  static bool is_computed(const std::string& directory) noexcept;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  const std::string& directory() const { return directory_; }
  /** An earlier program has begun this job. */
  bool resumed() const { return resumed_; }
  bool finished() const { return text_.checkpoint.state == Checkpoint::State::finished; }
  const Checkpoint& checkpoint() const { return text_.checkpoint; }
  const std::string& id() const { return text_.id; }
  /** The file that the arena is to lie in. Not for a finished one. */
  ArenaFile arena_file() const;

  /** Throws Error (usage) when a resumed journal is of another job, or its inputs have changed; otherwise begins it with a first checkpoint, or takes it up. */
  void begin(const std::vector<Fact>& job, const std::vector<Fact>& inputs);
  /** Replaces the checkpoint; its number is the next one's. Throws Error (failed): the last one is then still there. */
  void save(Checkpoint checkpoint);
  /** Puts all of it on the disk: good after a reboot too. Throws Error (failed). */
  void close();
  /** The last checkpoint; the memory is given back. Throws Error (failed). */
  void finish(Checkpoint checkpoint);
  /** Nothing was done that is worth keeping: the journal is removed. */
  void discard() noexcept;

 private:
  std::string file(const char* name) const { return directory_ + "/" + name; }
  void lock();
  void read(bool resume);
  void write(bool sync);
  void sync_directory() const;

  std::string directory_;
  std::vector<Fact> machine_;
  std::string boot_;
  int lock_ = -1;
  bool made_directory_ = false, resumed_ = false, begun_ = false;
  JournalText text_;
};

/** Where the machine and the program are the same, the same bits come of the same job. */
std::vector<Fact> machine_facts(const Options& options);

}  // namespace cadre
