#pragma once
/* The built-in kernels, by x86-64 level and name.

     const cadre_kernel* k = cadre::find_kernel("sum", cadre::best_level());
     if (!k) throw ... cadre::nearest_name("smu", cadre::kernel_names());

   Everything here is constant once the program runs, and may be called from any thread and any process. */
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <cadre/kernels/kernel.h>

namespace cadre {

/** The levels of the x86-64 psABI: v2 has SSE4.2, v3 AVX2 and FMA, v4 AVX-512 (F, BW, CD, DQ, VL). */
enum class Level { v2, v3, v4 };

/** "v2", "v3", "v4". */
const char* name_of(Level);
std::optional<Level> level_of(std::string_view name);

/** Whether this CPU, with this operating system, runs code of the level. */
bool has_level(Level);
/** The highest level that this CPU has. Requires x86-64-v2. */
Level best_level();

/** The built-in kernels in the code of one level. The declarations are the same on all levels; the functions run only where
    has_level() is true. */
const cadre_library* builtin_kernels(Level);

/** The built-in kernel of that name, or nullptr. */
const cadre_kernel* find_kernel(std::string_view name, Level);

/** Names of all built-in kernels, in the library's order. */
std::vector<std::string> kernel_names();

/** The candidate that is nearest to `name` by edit distance (insert, delete, replace, swap of neighbours; case counts half), for
    "unknown kernel smu; did you mean sum?". Empty when none is near enough to be what was meant. */
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace cadre
