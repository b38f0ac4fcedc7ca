#pragma once
/* A file that another process truncates while it is mapped turns every access past its new end into SIGBUS. With the guard
   installed such an access sees zeros instead and is noted, so that the job can fail with the name of the file. */
#include <atomic>

namespace cadre {

/** Handles SIGBUS for addresses in the arena's file region (and in the windows of it): a zeroed page is put over the one that is gone, and
    the first such address, as the caller knows it, is stored in *where, unless something is there already. Other SIGBUS go to the handler
    that was installed before, or end the process. `where` is shared memory that this process may write and that outlives its use; a second
    call only changes it. Any process; the arena must exist. Throws Error. */
void install_truncation_guard(std::atomic<const void*>* where);

}  // namespace cadre
