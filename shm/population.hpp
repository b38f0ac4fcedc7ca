#pragma once
/* Gives fresh shared memory its pages. */
#include <cstddef>

namespace cadre {

/** Puts [p, p + bytes), both multiples of 2 MiB, onto 2 MiB pages: one page in each is touched, then the range is collapsed, which
    needs no privileges and is some nine times faster than faulting 4 KiB pages in. True when all of it lies on huge pages; where the kernel
    refuses (before Linux 6.1, no free huge pages, CADRE_PAGES=4k), false: the rest comes as 4 KiB pages when it is touched. */
bool populate(std::byte* p, std::size_t bytes) noexcept;

}  // namespace cadre
