#pragma once
/* Plug-ins compiled from source: C++, C or Fortran, with the system's compiler, for several CPU levels in one library.

   Each level is compiled by itself and made into one relocatable object in which only its own cadre_plugin (renamed to its level) is global and
   whose initialisers lie in a section of its own; kernels/plugin/levels.c chooses between them while the library is loaded. */
#include <optional>
#include <string>
#include <vector>

#include <cadre/shm/temporary_folder.hpp>

namespace cadre::cli {

struct BuildRequest {
  std::vector<std::string> sources;              // .cpp .cc .cxx, .c, .f90 .f95 .f03 .f08 .f
  std::string text = {};                         // or the text of one in C++
  std::vector<std::string> flags = {};              // for compiler and linker
  std::vector<std::string> levels{"v2", "v3", "v4"};
};

struct Build {
  std::string library;    // in the cache, or in a folder that goes with this object
  bool cached = false;    // built before
  std::string warnings;   // of the compiler
  double seconds = 0;

 private:
  friend Build build_plugin(const BuildRequest&);
  std::optional<TemporaryFolder> folder_;
};

/** Throws Error: bad input (usage), no compiler, or code that does not compile (failed, with the compiler's words). */
Build build_plugin(const BuildRequest& request);

}  // namespace cadre::cli
