#pragma once
/* Libraries that were built before, found by the content of what they were built from.

   An entry is KEY.so, and KEY.deps with the hash of every file that the compiler read. Entries appear whole (written beside, then renamed). */
#include <string>
#include <vector>

namespace cadre::cli {

class BuildCache {
 public:
  /** $CADRE_CACHE_DIR, else $XDG_CACHE_HOME/cadre, else ~/.cache/cadre: a folder that only this user may write to, or none at all. */
  BuildCache();

  /** The library that was kept under `key`, when none of the files that it was built from has changed; "" otherwise. */
  std::string find(const std::string& key) const;
  /** Keeps a library; `dependencies` are the files that it was built from. Returns where it lies, "" when it can not be kept. */
  std::string keep(const std::string& key, const std::string& library, const std::vector<std::string>& dependencies) const;

 private:
  void forget_oldest() const;
  std::string folder_;  // "": none
};

/** 32 hexadecimal digits of XXH3-128. */
std::string content_hash(const std::string& text);

/** Copies a file so that `to` is the old one or the new one at any moment; a process that has the old one mapped keeps it. Throws Error. */
void replace_file(const std::string& from, const std::string& to);

}  // namespace cadre::cli
