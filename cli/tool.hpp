#pragma once
/* Other programs that this one runs: compilers, the linker. */
#include <string>
#include <vector>

namespace cadre::cli {

using CommandLine = std::vector<std::string>;

struct ToolResult {
  int exit = 0;       // 128 + N when signal N ended it
  std::string output; // stdout and stderr
};

/** Runs all of them side by side and waits for all. Their output goes to files in `folder` on the way. Throws Error when one can not be started. */
std::vector<ToolResult> run_tools(const std::vector<CommandLine>& commands, const std::string& folder);

/** The file that a command's name means, as a shell finds it in $PATH; "" when there is none. */
std::string find_tool(const std::string& name);

}  // namespace cadre::cli
