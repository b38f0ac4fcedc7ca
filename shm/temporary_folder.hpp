#pragma once
#include <string>
#include <string_view>
#include <utility>

namespace cadre {

/** Where temporary files belong: $TMPDIR, or /tmp. */
std::string temporary_parent();

/** A folder of its own in temporary_parent() that goes with its object, and all that is in it. */
class TemporaryFolder {
 public:
  /** cadre-PURPOSE-XXXXXX. Throws Error (failed): none can be made there. */
  explicit TemporaryFolder(std::string_view purpose);
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();

  const std::string& path() const noexcept { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace cadre
