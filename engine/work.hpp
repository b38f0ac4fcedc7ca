#pragma once
/* Work: one pass over one index space, described in shared memory so that any process of the program can run any chunk of it.
   Plain data; addresses are the caller's, which a worker translates (shm/worker_view.hpp). Written by the caller before the pass is posted,
   constant until it is over. */
#include <array>
#include <atomic>
#include <cstdint>

#include <cadre/kernels/kernel.h>
#include <cadre/pool/slot.hpp>
#include <cadre/shm/worker_view.hpp>

namespace cadre {

constexpr std::size_t kMaxMappings = 32;
constexpr std::size_t kMaxCapture = 256;

/** What a pass runs. Functions of the program itself have one address in every fork of it; those of a plug-in are found by each process. */
struct Code {
  int (*run)(cadre_chunk*) = nullptr;
  void (*identity)(const cadre_plan*, void*) = nullptr;
  void (*combine)(const cadre_plan*, void*, const void*) = nullptr;
  int (*finish)(cadre_finish*) = nullptr;
  void* state = nullptr;
  std::int32_t plugin = -1;            // index of the engine's plug-ins; -1: the functions above
  std::uint32_t kernel = 0;            // in the plug-in's library
  std::uint32_t captured = 0;          // bytes of `capture` in use: state is its address then
  alignas(16) std::byte capture[kMaxCapture] = {};
};

struct WorkInput {
  std::uint64_t address = 0;
  std::uint64_t row_bytes = 0;
  cadre_shape shape{};
  std::uint32_t whole = 0;
};

struct WorkOutput {
  std::uint64_t address = 0;           // 0: not wanted
  std::uint64_t row_bytes = 0;         // MAP: bytes of one element of the index space
  cadre_shape shape{};
  std::uint32_t map = 0;
  double fill = 0;                     // MAP: of a skipped element
};

/** One column of a combined result. `rows` of it are cut into segments of 1 << Work::segment_shift rows; the memory reaches to the end of the last. */
struct WorkColumn {
  std::uint64_t address = 0;
  cadre_dtype dtype{};
  std::uint32_t op = 0, counts = 0;
};

/** Memory to be filled with a column's identity, or copied, in blocks of kBulkBytes: too much for the caller alone. */
struct WorkBulk {
  std::uint64_t to = 0, from = 0;      // from 0: fill
  std::uint64_t bytes = 0;
  std::uint32_t column = 0;            // fill: whose identity
};
constexpr std::uint64_t kBulkBytes = 2u << 20;

/** The lock of a segment, and whose turn it is where floating-point sums are applied in chunk order. */
struct alignas(64) Segment {
  std::atomic<std::uint32_t> lock;     // 0 free, slot + 1 held
  std::atomic<std::uint32_t> turn;     // next chunk to be applied; guarded by the lock
  std::atomic<std::uint32_t> waiters;  // somebody sleeps on `bell`
  std::atomic<std::uint32_t> bell;
};
static_assert(sizeof(Segment) == 64);

/** What a slot has to say about data that are at fault, or a kernel that failed in order. Written by the slot before the job is stopped. */
struct alignas(64) Complaint {
  std::atomic<std::uint32_t> epoch;    // of the job complained of
  std::uint32_t kind;                  // ComplaintKind
  std::uint64_t row;                   // bad_data, poison, too_many: the row of the index space
  std::uint64_t chunk;
  char text[256];
};
enum class ComplaintKind : std::uint32_t { bad_data, mapping, engine, poison, too_many, vain, finish, impure };

enum class WorkKind : std::uint32_t { kernel, finish, digest, bulk, merge };
enum class ScatterMode : std::uint32_t { none, dense, sparse };

/** Where one run of a pass spent its time, by chunk: written by the slot that runs the chunk, where somebody asked for it. monotonic_ns. */
struct TraceEntry {
  std::uint64_t begin, computed, end;  // claimed; the kernel has returned; combined
  std::uint64_t waited;                // of that, ns for locks of segments
  std::uint32_t slot, runs;            // runs: 0 it was not run; more than 1: again, after a death
};

struct Work {
  WorkKind kind = WorkKind::kernel;
  std::uint32_t slots = 0;
  Code code;
  cadre_plan plan{};
  std::uint64_t elements = 0, chunk_elements = 0, chunks = 0;

