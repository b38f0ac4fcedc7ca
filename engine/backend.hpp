#pragma once
/* Where chunks run: in this thread, on oneTBB's threads, in the worker processes of a pool. The Work, the runner and so the bits are the
   same; only the hands differ. */
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/chunk_runner.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/engine/poison.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/pool/pool.hpp>

namespace cadre {

class Hands {
 public:
  /** Called now and then during a run with the chunks done so far; says whether to stop. */
  using Look = std::function<Stop(std::uint64_t done)>;

  virtual ~Hands() = default;
  /** Runs the chunks of the Work that this was made with. complete == false: stopped, or failed as the result or a Complaint says. */
  virtual PoolResult run(std::uint64_t chunks, bool ordered, const Look& look, const Continuation& continuation) = 0;
  /** The epoch that the next run() has. */
  virtual std::uint32_t next_epoch() const = 0;
  /** SlotLine[slots] and the stop word that the Work refers to. */
  virtual SlotLine* lines() = 0;
  virtual std::atomic<std::uint32_t>* stop() = 0;
  virtual Pool* pool() { return nullptr; }
  /** Slots that may own something; 0: as many as there are workers. */
  virtual int slots() const { return 0; }
};

/** `work` and `plugins` outlive the hands. `truncated`: where accesses beyond the end of a mapped file are noted. */
struct HandsPlan {
  const Work* work = nullptr;
  std::vector<std::string> plugins;
  std::atomic<const void*>* truncated = nullptr;
  int workers = 1;
  bool pin = true;
  std::uint64_t timeout_ns = 0;
  std::uint64_t max_chunks = 0, max_memory = 0;  // of one worker process, then it is replaced; 0: any
  SlotTrouble* troubles = nullptr;
  bool attach = false;  // the pool's board is an earlier program's
  StartMethod start = StartMethod::fork;
  bool sandbox = false;                          // processes only
};
std::unique_ptr<Hands> make_serial(const HandsPlan&);
std::unique_ptr<Hands> make_threads(const HandsPlan&);
std::unique_ptr<Hands> make_processes(const HandsPlan&);
int threads_of_this_process();

}  // namespace cadre
