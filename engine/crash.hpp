#pragma once
/* In a worker: what a process that dies of its kernel leaves behind, and what a kernel may not change for the chunks after it.

   Signal handlers on a stack of their own write the signal and the stack of calls into the slot's Witness and let the signal end the process; a
   std::terminate leaves its exception's message there. The supervisor tells the slot's next process how it ended; the inquiry puts both together. */
#include <cstdint>
#include <string>

#include <cadre/engine/poison.hpp>
#include <cadre/pool/slot.hpp>

namespace cadre {

/** Installs the handlers for the calling process, a worker in the slot of `line`. */
void witness_crashes(SlotLine* line, Witness* witness);
/** The process's stdout becomes its stderr: stdout is for results. Worker only. */
void keep_stdout_clean();

/** Notes which files are mapped where, for the stacks: again whenever a library was loaded. Worker only. */
void note_libraries();

/** Floating-point mode of this thread (rounding, traps, flushing), put back when the object dies or put_back() is called: results must not depend on
    what a kernel before has set. */
class FloatingPointMode {
 public:
  FloatingPointMode() noexcept;
  void put_back() const noexcept;

 private:
  std::uint32_t mxcsr_;
  std::uint16_t x87_;
};

}  // namespace cadre
