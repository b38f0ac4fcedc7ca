#include "build_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cadre/shm/error.hpp>

namespace cadre::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 256;

std::optional<std::string> read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string folder_wanted() {
  if (const char* own = std::getenv("CADRE_CACHE_DIR"); own && *own) return own;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/') return std::string(cache) + "/cadre";
  const char* home = std::getenv("HOME");
  return home && *home == '/' ? std::string(home) + "/.cache/cadre" : "";
}

}  // namespace

std::string content_hash(const std::string& text) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data(), text.size()));
  std::string hex;
  for (unsigned char byte : canonical.digest) hex += "0123456789abcdef"[byte >> 4], hex += "0123456789abcdef"[byte & 15];
  return hex;
}

void replace_file(const std::string& from, const std::string& to) {
  const std::string beside = to + ".new" + std::to_string(getpid());
  std::error_code error;
  fs::copy_file(from, beside, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(beside, to, error);
  if (error) {
    std::error_code ignored;
    fs::remove(beside, ignored);
    throw Error("write " + to + ": " + error.message(), Error::Kind::failed);
  }
}

// Its libraries are loaded and run, so nobody else may be able to put any there.
BuildCache::BuildCache() : folder_(folder_wanted()) {
  if (folder_.empty()) return;
  std::error_code error;
  if (!fs::is_directory(folder_, error)) {
    fs::create_directories(fs::path(folder_).parent_path(), error);
    mkdir(folder_.c_str(), 0700);
  }
  struct stat status;
  if (stat(folder_.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022)) folder_.clear();
}

std::string BuildCache::find(const std::string& key) const {
  if (folder_.empty()) return {};
  const std::string library = folder_ + "/" + key + ".so";
  const auto manifest = read_all(folder_ + "/" + key + ".deps");
  if (!manifest || access(library.c_str(), R_OK) != 0) return {};
  std::istringstream lines(*manifest);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 34) return {};
    const auto content = read_all(line.substr(33));
    if (!content || content_hash(*content) != line.substr(0, 32)) return {};
  }
  utimensat(AT_FDCWD, library.c_str(), nullptr, 0);  // used just now
  return library;
}

std::string BuildCache::keep(const std::string& key, const std::string& library, const std::vector<std::string>& dependencies) const {
  if (folder_.empty()) return {};
  std::string manifest;
  for (const std::string& file : dependencies) {
    const auto content = read_all(file);
    if (!content || file.find('\n') != std::string::npos) return {};
    manifest += content_hash(*content) + " " + file + "\n";
  }
  const std::string kept = folder_ + "/" + key + ".so", list = folder_ + "/" + key + ".deps", beside = list + ".new" + std::to_string(getpid());
  try {
    std::ofstream(beside, std::ios::binary) << manifest;
    replace_file(library, kept);
    fs::rename(beside, list);
  } catch (const std::exception&) {  // no room, say: built all the same
    std::error_code ignored;
    fs::remove(beside, ignored);
    return {};
  }
  forget_oldest();
  return kept;
}

void BuildCache::forget_oldest() const {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> entries;
  for (fs::directory_iterator i(folder_, error), end; !error && i != end; i.increment(error))
    if (i->path().extension() == ".so") entries.emplace_back(i->last_write_time(error), i->path());
  if (entries.size() <= kMostEntries) return;
  std::sort(entries.begin(), entries.end());
  for (std::size_t k = 0; k < entries.size() - kMostEntries; ++k) {
    fs::path deps = entries[k].second;
    fs::remove(deps.replace_extension(".deps"), error);
    fs::remove(entries[k].second, error);
  }
}

}  // namespace cadre::cli
