#pragma once
/* Cadre's side of a race: a named kernel run by the engines of processes and of threads, on the same arrays of the arena. Timed is all of
   Engine::run, with planning, checks and combining, without the digest. */
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <cadre/bench/dispatch.hpp>
#include <cadre/bench/races.hpp>
#include <cadre/engine/engine.hpp>

namespace cadre::bench {

/** The engines and pools of a run, made before oneTBB has a thread: a child of a program that has used it would run on one. */
class Workers {
 public:
  /** Makes them for setting.workers, and puts them and the engine's level into the setting. */
  explicit Workers(Setting& setting);

 private:
  Engine processes_, crowd_;
  SpendingPool pool_, crowded_pool_;
  Engine threads_;
};

using NamedArrays = std::vector<std::pair<std::string, AnyArray>>;  // input's or output's name of the kernel -> array

Job job_of(const std::string& kernel, const NamedArrays& in, const NamedArrays& out,
           const std::vector<std::pair<std::string, Param>>& params = {});

/** Adds the contestants "processes" and "Cadre threads". check(report) throws WrongAnswer; it is called for each of them after runs of its own. */
void add_engines(Race&, const Setting&, const Job&, const std::function<void(const Report&)>& check);

/** A result of one number. Throws WrongAnswer when there is none of that name. */
double number_of(const Report&, const std::string& result);

/** The contestants' names that begin with "oneTBB". */
std::vector<std::string> peers_of(const Race&);

}  // namespace cadre::bench
