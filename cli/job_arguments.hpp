#pragma once
/* What the words of a command line say is to be done, for run and for whatever takes the same words. */
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <cadre/engine/flags.hpp>
#include <cadre/engine/job.hpp>

#include "plugin_build.hpp"

namespace cadre::cli {

struct JobArguments {
  std::string target;
  std::vector<std::string> in, out, params, plugins;
  std::string expression;
  std::map<std::string, std::string> values;  // flags with a value, as typed
  std::map<std::string, bool> switches;
};

/** Adds KERNEL|JOB.toml, --in, --out, --param, --expr, and all flags of run_flags() but those that `other` has. `a` outlives the parser. */
void add_job_arguments(CLI::App& app, JobArguments& a, const std::vector<std::string>& other = {});

/** The job, and the flags applied to `settings`: a job file's beneath those of the command line. `built` keeps an expression's library while the job runs. `command` is for messages.
    Throws Error (usage). */
Job job_of(const JobArguments& a, RunSettings& settings, std::optional<Build>& built, const std::string& command);

}  // namespace cadre::cli
