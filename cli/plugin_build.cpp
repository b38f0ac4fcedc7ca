#include "plugin_build.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <cadre/shm/error.hpp>

#include "build_cache.hpp"
#include "tool.hpp"

namespace cadre::cli {
namespace {

namespace fs = std::filesystem;

enum class Language { cpp, c, fortran };

Language language_of(const std::string& source) {
  const std::string end = fs::path(source).extension();
  if (end == ".cpp" || end == ".cc" || end == ".cxx") return Language::cpp;
  if (end == ".c") return Language::c;
  if (end == ".f90" || end == ".f95" || end == ".f03" || end == ".f08" || end == ".f") return Language::fortran;
  throw Error(source + ": not a source that can be built: .cpp, .cc, .cxx (C++), .c (C) or .f90, .f95, .f03, .f08, .f (Fortran)");
}

/** A compiler or a tool, as its variable or else its usual name tells. */
std::string tool(const char* variable, const char* usual, const char* package) {
  const char* wanted = variable ? std::getenv(variable) : nullptr;
  const std::string name = wanted && *wanted ? wanted : usual;
  const std::string found = find_tool(name);
  if (found.empty()) throw Error(name + " is not there; it is needed to build plug-ins (Debian: apt-get install " + package + ")", Error::Kind::failed);
  return found;
}
std::string compiler(Language language) {
  switch (language) {
    case Language::cpp: return tool("CXX", "c++", "g++");
    case Language::c: return tool("CC", "cc", "gcc");
    default: return tool("FC", "gfortran", "gfortran");
  }
}

/** Where this program's headers and library for plug-ins lie: beside it, in an install as in a build tree. */
struct Home {
  std::string include, archive;

  Home() {
    std::error_code error;
    const fs::path top = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
    include = top / "include";
    for (const char* lib : {CADRE_LIBDIR, "lib"})
      if (fs::exists(top / lib / "libcadre_plugin.a", error)) archive = top / lib / "libcadre_plugin.a";
    if (!fs::exists(top / "include/cadre/kernels/kernel.h", error) || archive.empty())
      throw Error("the headers and the library for plug-ins are not beside this program: " + (top / "include/cadre").string() + ", " + (top / CADRE_LIBDIR / "libcadre_plugin.a").string() +
                  "; install all of Cadre (cmake --install)", Error::Kind::failed);
  }
};

/** Optimised, for any place in memory; what is rounded, and how often, is as written and the same on every level. */
CommandLine compile_command(const BuildRequest& request, const Home& home, const std::string& source, const std::string& level, const std::string& object, bool first) {
  const Language language = language_of(source);
  CommandLine c{compiler(language)};
  const auto add = [&](std::initializer_list<const char*> flags) { c.insert(c.end(), flags.begin(), flags.end()); };
  const bool gnu = fs::path(c[0]).filename().string().find("clang") == std::string::npos;
  add({"-O3", "-g1", "-fPIC", "-fno-trapping-math", "-ffp-contract=off", "-fno-semantic-interposition"});
  if (gnu) add({"-fno-tree-sink"});
  c.push_back("-march=x86-64-" + level);
  if (level == "v4") add({"-mprefer-vector-width=512"});
  c.push_back(first ? "-Wall" : "-w");
  if (language == Language::cpp) add({"-std=c++20", "-fvisibility=hidden", "-fvisibility-inlines-hidden"});
  if (language == Language::cpp && gnu) add({"-fno-gnu-unique", "-ftrack-macro-expansion=0", "-fmax-errors=10"});
  if (!gnu) add({"-gdwarf-aranges", "-ferror-limit=10", "-Wno-unknown-pragmas"});  // lines of a crash are found by their addresses
  if (language == Language::c) add({"-std=gnu11", "-fvisibility=hidden"});
  if (language == Language::fortran) {
    c.insert(c.end(), {"-J" + fs::path(object).parent_path().string(), "-I" + home.include, "-ffree-line-length-none"});
  } else {
    add({"-fno-math-errno", "-I"});
    c.push_back(home.include);
    if (first) c.insert(c.end(), {"-MD", "-MF", object + ".d"});
  }
  c.insert(c.end(), request.flags.begin(), request.flags.end());
  c.insert(c.end(), {"-c", source, "-o", object});
  return c;
}

/** "x.o: a.cpp b.h \" as the compiler writes it. */
std::vector<std::string> files_in_rule(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<std::string> files;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && word.back() != ':') files.push_back(word);
    word.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (text[i] == '\\' && next == ' ')
      word += ' ', ++i;
    else if (text[i] == '\\' && next == '\n')
      end_word(), ++i;
    else if (text[i] == ' ' || text[i] == '\n')
      end_word();
    else
      word += text[i];
  }
  end_word();
  return files;
}

/** What the library depends on besides the contents of its files. */
std::string key_of(const BuildRequest& request, const Home& home) {
  std::string all = "cadre build 1\n";
  const auto identity = [&](const std::string& file) {
    struct stat s {};
    stat(file.c_str(), &s);
    all += file + " " + std::to_string(s.st_size) + " " + std::to_string(s.st_mtim.tv_sec) + "." + std::to_string(s.st_mtim.tv_nsec) + "\n";
  };
  std::set<Language> languages;
  for (const std::string& source : request.sources) {
    languages.insert(language_of(source));
    all += fs::absolute(source).lexically_normal().string() + "\n";
  }
  if (!request.text.empty()) languages.insert(Language::cpp);
  all += content_hash(request.text) + "\n";
  for (const Language language : languages) identity(compiler(language));
  identity(home.archive);
  all += home.include + "\n";
  for (const auto* list : {&request.flags, &request.levels})
    for (const std::string& one : *list) all += one + "\n";
  return content_hash(all);
}

