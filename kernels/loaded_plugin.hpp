#pragma once
/* A plug-in: a shared library that exports `const cadre_library* cadre_plugin(void)`.

   Loading runs the library's initialisers, which may crash or never end: do it in a process that may die, unless a probe of that file has
   passed. Refusals are std::runtime_error: "PATH: reason". */
#include <string>
#include <string_view>
#include <vector>

#include <cadre/kernels/kernel.h>

namespace cadre {

class Plugin {
 public:
  /** Loads the file, with its symbols kept to itself. Throws when it can not be opened, is not a shared library for this
      machine, lacks the symbol, was built for another version of the contract, or declares nonsense (see declaration.hpp). */
  explicit Plugin(const std::string& path);
  Plugin(Plugin&& other) noexcept;
  Plugin& operator=(Plugin&& other) noexcept;
  /** Unloads it. No kernel of it may be used afterwards. */
  ~Plugin();

  const std::string& path() const { return path_; }
  /** Checked, and valid as long as this object is. */
  const cadre_library& library() const { return *library_; }
  /** The kernel of that name, or nullptr. */
  const cadre_kernel* find(std::string_view name) const;
  std::vector<std::string> kernel_names() const;

 private:
  std::string path_;
  void* handle_ = nullptr;
  const cadre_library* library_ = nullptr;
};

}  // namespace cadre
