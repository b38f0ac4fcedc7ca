#include <cadre/shm/temporary_folder.hpp>

#include <stdlib.h>

#include <cerrno>
#include <filesystem>

#include <cadre/shm/error.hpp>

namespace cadre {

std::string temporary_parent() {
  const char* parent = std::getenv("TMPDIR");
  return parent && *parent ? parent : "/tmp";
}

TemporaryFolder::TemporaryFolder(std::string_view purpose) : path_(temporary_parent() + "/cadre-" + std::string(purpose) + "-XXXXXX") {
  if (!mkdtemp(path_.data())) throw_errno("make a folder " + path_ + " (set TMPDIR to a folder that can be written)", errno, Error::Kind::failed);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace cadre
