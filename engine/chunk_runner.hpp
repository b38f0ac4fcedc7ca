#pragma once
/* Runs chunks of a Work: the sentence that a slot speaks, from the claim to the last block (docs/combine.md). The same code on every backend; one
   runner per process or thread, with private buffers that live from chunk to chunk. */
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cadre/engine/combine.hpp>
#include <cadre/engine/crash.hpp>
#include <cadre/engine/inquiry.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/engine/worker_states.hpp>
#include <cadre/kernels/loaded_plugin.hpp>
#include <cadre/pool/task.hpp>
#include <cadre/shm/code_address.hpp>

namespace cadre {

/** Memory of this process alone, 64-byte aligned, grown as needed, on huge pages where it is big. Contents are not kept. */
class PrivateBuffer {
 public:
  PrivateBuffer() = default;
  PrivateBuffer(const PrivateBuffer&) = delete;
  PrivateBuffer& operator=(const PrivateBuffer&) = delete;
  ~PrivateBuffer();
  /** Throws std::bad_alloc. */
  std::byte* of(std::uint64_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

class ChunkRunner {
 public:
  /** `work` is where the caller describes each pass; `plugins` the files that Code::plugin counts. `shares_memory`: a worker process, which
      maps what a pass needs. */
  ChunkRunner(const Work& work, std::vector<std::string> plugins, bool own_process);
  /** In a process that was not forked from the caller: where the caller has the functions that a Work names. */
  void translate_code(CodeMap map) { code_map_ = std::move(map); }

  /** Tears down what kernels of plug-ins keep in this worker, which leaves in order. */
  void leave() noexcept { states_.tear_down(); }

  /** Ends the job with a text, in place of run(): from a signal handler, in a process that is about to leave. */
  void refuse(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk, const char* text);

  /** `predecessor`: of the process that claimed the chunk and died; null: this one did. */
  Outcome run(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor) noexcept;

 private:
  bool prepare(std::uint32_t slot, std::uint32_t epoch, std::uint64_t chunk);
  /** A call of the kernel on elements [from, to) of a chunk. */
  struct Call {
    std::uint64_t chunk, from, to;
    std::byte* accumulator = nullptr;   // identity() is applied to it first; null: none, or nobody wants it
    std::uint64_t allowed_ns = 0;
  };
  enum class Computed { well, failed, refused };
  Outcome run_traced(SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor);
  Outcome run_kernel(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, const Death* predecessor);
  Outcome attempt(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry, bool& failed);
  Computed whole_chunk(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry);
  bool investigate(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, Inquiry& inquiry);
  Computed compute(const SlotPlace& place, std::uint32_t epoch, Call& call);
  int call_kernel(const SlotPlace& place, cadre_chunk& c, const Call& call);
  bool verified(const SlotPlace& place, std::uint32_t epoch, const Call& call);
  std::uint64_t hash_of_output(const SlotPlace& place, const Call& call) const;
  void fill_skipped(const SlotPlace& place, std::uint64_t chunk, std::uint64_t element) const;
  bool finish(const SlotPlace& place, std::uint32_t epoch, const Death* predecessor);
  void fold(std::byte* accumulator);
  void hash(std::uint64_t chunk);
  void move_bulk(std::uint64_t block) const;
  void copy_outputs(const SlotPlace& place, std::uint64_t first, std::uint64_t from, std::uint64_t to) const;
  void complain(const SlotPlace& place, std::uint32_t epoch, std::uint64_t chunk, ComplaintKind kind, std::uint64_t row, const char* text);

  const Work& work_;
  const std::vector<std::string> plugin_files_;
  const bool own_process_;
  std::vector<std::unique_ptr<Plugin>> plugins_;
  WorkerStates states_;           // destroyed before the plug-ins' code
  void* worker_ = nullptr;        // of the current kernel
  std::uint32_t prepared_ = 0;    // epoch
  Code code_;                     // resolved for this process
  std::optional<CodeMap> code_map_;
  PrivateBuffer accumulator_, run_accumulator_, scratch_, list_, stack_;
  const FloatingPointMode mode_;  // of the process or thread that made this: what kernels find
  char failure_[256] = {};        // of the last call that failed and returned
};

/** Elements of a chunk: [first, first + count). */
struct ChunkRange {
  std::uint64_t first, count;
};
inline ChunkRange range_of(const Work& w, std::uint64_t chunk) {
  const std::uint64_t first = chunk * w.chunk_elements;
  return {first, w.elements - first < w.chunk_elements ? w.elements - first : w.chunk_elements};
}

}  // namespace cadre
