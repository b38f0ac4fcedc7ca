/* cadre: the command line program. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <cadre/compare/contestant.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/pool/program.hpp>
#include <cadre/shm/error.hpp>

#include "commands.hpp"
#include "output.hpp"

namespace cadre::cli {
namespace {

constexpr const char* kExitCodes =
    "exit codes: 0 done, 1 the job failed, 2 bad usage or bad input (nothing was started),\n"
    "            3 done, but elements were skipped, 128+N ended by signal N";

[[noreturn]] void refuse_extras(const CLI::App& command, const std::string& usage) {
  const std::string extra = command.remaining().front();
  if (extra.rfind("-", 0) != 0) throw Error("unexpected argument " + extra + "; see " + usage + " --help");
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  const std::string nearest = nearest_name(extra.substr(0, extra.find('=')), known);
  throw Error("unknown option " + extra + (nearest.empty() ? "; see " + usage + " --help" : "; did you mean " + nearest + "?"));
}

int dispatch(int argc, char** argv, Context& context) {
  if (argc > 1 && std::strcmp(argv[1], "manager") == 0) return run_manager(argv + 1);
  CLI::App program{"cadre: numeric kernels over big arrays, on every core, in processes", "cadre"};
  program.set_version_flag("--version", std::string("cadre ") + CADRE_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.footer(kExitCodes);
  program.get_formatter()->column_width(38);
  program.allow_extras();
  program.require_subcommand(0, 1);  // what follows a command belongs to it: cadre run check runs a kernel of that name
  std::vector<Command> commands{add_run(program, context),   add_compare(program, context), add_kernels(program, context), add_new(program, context),
                                add_build(program, context), add_check(program, context),   add_doctor(program, context)};
  for (Command& command : commands) command.app->set_help_flag("-h,--help", "Print this help and exit")->group("Options");
  program.add_subcommand("manager", "Serve dicts, lists, locks and queues to programs, here and across the network");  // for the list: it never gets here

  // What follows "--" is for another program, where a command says so.
  for (Command& command : commands)
    for (int i = 2; command.take_rest && i < argc && command.app->get_name() == argv[1]; ++i)
      if (std::strcmp(argv[i], "--") == 0) command.take_rest({argv + i + 1, argv + std::exchange(argc, i)});

  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    write_out(std::string(version.what()) + "\n");
    return 0;
  } catch (const CLI::CallForHelp&) {
    const CLI::App* asked = &program;
    for (const Command& command : commands)
      if (command.app->parsed()) asked = command.app;
    write_out(asked == &program ? program.help() : asked->help("cadre"));
    return 0;
  } catch (const CLI::ParseError& e) {
    throw Error(std::string(e.what()) + "; see cadre --help");
  }

  for (Command& command : commands) {
    if (!command.app->parsed()) continue;
    if (command.app->remaining_size() > 0) refuse_extras(*command.app, "cadre " + command.app->get_name());
    return command.run();
  }
  if (program.remaining_size() > 0 && program.remaining().front().rfind("-", 0) != 0) {
    const std::string name = program.remaining().front();
    const std::string nearest = nearest_name(name, {"run", "compare", "kernels", "new", "build", "check", "doctor", "manager"});
    throw Error("there is no command " + name + (nearest.empty() ? "; see cadre --help" : "; did you mean cadre " + nearest + "?"));
  }
  if (program.remaining_size() > 0) refuse_extras(program, "cadre");
  throw Error("no command: cadre run, cadre compare, cadre kernels, cadre new, cadre build, cadre check, cadre doctor or cadre manager; see cadre --help");
}

/** The exit code for a failure, after saying what it was wherever it must be said. */
int report_failure(const std::string& message, int code, const Context& context) {
  complain(message);
  if (context.json) write_out(error_json(message));
  return code;
}

int guarded(int argc, char** argv) {
  Context context;
  for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i)
    if (std::strcmp(argv[i], "--json") == 0) context.json = true;
  try {
    return dispatch(argc, argv, context);
  } catch (const Error& e) {
    return report_failure(e.what(), e.kind() == Error::Kind::usage ? 2 : 1, context);
  } catch (const std::bad_alloc&) {
    return report_failure("out of memory", 1, context);
  } catch (const std::exception& e) {
    return report_failure(e.what(), 1, context);
  }
}

}  // namespace
}  // namespace cadre::cli

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  // A descriptor that the caller closed must not become a file of ours. Read-only, so that what is printed there fails as it would have.
  for (int fd = open("/dev/null", O_RDONLY); fd >= 0; fd = dup(fd))
    if (fd > STDERR_FILENO) {
      close(fd);
      break;
    }
  if (argc == 3 && std::strcmp(argv[1], cadre::compare::kContestantFlag) == 0) return cadre::compare::serve_contestant(std::atoi(argv[2]));
  // A reader that leaves early is told by EPIPE, so that outputs and workers are put in order before the end.
  signal(SIGPIPE, SIG_IGN);
  try {
    return cadre::cli::guarded(argc, argv);
  } catch (const cadre::cli::WriteFailed& failure) {
    if (failure.error == EPIPE) return 128 + SIGPIPE;
    cadre::cli::complain(std::string("write to standard output: ") + std::strerror(failure.error));
    return 1;
  }
}
