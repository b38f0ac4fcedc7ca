#pragma once
/* The probe: a short-lived process that loads a plug-in first, so that one which crashes or never ends while being loaded costs an error
   message and not the caller. */
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <cadre/kernels/kernel.h>

namespace cadre {

/** What a plug-in declares, copied out of its probe: functions are null. */
class PluginDeclarations {
 public:
  const std::string& path() const noexcept { return path_; }
  const std::vector<const cadre_kernel*>& kernels() const noexcept { return kernels_; }

 private:
  friend PluginDeclarations probe_plugin(const std::string& path, bool sandbox);
  struct Copies;
  std::string path_;
  std::shared_ptr<const Copies> copies_;
  std::vector<const cadre_kernel*> kernels_;
};

/** Throws Error "PATH: reason": not a library, missing symbol, wrong version, crash or hang (10 s) while being loaded; what the sandbox forbids,
    if it is asked for. */
PluginDeclarations probe_plugin(const std::string& path, bool sandbox = false);

/** Runs the plan() of kernel `index` in a probe; `plan.previous`, if any, lies in shared memory. Returns plan()'s outcome. Throws Error when the
    probe dies or hangs. */
int probe_plan(const std::string& path, std::uint32_t index, cadre_plan& plan, bool sandbox = false);

}  // namespace cadre
