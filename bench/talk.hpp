#pragma once
/* Pools, queues and pipes beside Python's multiprocessing, and beside what the kernel gives: for bench_processes. */
#include <map>
#include <string>
#include <vector>

namespace cadre::bench {

/** One round of each; "name value" as bench/processes.py prints them: microseconds, or items per second. Ends the program where an answer is wrong. */
std::map<std::string, double> measure_talk();
/** Medians of the rounds as Markdown. */
void print_talk(const std::map<std::string, std::vector<double>>& ours, const std::map<std::string, std::vector<double>>& theirs);

}  // namespace cadre::bench
