#pragma once
/* The kernels that an engine knows: the built-in ones in the code of one level, and those of its plug-ins. */
#include <memory>
#include <string>
#include <vector>

#include <cadre/engine/options.hpp>
#include <cadre/engine/probe.hpp>
#include <cadre/kernels/kernel.h>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/dtype.hpp>

namespace cadre {

/** A kernel by its declaration. Functions of the declaration are null for a plug-in, which this process has not loaded. */
struct KernelRef {
  const cadre_kernel* kernel = nullptr;
  int plugin = -1;                // index of Options::plugins; -1: built in
  std::uint32_t index = 0;        // in the plug-in's library
};

class KernelTable {
 public:
  /** Probes the plug-ins. Throws Error when the CPU lacks the level, a plug-in is refused, or two kernels have one name. */
  explicit KernelTable(const Options& options);

  Isa isa() const noexcept { return isa_; }
  /** Throws Error with the nearest name; `where` stands in front. */
  KernelRef find(const std::string& name, const std::string& where = "") const;
  /** Fills in what a pass will read and write: the kernel's plan(), run in a probe for a plug-in. Throws Error with the kernel's message. */
  void plan(const KernelRef& ref, cadre_plan& plan, const std::string& where = "") const;

 private:
  int plan_in_probe(const KernelRef& ref, cadre_plan& plan) const;

  Isa isa_;
  Level level_;
  bool sandbox_;
  std::vector<PluginDeclarations> plugins_;
  // Plans that plug-ins told, the latest last: a function of what it was given, and dear, as it takes a process.
  struct Planned {
    KernelRef ref;
    cadre_plan given, told;
  };
  mutable std::vector<Planned> planned_;
};

/** The level that `isa` means on this CPU. Throws Error when the CPU lacks it. */
Isa resolve_isa(Isa isa);

cadre_dtype to_cadre(DType type) noexcept;
DType to_dtype(cadre_dtype type) noexcept;

}  // namespace cadre