[[noreturn]] void fail(const std::string& doing, const ToolResult& result) {
  std::string words = result.output;
  while (!words.empty() && words.back() == '\n') words.pop_back();
  if (words.find("cadre_plugin_v") != std::string::npos && words.find("undefined reference") != std::string::npos)
    words += "\nThe sources define no cadre_plugin(): in C++ include <cadre/kernels/plugin.hpp> and use CADRE_MAP or CADRE_KERNEL; in C see docs/adding-a-kernel.md";
  throw Error(doing + (words.empty() ? " failed with exit code " + std::to_string(result.exit) : " failed\n" + words), Error::Kind::failed);
}

void run_stage(const std::string& doing, const std::vector<CommandLine>& commands, const std::string& folder, std::string* words = nullptr) {
  for (const ToolResult& result : run_tools(commands, folder)) {
    if (result.exit != 0) fail(doing, result);
    if (words) *words += result.output;
  }
}

}  // namespace

Build build_plugin(const BuildRequest& given) {
  BuildRequest request = given;
  const auto begin = std::chrono::steady_clock::now();
  Build build;
  for (const std::string& source : request.sources) {
    language_of(source);
    struct stat s;
    if (stat(source.c_str(), &s) != 0) throw_errno("open " + source, errno);
    if (!S_ISREG(s.st_mode)) throw Error(source + ": not a file");
  }
  const Home home;
  const BuildCache cache;
  const std::string key = key_of(request, home);  // of a text, not of the file that it goes into
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  if (build.library = cache.find(key); !build.library.empty()) {
    build.cached = true;
    build.seconds = seconds();
    return build;
  }

  const std::string& folder = build.folder_.emplace("build").path();
  if (!request.text.empty()) {
    request.sources = {folder + "/text.cpp"};
    if (!(std::ofstream(request.sources[0]) << request.text).flush()) throw_errno("write " + request.sources[0], errno, Error::Kind::failed);
  }
  const std::string names = request.sources.size() == 1 ? request.sources[0] : std::to_string(request.sources.size()) + " sources";
  // Fortran modules are files of one name on every level.
  for (const std::string& level : request.levels) fs::create_directory(folder + "/" + level);
  std::vector<CommandLine> compile, join, localise;
  std::vector<std::string> rules, dependencies = request.sources;
  CommandLine link;
  Language linked = Language::c;
  for (const std::string& source : request.sources)
    if (const Language l = language_of(source); l == Language::cpp || (l == Language::fortran && linked == Language::c)) linked = l;
  link = {compiler(linked), "-shared", "-o", folder + "/plugin.so"};
  const std::string linker = tool(nullptr, "ld", "binutils"), objcopy = tool(nullptr, "objcopy", "binutils");
  for (const std::string& level : request.levels) {
    const bool first = level == request.levels.front();
    CommandLine joined{linker, "-r", "--force-group-allocation", "-o", folder + "/" + level + ".all"};
    for (std::size_t i = 0; i < request.sources.size(); ++i) {
      const std::string object = folder + "/" + level + "/" + std::to_string(i) + ".o";
      compile.push_back(compile_command(request, home, request.sources[i], level, object, first));
      if (first) rules.push_back(object + ".d");
      joined.push_back(object);
    }
    join.push_back(joined);
    localise.push_back({objcopy, "--redefine-sym", "cadre_plugin=cadre_plugin_" + level, "--keep-global-symbol=cadre_plugin_" + level, "--rename-section", ".init_array=cadre_init_" + level,
                        folder + "/" + level + ".all", folder + "/" + level + ".o"});
    link.push_back(folder + "/" + level + ".o");
  }
  // A level that was not asked for is the highest that was below it.
  const char* all[] = {"v2", "v3", "v4"};
  for (std::size_t i = 0; i < 3; ++i)
    if (std::find(request.levels.begin(), request.levels.end(), all[i]) == request.levels.end())
      link.push_back(std::string("-Wl,--defsym=cadre_plugin_") + all[i] + "=cadre_plugin_" + request.levels.back());
  link.insert(link.end(), {"-Wl,-z,defs", "-Wl,-u,cadre_plugin", home.archive, "-Wl,--as-needed", "-lsleef"});
  link.insert(link.end(), request.flags.begin(), request.flags.end());
  if (linked == Language::cpp && std::any_of(request.sources.begin(), request.sources.end(), [](const std::string& s) { return language_of(s) == Language::fortran; }))
    link.push_back("-lgfortran");
  link.push_back("-lm");

  run_stage("compiling " + names, compile, folder, &build.warnings);
  run_stage("joining the objects of " + names, join, folder);
  run_stage("joining the objects of " + names, localise, folder);
  run_stage("linking " + names, {link}, folder);

  for (const std::string& rule : rules)
    for (const std::string& file : files_in_rule(rule))
      if (std::find(dependencies.begin(), dependencies.end(), file) == dependencies.end()) dependencies.push_back(file);
  std::erase_if(dependencies, [&](const std::string& file) { return file.starts_with(folder); });
  for (std::string& file : dependencies) file = fs::absolute(file);
  build.library = folder + "/plugin.so";
  if (const std::string kept = cache.keep(key, build.library, dependencies); !kept.empty()) build.library = kept;
  build.seconds = seconds();
  return build;
}

}  // namespace cadre::cli
