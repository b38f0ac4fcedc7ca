#pragma once
/* What ties processes to the one that started them: a pipe whose writing end that one alone holds. When it is gone, however it went, the kernel
   closes the end and sends SIGKILL to everybody who holds on to the other (a pipe's reader may ask for a signal of its choice). A
   parent-death signal would not do: it comes when the *thread* ends that forked. No thread, no watching process, nothing to poll. */

namespace cadre {

/** The end to hold on to, of this process's lifeline, which is made at first use. Throws Error. Any thread. */
int lifeline();
/** In a new process: ends with the process whose lifeline `end` is, at once if that is gone already. Closes `end`. */
void hold_on_to(int end) noexcept;

}  // namespace cadre
