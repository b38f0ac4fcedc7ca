/* cadre manager: hands over to the program cadre-manager, which lies beside this one, so that computing needs neither TLS nor HTTP/2. */
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include <cadre/shm/error.hpp>

#include "commands.hpp"

namespace cadre::cli {

int run_manager(char** argv) {
  char here[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", here, sizeof here);
  if (n < 0) throw_errno("find this program's own folder", errno);
  std::string program(here, static_cast<std::size_t>(n));
  program.replace(program.rfind('/') + 1, std::string::npos, "cadre-manager");
  signal(SIGPIPE, SIG_DFL);
  execv(program.c_str(), argv);
  if (errno == ENOENT) throw Error("cadre manager is a program of its own, which is not there: " + program + "; install Cadre whole, or build the target cadre_manager_program");
  throw_errno("run " + program, errno);
}

}  // namespace cadre::cli
