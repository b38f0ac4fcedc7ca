#include <cadre/engine/kernel_table.hpp>

#include <cstring>

#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

Level level_of_isa(Isa isa) { return isa == Isa::v2 ? Level::v2 : isa == Isa::v3 ? Level::v3 : Level::v4; }

std::string prefix(const std::string& where) { return where.empty() ? "" : where + ": "; }

}  // namespace

Isa resolve_isa(Isa isa) {
  if (isa == Isa::automatic) {
    const Level best = best_level();
    return best == Level::v2 ? Isa::v2 : best == Level::v3 ? Isa::v3 : Isa::v4;
  }
  if (!has_level(level_of_isa(isa)))
    throw Error(std::string("--isa ") + name_of(isa) + ": this CPU lacks x86-64-" + name_of(isa) + "; its highest level is x86-64-" + name_of(best_level()));
  return isa;
}

KernelTable::KernelTable(const Options& options) : isa_(resolve_isa(options.isa)), level_(level_of_isa(isa_)), sandbox_(options.sandbox) {
  for (const std::string& file : options.plugins) {
    plugins_.push_back(probe_plugin(file, sandbox_));
    for (const cadre_kernel* k : plugins_.back().kernels()) {
      if (find_kernel(k->name, level_)) throw Error(file + ": its kernel " + k->name + " has the name of a built-in one");
      for (std::size_t before = 0; before + 1 < plugins_.size(); ++before)
        for (const cadre_kernel* other : plugins_[before].kernels())
          if (std::strcmp(other->name, k->name) == 0) throw Error(file + ": its kernel " + k->name + " is also in " + plugins_[before].path());
    }
  }
}

KernelRef KernelTable::find(const std::string& name, const std::string& where) const {
  if (const cadre_kernel* k = find_kernel(name, level_)) return {k, -1, 0};
  std::vector<std::string> names = kernel_names();
  for (std::size_t p = 0; p < plugins_.size(); ++p) {
    const auto& kernels = plugins_[p].kernels();
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      if (name == kernels[i]->name) return {kernels[i], static_cast<int>(p), static_cast<std::uint32_t>(i)};
      names.push_back(kernels[i]->name);
    }
  }
  const std::string near = nearest_name(name, names);
  throw Error(prefix(where) + "unknown kernel " + name + (near.empty() ? "; cadre kernels lists them" : "; did you mean " + near + "?"));
}

void KernelTable::plan(const KernelRef& ref, cadre_plan& plan, const std::string& where) const {
  plan.size = sizeof plan;
  const int outcome = ref.plugin < 0 ? ref.kernel->plan(&plan) : plan_in_probe(ref, plan);
  plan.message[sizeof plan.message - 1] = 0;
  if (outcome != CADRE_OK) throw Error(prefix(where) + ref.kernel->name + ": " + (plan.message[0] ? plan.message : "the kernel refuses these inputs without a message"));
}

int KernelTable::plan_in_probe(const KernelRef& ref, cadre_plan& plan) const {
  constexpr std::size_t kKept = 16;
  const cadre_plan given = plan;
  const bool keeps = given.previous == nullptr;  // what lies behind `previous` is an input too
  for (const Planned& p : planned_)
    if (keeps && p.ref.plugin == ref.plugin && p.ref.index == ref.index && std::memcmp(&p.given, &given, sizeof given) == 0) {
      plan = p.told;
      return CADRE_OK;
    }
  const int outcome = probe_plan(plugins_[static_cast<std::size_t>(ref.plugin)].path(), ref.index, plan, sandbox_);
  if (keeps && outcome == CADRE_OK) {
    if (planned_.size() == kKept) planned_.erase(planned_.begin());
    planned_.push_back({ref, given, plan});
  }
  return outcome;
}

cadre_dtype to_cadre(DType type) noexcept {
  const int t = static_cast<int>(type);
  const std::uint8_t code = t < 2 ? CADRE_FLOAT : t < 6 ? CADRE_INT : CADRE_UINT;
  return {code, static_cast<std::uint8_t>(size_of(type) * 8), 1};
}

DType to_dtype(cadre_dtype type) noexcept {
  if (type.code == CADRE_FLOAT) return type.bits == 64 ? DType::f64 : DType::f32;
  const int log2 = type.bits == 8 ? 0 : type.bits == 16 ? 1 : type.bits == 32 ? 2 : 3;
  return static_cast<DType>((type.code == CADRE_INT ? 2 : 6) + log2);
}

}  // namespace cadre
