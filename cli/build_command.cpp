/* cadre build: a plug-in from source. */
#include <filesystem>
#include <memory>

#include <cadre/engine/probe.hpp>
#include <cadre/shm/error.hpp>

#include "build_cache.hpp"
#include "commands.hpp"
#include "output.hpp"
#include "plugin_build.hpp"

#include <nlohmann/json.hpp>

namespace cadre::cli {
namespace {

namespace fs = std::filesystem;

struct BuildArguments {
  std::vector<std::string> sources, flags;
  std::string output;
};

int build(const BuildArguments& a, const Context& context) {
  if (a.sources.empty()) throw Error("build what? cadre build FILE.cpp; cadre new NAME writes one to begin with");
  const std::string output = a.output.empty() ? fs::path(a.sources[0]).stem().string() + ".so" : a.output;
  if (std::error_code error; fs::is_directory(output, error)) throw Error(output + " is a folder; name the library with -o FILE.so");
  const Build build = build_plugin({.sources = a.sources, .flags = a.flags});
  if (!build.warnings.empty()) complain("the compiler warns\n" + build.warnings.substr(0, build.warnings.find_last_not_of('\n') + 1));
  std::vector<std::string> names;
  if (!build.cached) {
    // What can not be loaded is no result.
    const PluginDeclarations declared = probe_plugin(build.library);
    for (const cadre_kernel* k : declared.kernels()) names.push_back(k->name);
  }
  replace_file(build.library, output);
  if (context.json) {
    write_out(nlohmann::json{{"plugin", output}, {"cached", build.cached}, {"seconds", build.seconds}, {"levels", {"v2", "v3", "v4"}}}.dump() + "\n");
    return 0;
  }
  std::string text = output + (build.cached ? ": built before, nothing has changed\n" : ": built for x86-64-v2, v3 and v4 in " + shortest(static_cast<double>(static_cast<int>(build.seconds * 100 + 0.5)) / 100) + " s;");
  for (const std::string& name : names) text += (&name == &names.front() ? " kernels: " : ", ") + name;
  write_out(build.cached ? text : text + "\n");
  return 0;
}

}  // namespace

Command add_build(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("build", "Build a plug-in from C++, C or Fortran");
  app->allow_extras();
  app->footer(
      "examples\n"
      "  cadre build my_kernel.cpp\n"
      "  cadre build bessel.c -- -lgsl -lgslcblas\n\n"
      "What follows -- goes to the compiler and the linker. CXX, CC and FC name other compilers than c++, cc and gfortran. What has been built is kept in\n"
      "$CADRE_CACHE_DIR (default: ~/.cache/cadre) and found again by the contents of all files that it was built from.");
  auto a = std::make_shared<BuildArguments>();
  app->add_option("FILE", a->sources, "sources: .cpp, .c, .f90")->type_name("");
  app->add_option("-o,--output", a->output, "the library (default: the first source's name with .so, in this folder)")->type_name("FILE.so");
  app->add_flag("--json", context.json, "one JSON object on stdout, nothing else there");
  return {app, [a, &context] { return build(*a, context); }, [a](std::vector<std::string> flags) { a->flags = std::move(flags); }};
}

}  // namespace cadre::cli
