/* cadre kernels: which kernels there are, and what each takes and gives. */
#include <memory>

#include <cadre/engine/probe.hpp>
#include <cadre/kernels/describe.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

#include "commands.hpp"
#include "output.hpp"
#include "plugin_path.hpp"

namespace cadre::cli {
namespace {

struct KernelsArguments {
  std::string name;
  std::vector<std::string> plugins;
};

int show_kernels(KernelsArguments a, const Context& context) {
  // Declarations are the same on every level; those of v2 may be read on any machine.
  std::vector<const cadre_kernel*> kernels;
  const cadre_library* builtin = builtin_kernels(Level::v2);
  for (std::uint32_t i = 0; i < builtin->count; ++i) kernels.push_back(builtin->kernels[i]);
  add_plugins_of_path(a.plugins);
  std::vector<PluginDeclarations> plugins;
  for (const std::string& file : a.plugins) {
    plugins.push_back(probe_plugin(file));
    kernels.insert(kernels.end(), plugins.back().kernels().begin(), plugins.back().kernels().end());
  }
  if (a.name.empty()) {
    write_out(context.json ? list_json(kernels) : list_text(kernels));
    return 0;
  }
  for (const cadre_kernel* kernel : kernels) {
    if (a.name != kernel->name) continue;
    write_out(context.json ? describe_json(*kernel) : describe_text(*kernel));
    return 0;
  }
  std::vector<std::string> names;
  for (const cadre_kernel* kernel : kernels) names.push_back(kernel->name);
  const std::string nearest = nearest_name(a.name, names);
  throw Error("unknown kernel " + a.name + (nearest.empty() ? "; cadre kernels lists what there is" : "; did you mean " + nearest + "?"));
}

}  // namespace

Command add_kernels(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("kernels", "List the kernels, or tell what one takes and gives");
  app->allow_extras();
  auto a = std::make_shared<KernelsArguments>();
  app->add_option("NAME", a->name, "A kernel")->type_name("");
  app->add_option("--plugin", a->plugins, "add the kernels of a plug-in; repeatable")->type_name("FILE.so")->allow_extra_args(false)->expected(1)->multi_option_policy(
      CLI::MultiOptionPolicy::TakeAll);
  app->add_flag("--json", context.json, "one JSON object on stdout, nothing else there");
  return {app, [a, &context] { return show_kernels(*a, context); }};
}

}  // namespace cadre::cli