  std::uint32_t n_inputs = 0, n_outputs = 0;
  std::array<WorkInput, CADRE_MAX_INPUTS> inputs;
  std::array<WorkOutput, CADRE_MAX_OUTPUTS> outputs;

  std::uint32_t n_mappings = 0;
  std::array<Mapping, kMaxMappings> mappings;   // every process needs these; each slot's partial comes on top

  std::uint32_t copies = 0;            // map outputs go through the partial: computed there, then copied
  std::uint64_t copies_at = 0;         // where in the partial: behind what is combined
  std::uint32_t stream = 0;            // CADRE_STREAM
  std::uint32_t ordered = 0;           // segments are applied in chunk order

  std::uint64_t accumulators = 0;      // fold: one per chunk, `accumulator_stride` apart
  std::uint64_t accumulator_stride = 0;

  ScatterMode scatter = ScatterMode::none;
  std::uint32_t n_columns = 0;
  std::array<WorkColumn, CADRE_MAX_OUTPUTS> columns;
  std::uint64_t rows = 0;              // hidden ones included
  std::uint32_t segment_shift = 0, n_segments = 0;
  std::uint64_t segments = 0;          // Segment[n_segments]
  std::uint64_t room_pages = 0;        // sparse: pages of a partial

  std::uint64_t lines = 0;             // SlotLine[slots]
  std::uint64_t complaints = 0;        // Complaint[slots]
  std::uint64_t stop = 0;              // std::atomic<uint32_t>: Stop

  /* What comes of a kernel that fails (inquiry.hpp). */
  std::uint64_t troubles = 0;          // SlotTrouble[slots]
  std::uint64_t poison = 0;            // PoisonList
  std::uint32_t most_poison = 0;       // its entries
  std::uint32_t retries = 0;           // tries after the first
  std::uint32_t skip = 0;              // 1: poison is left out; 0: it ends the job
  std::uint32_t max_skipped = 0;
  std::uint64_t allowed_ns = 0;        // for a call of the kernel; 0: any time
  std::uint32_t verify = 0;            // share of the chunks to be run twice, of 2^32 - 1

  std::uint64_t partials = 0;          // std::uint64_t[slots]: address of each slot's partial, in an extent of its own
  std::uint64_t partial_bytes = 0;
  std::uint64_t images = 0;            // the first slot's image; `image_stride` apart
  std::uint64_t image_stride = 0;

  /* finish: chunk 0 turns what was combined into outputs and results. */
  std::uint64_t n_accumulators = 0;
  std::uint64_t previous = 0;          // where the finished accumulator goes
  std::uint64_t again = 0;             // std::uint32_t: where cadre_finish::again goes
  std::uint32_t n_results = 0;
  std::array<std::uint64_t, CADRE_MAX_RESULTS> results{};  // addresses

  /* digest: hashes of 1 MiB blocks of the inputs' bytes; block numbers are the index space. */
  std::uint64_t hashes = 0;            // 16 bytes a block

  /* Threads that combine in copies of their own (Options::private_copies); kind merge puts them together, its chunks are segments. 0: none. */
  std::uint64_t copies_of_columns = 0; // the first slot's, column after column; `columns_stride` apart
  std::uint64_t columns_stride = 0;

  /* Both 0 where no trace was asked for. */
  std::uint64_t trace = 0;             // TraceEntry[chunks]
  std::uint64_t segment_waits = 0;     // std::uint64_t[n_segments]: ns waited for each; guarded by the segment's lock

  /* bulk: blocks of all entries, one after the other, are the index space. */
  std::uint32_t n_bulk = 0;
  std::array<WorkBulk, CADRE_MAX_OUTPUTS> bulk;
};

}  // namespace cadre
