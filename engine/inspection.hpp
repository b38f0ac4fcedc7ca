#pragma once
/* What an earlier program left in a journal's arena, looked at before anybody goes on with it. The words of the protocol must be such as a kill can leave them: one that is not
   would make a process wait for ever, or apply what is not there. Caller only, behind the board's gate. */
#include <cstdint>

#include <cadre/engine/poison.hpp>
#include <cadre/engine/work.hpp>
#include <cadre/pool/board.hpp>

namespace cadre {

/** Of a pass: records, parts, locks and turns of the job `epoch`, whose chunks the slots' hints name (Pool::run has seen to that). Throws Error (damaged). */
void require_possible(const Work& work, const Board& board, std::uint32_t epoch);

/** Of a job: what is written down about kernels that fail, by `slots` slots and in `most` entries. Counts the entries anew. Throws Error (damaged). */
void take_up(SlotTrouble* troubles, std::uint32_t slots, PoisonList& list, std::uint32_t most);

}  // namespace cadre
