#pragma once
/* Whether what a library declares can be believed: counts, names, types, functions. */
#include <string>

#include <cadre/kernels/kernel.h>

namespace cadre {

/** The first fault of a library's declarations, as a sentence ("kernel tally: input 2 has no name"), or "" when there is none. Reads
    what the library points at, so a library that was never checked belongs into a process that may die. */
std::string declaration_fault(const cadre_library&);

/** A declaration as this program knows it: what one of an earlier version lacks is null. Requires that declaration_fault() found nothing. */
cadre_kernel complete(const cadre_kernel& declared);

}  // namespace cadre
