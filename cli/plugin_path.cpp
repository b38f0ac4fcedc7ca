#include "plugin_path.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace cadre::cli {

namespace fs = std::filesystem;

void add_plugins_of_path(std::vector<std::string>& plugins) {
  const char* path = std::getenv("CADRE_PLUGIN_PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
      if (i->path().extension() == ".so") found.push_back(i->path());
    std::sort(found.begin(), found.end());
    for (const std::string& file : found) {
      auto same = [&](const std::string& other) { return fs::equivalent(file, other, error); };
      if (std::none_of(plugins.begin(), plugins.end(), same)) plugins.push_back(file);
    }
  }
}

}  // namespace cadre::cli
