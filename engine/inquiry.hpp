#pragma once
/* The inquiry into a chunk whose kernel fails: tries it again, then halves it until the element is found that fails alone.

     whole ---- failed more often than --retries ----> narrowing ---- one element left ----> single ---- failed as often ----> poison
       ^                                              [lo, hi): the front half is run;                 |
       |                                              it fails: look there; else: look                 | passes: no element
       |                                              in the back half                                 | fails alone
       +------------------- skip: the element is left out, the rest is tried again                     +----> vain

   A piece is run for its end alone; the chunk's value always comes from calls over the whole of it, or over what lies between skipped elements.
   Each try may end the process. The slot's next process is told how (Death) and goes on here; that a try is counted once is seen by its number. All that
   an inquiry knows is in the slot's SlotTrouble. A chunk that never failed costs nothing: nothing of it is read or written. */
#include <cstdint>
#include <vector>

#include <cadre/engine/combine.hpp>
#include <cadre/engine/poison.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/pool/death.hpp>

namespace cadre {

class Inquiry {
 public:
  Inquiry(const Work& work, const SlotPlace& place, std::uint32_t epoch, std::uint32_t chunk);

  /** Takes up what the slot's predecessor left. `from`: elements before it were combined already, and did not fail. */
  void resume(const Death& death, std::uint64_t from);

  /** Elements of the chunk to be left out, ascending, counted from its first. */
  const std::vector<std::uint64_t>& skipped() const { return skipped_; }
  /** Whether the chunk has failed before: calls of its kernel are told of by suspect() first. */
  bool open() const { return open_; }
  /** [from, to) is run next. */
  void suspect(std::uint64_t from, std::uint64_t to);
  /** The call that this process made on [from, to) failed and returned, with `what`. */
  void failed(const char* what, std::uint64_t from, std::uint64_t to);

  enum class Step { whole, piece, vain, poison, too_many };
  /** What is to be done: run the whole chunk; run piece [lo, hi) and tell passed() or failed(); give up since no element fails alone; give up
      because of element lo; because more elements failed than may be skipped, lo the last. */
  Step next(std::uint64_t& lo, std::uint64_t& hi);
  void passed();
  /** The whole has failed more often than it may be tried: for what is not to be searched. */
  bool exhausted() const { return now().stage != Stage::whole; }

  /** Nanoseconds that the next call may take; 0: any time. */
  std::uint64_t allowed() const;
  /** A sentence on how the last try failed, without the element. */
  void describe(char* text, std::size_t bytes) const;

 private:
  Search& now() const;
  void store(const Search& next);
  void count(Search& s);
  std::uint32_t condemn(const Search& s);
  void load_skipped();

  const Work& work_;
  const SlotPlace& place_;
  const std::uint32_t epoch_, chunk_;
  SlotTrouble* trouble_;
  PoisonList* list_;
  std::vector<std::uint64_t> skipped_;
  bool open_ = false;
};

/** "SIGSEGV", "exit code 3", "the deadline", "out of memory (killed by the system)": how a call ended. */
void describe_end(std::int32_t signal, std::int32_t exit, bool timed_out, bool out_of_memory, const char* what, char* text, std::size_t bytes);

}  // namespace cadre
