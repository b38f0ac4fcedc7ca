#pragma once
/* Plug-ins that are there without being named: every .so in the folders of $CADRE_PLUGIN_PATH. */
#include <string>
#include <vector>

namespace cadre::cli {

/** Appends them to `plugins`, in the order of the folders and of their names, less those that `plugins` has already. Folders that are
    not there are passed over, as in $PATH. */
void add_plugins_of_path(std::vector<std::string>& plugins);

}  // namespace cadre::cli
