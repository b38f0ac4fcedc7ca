#pragma once
/* The commands of the program. Each adds itself to the parser and is run when it was the one named. */
#include <functional>

#include <CLI/CLI.hpp>

namespace cadre::cli {

/** What errors must know: set from the arguments at first, by a job file later. */
struct Context {
  bool json = false;  // errors are printed on stdout too, as {"error": ...}
};

struct Command {
  CLI::App* app;
  std::function<int()> run;  // returns the exit code; throws Error, WriteFailed
  std::function<void(std::vector<std::string>)> take_rest = nullptr;  // what followed "--", for the one command that passes it on
};

Command add_run(CLI::App& program, Context& context);
Command add_kernels(CLI::App& program, Context& context);
Command add_new(CLI::App& program, Context& context);
Command add_build(CLI::App& program, Context& context);
Command add_check(CLI::App& program, Context& context);
Command add_compare(CLI::App& program, Context& context);
Command add_doctor(CLI::App& program, Context& context);
/** Becomes another program: `argv` begins with the command. Returns only by throwing Error. */
int run_manager(char** argv);

}  // namespace cadre::cli
