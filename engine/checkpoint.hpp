#pragma once
/* What a journal's file says: of which job it is, and how far that job has got. A text, so that people can read it, with a checksum; written whole
   at the end of every pass and put in the place of the last one by a rename. docs/journal.md has the format and what a crash in each state
   means. No files are touched here: text to structs and back. */
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <cadre/engine/report.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/array.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre {

constexpr std::uint32_t kJournalVersion = 1;
constexpr std::size_t kMostJournalBytes = std::size_t{64} << 20;

/** Something that must be the same when a job is taken up again: {"chunk", "0"}, {"input /data/x.npy", "8000128 bytes, ..."}. */
struct Fact {
  std::string what, is;
};

/** An array that later passes need: in the arena, or in an output's file. */
struct KeptArray {
  std::string name;
  DType type = DType::f64;
  Shape shape;
  ArenaExtent extent;        // the storage; bytes 0: it is that of an output
  std::uint64_t offset = 0;  // of the data in it
  std::uint32_t output = 0;  // index into Checkpoint::outputs
};

/** An output that is a file: written in place, or from an array when all is done. */
struct KeptOutput {
  KeptFile file;  // temporary "": not written yet
  bool mapped = false;
  KeptArray array;  // mapped: type and shape alone
};

struct Checkpoint {
  enum class State {
    running,     // pass `pass` of step `step` is next, or under way: its ledger, in the arena, knows
    committing,  // all is computed, outputs are on their way to their names
    finished     // all is where it should be; the arena is gone
  };
  State state = State::running;
  std::uint64_t generation = 0;  // counts checkpoints: a ledger of another one is out of date
  std::uint32_t step = 0, pass = 0;
  std::uint64_t bytes = 0;   // of all inputs and outputs so far
  std::uint64_t chunks = 0;  // of all passes so far
  std::vector<KeptArray> arrays, digested;
  std::optional<KeptArray> previous;  // accumulator of the pass before, as bytes
  std::vector<KeptOutput> outputs;
  Report report;    // so far
  StepReport told;  // of the step under way
};

struct JournalText {
  std::string id;       // of this journal: in the names of its outputs' temporaries
  std::string boot;     // of the machine when it was written
  bool closed = false;  // orderly, and on the disk: good after a reboot too
  std::uint64_t arena_base = 0, arena_size = 0;
  std::vector<Fact> machine;  // and program
  std::vector<Fact> job;
  std::vector<Fact> inputs;
  Checkpoint checkpoint;
};

std::string to_text(const JournalText&);

/** Reads what to_text wrote, from bytes that may be anything. Throws Error "PATH: reason": another version; (damaged) not a journal, truncated, damaged (the
    checksum), or telling of what can not be. */
JournalText parse_journal(std::span<const std::byte> bytes, const std::string& path);
/** The part behind the first line, whose checksum that line has; the same errors. */
JournalText parse_journal_body(std::string_view body, const std::string& path);

/** The extents of the arena that a checkpoint needs, each once. */
std::vector<ArenaExtent> extents_of(const Checkpoint&);

/** What differs between two lists of facts, as "chunk was 0 and is 1000"; "" nothing. */
std::string difference(const std::vector<Fact>& was, const std::vector<Fact>& is);

}  // namespace cadre
