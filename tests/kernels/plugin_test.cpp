#include <cadre/kernels/declaration.hpp>
#include <cadre/kernels/loaded_plugin.hpp>

#include "serial_run.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cadre::test {
namespace {

std::string library(const std::string& name) { return CADRE_TEST_PLUGINS "/" + name + ".so"; }

std::string refusal(const std::string& path) {
  try {
    Plugin plugin(path);
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.compare(0, path.size() + 2, path + ": "), 0) << what;
    return what.substr(std::min(what.size(), path.size() + 2));
  }
  return "(accepted)";
}

/** A file that is gone when the test is over. */
class Scratch {
 public:
  Scratch() {
    std::string pattern = std::filesystem::temp_directory_path() / "cadre-plugin-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& content) const {
    std::ofstream(directory_ / "file.so", std::ios::binary) << content;
    return directory_ / "file.so";
  }
  std::filesystem::path directory_;
};

TEST(Plugin, InPlainCRunsThroughTheContract) {
  const Plugin plugin(library("plugin_good"));
  EXPECT_EQ(plugin.kernel_names(), (std::vector<std::string>{"scale", "count_positive"}));
  EXPECT_EQ(plugin.find("sum"), nullptr);
  const std::vector<double> x{1, -2, 3};
  SerialRun scale(plugin.find("scale"));
  scale.in(x).param("factor", 2.5).cut({.seed = 1, .chunks = 2});
  ASSERT_EQ(scale(), CADRE_OK);
  EXPECT_EQ(scale.out<double>("out"), (std::vector<double>{2.5, -5, 7.5}));
  SerialRun count(plugin.find("count_positive"));
  count.in(x).cut({.seed = 1, .chunks = 3});
  ASSERT_EQ(count(), CADRE_OK);
  EXPECT_EQ(count.one<std::int64_t>("count"), 2);
}

TEST(Plugin, OfThePreviousHeaderRuns) {
  const Plugin plugin(library("plugin_previous"));
  ASSERT_LT(plugin.find("scale")->size, sizeof(cadre_kernel));
  const cadre_kernel whole = complete(*plugin.find("scale"));
  EXPECT_EQ(whole.set_up, nullptr);
  EXPECT_EQ(whole.tear_down, nullptr);
  EXPECT_EQ(whole.run, plugin.find("scale")->run);
  SerialRun scale(plugin.find("scale"));
  scale.in(std::vector<double>{1, -2}).param("factor", 2.5);
  ASSERT_EQ(scale(), CADRE_OK);
  EXPECT_EQ(scale.out<double>("out"), (std::vector<double>{2.5, -5}));
}

TEST(Plugin, SaysWhatItRefusesInTheParametersItself) {
  const Plugin plugin(library("plugin_good"));
  SerialRun scale(plugin.find("scale"));
  scale.in(std::vector<double>{1}).param("factor", 0);
  EXPECT_EQ(scale(), CADRE_BAD_DATA);
  EXPECT_EQ(scale.message(), "factor is 0: give another");
}

TEST(Plugin, MovesWithItsLibrary) {
  Plugin a(library("plugin_good"));
  Plugin b(std::move(a));
  a = Plugin(library("plugin_good"));
  EXPECT_NE(a.find("scale"), nullptr);
  EXPECT_NE(b.find("scale"), nullptr);
}

TEST(BrokenPlugin, IsRefusedWithTheReason) {
  EXPECT_NE(refusal(library("plugin_no_symbol")).find("does not export the symbol cadre_plugin"), std::string::npos);
  const std::string abi = refusal(library("plugin_wrong_abi"));
  EXPECT_EQ(abi, "it was built for version 77 of the kernel contract, this program speaks version 1: rebuild it with this program's "
                 "cadre/kernels/kernel.h");
  EXPECT_EQ(refusal(library("plugin_null_library")), "cadre_plugin() returned NULL");
  EXPECT_EQ(refusal(library("plugin_twice")), "two kernels are called copy");
  EXPECT_EQ(refusal(library("plugin_no_run")), "kernel copy: run is NULL");
  EXPECT_EQ(refusal(library("plugin_bad_types")), "kernel copy: input 1 (x): types must be a set of CADRE_F64 ... CADRE_U64");
  EXPECT_EQ(refusal(library("plugin_no_name")), "kernel copy: input 1 has no name");
  EXPECT_EQ(refusal(library("plugin_too_many")), "kernel copy: 99 inputs, at most 8 are possible");
  const std::string undefined = refusal(library("plugin_undefined"));
  EXPECT_EQ(undefined.compare(0, 20, "can not be loaded: /"), 0) << undefined;
  EXPECT_NE(undefined.find("function_that_nobody_defines"), std::string::npos);
}

TEST(BrokenPlugin, ThatIsNoLibraryIsRefusedWithoutLoadingIt) {
  const Scratch scratch;
  EXPECT_EQ(refusal(scratch.directory_ / "missing.so"), "can not be opened: No such file or directory");
  EXPECT_EQ(refusal(scratch.directory_), "not a file");
  EXPECT_EQ(refusal(scratch.file("")), "not a shared library (no ELF header)");
  EXPECT_EQ(refusal(scratch.file("#!/bin/sh\necho a script, not a library\n")), "not a shared library (no ELF header)");
  const std::string fifo = scratch.directory_ / "fifo.so";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(refusal(fifo), "not a file");

  std::ifstream good(library("plugin_good"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(good)), {});
  std::string arm = bytes;
  arm[18] = static_cast<char>(183);  // e_machine: AArch64
  EXPECT_EQ(refusal(scratch.file(arm)), "built for another architecture (ELF class 2, machine 183); x86-64 is needed");
  std::string narrow = bytes;
  narrow[4] = 1;  // ELFCLASS32
  EXPECT_EQ(refusal(scratch.file(narrow)).compare(0, 30, "built for another architecture"), 0);
  std::string object = bytes;
  object[16] = 1;  // ET_REL
  EXPECT_EQ(refusal(scratch.file(object)), "an ELF file, but not a shared library: link it with -shared");
  const std::string cut = refusal(scratch.file(bytes.substr(0, 200)));
  EXPECT_EQ(cut.compare(0, 18, "can not be loaded:"), 0) << cut;
}

TEST(Declarations, OfTheBuiltInKernelsAreSoundAndTheSameOnAllLevels) {
  for (Level level : {Level::v2, Level::v3, Level::v4}) {
    const cadre_library& all = *builtin_kernels(level);
    EXPECT_EQ(declaration_fault(all), "");
    ASSERT_EQ(all.count, kernel_names().size());
    for (std::uint32_t i = 0; i < all.count; ++i) {
      const cadre_kernel& k = *all.kernels[i];
      EXPECT_EQ(k.name, kernel_names()[i]);
      ASSERT_NE(k.accuracy, nullptr) << k.name;
      ASSERT_NE(k.example, nullptr) << k.name;
      std::string call = std::string("cadre run ") + k.name;
      for (std::uint32_t in = 0; in < k.n_inputs; ++in) call += std::string(" --in ") + k.inputs[in].name + ".npy";
      EXPECT_EQ(std::string(k.example).compare(0, call.size(), call), 0) << k.example << " should begin with " << call;
    }
  }
}

}  // namespace
}  // namespace cadre::test
