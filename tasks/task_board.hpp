#pragma once
/* What a pool's workers and its maker share: a ring of tasks to run, a ring of replies, and a slot for each worker that says what it is at.

   A worker writes the number of a task into its slot, then takes the task off the ring, runs it, replies, and clears the slot. So whoever finds the worker dead knows:

     slot is clear                                  it held nothing
     the task's reply is there                      it was done with it
     the task is still on the ring, or in the slot  another worker has it, or will: the worker died between the two stores
       of a living worker too
     otherwise                                      it died with the task

   Tasks are numbered in the order in which they are put on the ring. */
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <cadre/engine/poison.hpp>
#include <cadre/pool/slot.hpp>
#include <cadre/talk/queue.hpp>

namespace cadre::detail {

struct TaskCall;

/** The task as code: reads callable and items, writes results to call.results, or packs them. In the program itself or a library that it is linked with. */
using RunTask = void (*)(const TaskCall& call, Parcel& reply);

/** A task on the ring. Small ones have the bytes of callable and items behind them; others have theirs in shared memory, where they stay until the reply. */
struct TaskCall {
  std::uint64_t number;
  RunTask run;  // as the pool's maker has it; nullptr: the worker leaves
  const std::byte* callable;
  std::uint64_t callable_bytes;
  const std::byte* items;
  std::uint64_t items_bytes;
  std::byte* results;   // of a size that is known; nullptr: they are in the reply
  std::uint64_t count;  // items
};

enum class ReplyKind : std::uint32_t {
  piece,  // of results that do not fit in one message
  done,   // the rest of the results
  threw   // type and message, packed
};
struct ReplyHead {
  std::uint64_t task;
  ReplyKind kind;
  std::uint32_t slot;
};

struct TaskSlot {
  SlotLine line;  // phase kernel: a task runs
  Witness witness;
  std::atomic<std::uint64_t> task;   // number + 1; 0: none
  std::atomic<std::uint32_t> ready;  // 1: the initializer has returned
  char failure[256];                 // what the initializer has thrown
};

constexpr std::uint32_t kMostTaskWorkers = 512;
struct TaskBoard {
  RingState* tasks;
  RingState* replies;
  TaskSlot slots[];
};

/** A worker's end of it: the argument with which its process begins. */
class TaskSeat {
 public:
  TaskSeat(TaskBoard* board, std::uint32_t slot, std::uint64_t most_tasks) : board_(board), slot_(slot), most_tasks_(most_tasks) {}
  /** Before anything of the user's is run. */
  void begin();
  /** Runs the initializer; when it throws, writes that down and leaves with exit code 1. */
  template <class Initialize>
  void initialize(Initialize run) {
    try {
      run();
    } catch (...) {
      fail();
    }
    ready();
  }
  /** Until it is told to leave, or has run as many tasks as it may. */
  void work();

  void pack(Parcel& parcel) const;
  static TaskSeat unpack(ParcelReader& reader);

 private:
  [[noreturn]] void fail();
  void ready();
  void run(std::vector<std::byte>& task);
  void reply(ReplyHead head, std::span<const std::byte> bytes);
  TaskSlot& slot() const { return board_->slots[slot_]; }
  TaskBoard* board_;
  std::uint32_t slot_;
  std::uint64_t most_tasks_;  // 0: any number
  std::optional<CodeMap> map_;  // nothing: forked
};

/** Type and message of the exception that is being handled. */
std::pair<std::string, std::string> current_exception_text();

}  // namespace cadre::detail
