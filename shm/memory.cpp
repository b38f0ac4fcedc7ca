#include <cadre/shm/memory.hpp>

#include <linux/magic.h>
#include <sys/statfs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include <cadre/shm/error.hpp>

namespace cadre {
namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

/* The number in a file of one number; "max" and a file that is not there give nothing. */
std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t value;
  return in >> value ? std::optional(value) : std::nullopt;
}

/* The number after `key` in a file of "key value" lines. */
std::uint64_t field_in(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string name; in >> name;) {
    std::uint64_t value;
    if (!(in >> value)) in.clear();
    else if (name == key) return value;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kNone;
}

/* Where a cgroup hierarchy is mounted, and which cgroup is at the top of that mount (not "/" inside some containers). */
struct Mount {
  std::string point, top;
};
Mount find_mount(const std::string& root, const std::string& type, const std::string& controller) {
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string id, parent, device, top, point, fs, source, options;
    before >> id >> parent >> device >> top >> point;
    after >> fs >> source >> options;
    if (fs != type || (!controller.empty() && ("," + options + ",").find("," + controller + ",") == std::string::npos)) continue;
    return {point, top};
  }
  return {};
}

void tighten(MemoryLimit& limit, std::uint64_t most, std::uint64_t used, std::uint64_t cache, const char* what) {
  const std::uint64_t held = used > cache ? used - cache : 0, left = most > held ? most - held : 0;
  if (left < limit.bytes) limit = {left, what};
}

/* The process's cgroup `path` and each of its parents, as far as the mount shows them. */
template <class Visit>
void for_each_level(const std::string& root, const Mount& mount, std::string path, Visit visit) {
  if (mount.point.empty()) return;
  if (mount.top != "/" && path.rfind(mount.top, 0) == 0) path.erase(0, mount.top.size());
  while (!path.empty() && path.back() == '/') path.pop_back();
  while (true) {
    visit(root + mount.point + path);
    if (path.empty()) return;
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

}  // namespace

MemoryLimit available_memory(const std::string& root) {
  MemoryLimit limit{kNone, "MemAvailable"};
  const std::uint64_t kib = field_in(root + "/proc/meminfo", "MemAvailable:");
  if (kib != kNone) limit.bytes = kib * 1024;

  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // "0::/user.slice/x" (v2), "4:memory:/x" (v1)
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", path = line.substr(second + 1);
    const auto cache = [](const std::string& stat, const char* inactive, const char* active) {
      const std::uint64_t a = field_in(stat, inactive), b = field_in(stat, active);
      return (a == kNone ? 0 : a) + (b == kNone ? 0 : b);
    };
    if (controllers == ",,")
      for_each_level(root, find_mount(root, "cgroup2", ""), path, [&](const std::string& directory) {
        const auto most = number_in(directory + "/memory.max"), used = number_in(directory + "/memory.current");
        if (most && used) tighten(limit, *most, *used, cache(directory + "/memory.stat", "inactive_file", "active_file"), "cgroup memory.max");
      });
    else if (controllers.find(",memory,") != std::string::npos)
      for_each_level(root, find_mount(root, "cgroup", "memory"), path, [&](const std::string& directory) {
        const auto most = number_in(directory + "/memory.limit_in_bytes"), used = number_in(directory + "/memory.usage_in_bytes");
        if (most && used)
          tighten(limit, *most, *used, cache(directory + "/memory.stat", "total_inactive_file", "total_active_file"), "cgroup memory.limit_in_bytes");
      });
  }
  return limit;
}

void require_memory(std::uint64_t bytes, const std::string& what, std::uint64_t spoken_for) {
  const MemoryLimit limit = available_memory();
  const std::uint64_t left = limit.bytes > spoken_for ? limit.bytes - spoken_for : 0;
  if (bytes <= left) return;
  throw Error(what + " needs " + human_bytes(bytes) + ", but " + human_bytes(left) + " are available (" + limit.what +
              (spoken_for ? ", less what other arrays were promised" : "") + "): use smaller arrays, free memory or raise the limit");
}

void require_file_space(int fd, std::uint64_t bytes, const std::string& what) {
  struct statfs fs {};
  if (fstatfs(fd, &fs) != 0) throw_errno("look at the file system of " + what, errno);
  if (fs.f_type == TMPFS_MAGIC) require_memory(bytes, what + " (in memory: tmpfs)");
  // A file system of 0 blocks counts none.
  const std::uint64_t left = static_cast<std::uint64_t>(fs.f_bavail) * static_cast<std::uint64_t>(fs.f_bsize);
  if (fs.f_blocks && bytes > left)
    throw Error(what + ": needs " + human_bytes(bytes) + ", but " + human_bytes(left) + " are free on its file system");
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 6) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit ? "%.1f %s" : "%.0f %s", value, kUnits[unit]);
  return text;
}

}  // namespace cadre
