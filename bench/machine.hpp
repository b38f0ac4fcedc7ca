#pragma once
/* What a measurement means nothing without: the machine, its settings, the compiler, and how busy it was. */
#include <string>

namespace cadre::bench {

/** Several lines of Markdown, "- CPU: ...". */
std::string machine_fingerprint();

/** Highest x86-64 level of this CPU that code here is compiled for: 2, 3 or 4. */
int cpu_level();

}  // namespace cadre::bench
