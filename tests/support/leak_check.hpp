#pragma once
/* A fixture whose TearDown proves that a test left nothing behind: no child (not even a zombie), no descriptor, no file in the arena's
   file region, no extent of the arena, nothing in /dev/shm. Engines and arrays must be gone by then: make them in the test's body,
   not as members. Derived fixtures that have a SetUp or TearDown call this one's. */
#include <dirent.h>
#include <sys/wait.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <cadre/shm/arena.hpp>

namespace cadre::testing {

inline std::set<std::string> names_in(const char* directory) {
  std::set<std::string> names;
  if (DIR* d = opendir(directory)) {
    while (const dirent* entry = readdir(d)) names.insert(entry->d_name);
    closedir(d);
  }
  return names;
}

/** Descriptors open in this process, the arena's included. */
inline std::size_t open_descriptors() { return names_in("/proc/self/fd").size(); }

/** Lines of /proc/self/maps that show a file in the arena's file region. */
inline std::string mapped_files() {
  const auto first = reinterpret_cast<std::uintptr_t>(Arena::instance().base()) + Arena::instance().size();
  std::string found;
  char line[8192];
  if (FILE* maps = std::fopen("/proc/self/maps", "re")) {
    while (std::fgets(line, sizeof line, maps)) {
      std::uintptr_t from, to;
      unsigned long inode;
      if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %lu", &from, &to, &inode) == 3 && inode != 0 && from < first + Arena::instance().size() && to > first)
        found += line;
    }
    std::fclose(maps);
  }
  return found;
}

class LeakCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    Arena::instance();  // its descriptor is the program's, not the test's
    descriptors_ = open_descriptors();
    extents_ = Arena::instance().in_use();
    dev_shm_ = names_in("/dev/shm");
  }
  void TearDown() override {
    errno = 0;
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child process is left";
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(open_descriptors(), descriptors_) << "descriptors are left";
    EXPECT_EQ(mapped_files(), "") << "files are left mapped";
    EXPECT_EQ(Arena::instance().in_use(), extents_) << "extents of the arena are left";
    EXPECT_EQ(names_in("/dev/shm"), dev_shm_) << "/dev/shm has changed";
  }

 private:
  std::size_t descriptors_ = 0, extents_ = 0;
  std::set<std::string> dev_shm_;
};

}  // namespace cadre::testing
