/* cadre new: a folder to begin a kernel in. */
#include <cerrno>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <memory>

#include <cadre/shm/error.hpp>

#include "commands.hpp"
#include "output.hpp"

namespace cadre::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSource = R"(// A kernel for Cadre. Build it, examine it, run it:
//
//   cadre build @.cpp
//   cadre check @.so
//   cadre run @ --plugin ./@.so --in x.npy --out y.npy
//
// Arguments without a default are inputs, those with one are parameters: --param slope=2. For folds, scatters and more see plugin.hpp.
#include <cadre/kernels/plugin.hpp>

CADRE_MAP(@, (double x, double slope = 1.0), 1.0 / (1.0 + cadre::exp(-slope * x)), "Logistic curve.")
)";

constexpr const char* kCMake = R"(cmake_minimum_required(VERSION 3.25)
project(@ LANGUAGES CXX)
find_package(cadre REQUIRED)
cadre_add_kernel(@ @.cpp)

enable_testing()
add_test(NAME @_check COMMAND cadre::program check $<TARGET_PROPERTY:@,CADRE_PLUGIN>)
add_test(NAME @_values COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/test.py $<TARGET_FILE:cadre::program> $<TARGET_PROPERTY:@,CADRE_PLUGIN>)
)";

constexpr const char* kTest = R"(#!/usr/bin/env python3
"""Runs the kernel on some numbers and compares with what it should give. Needs Python alone.

    ./test.py [PROGRAM [PLUGIN]]      by default cadre, and the plug-in is built first"""
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def expected(x, slope):
    return 1 / (1 + math.exp(-slope * x))


def save(path, values):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(values)},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(values)}d", *values))


def load(path):
    data = path.read_bytes()
    begin = 10 + struct.unpack("<H", data[8:10])[0]
    return struct.unpack(f"<{(len(data) - begin) // 8}d", data[begin:])


cadre = sys.argv[1] if len(sys.argv) > 1 else "cadre"
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    plugin = sys.argv[2] if len(sys.argv) > 2 else folder / "@.so"
    if len(sys.argv) <= 2:
        subprocess.run([cadre, "build", HERE / "@.cpp", "-o", plugin], check=True)
    x = [i / 100 - 50 for i in range(10_001)]
    save(folder / "x.npy", x)
    subprocess.run([cadre, "run", "@", "--plugin", plugin, "--in", folder / "x.npy", "--param", "slope=0.5", "--out", folder / "y.npy", "--quiet"], check=True)
    for xi, yi in zip(x, load(folder / "y.npy"), strict=True):
        if not math.isclose(yi, expected(xi, 0.5), rel_tol=1e-14):
            sys.exit(f"@({xi}) is {yi}, not {expected(xi, 0.5)}")
print("@ is right")
)";

std::string filled(const std::string& pattern, const std::string& name) {
  std::string text;
  for (char c : pattern) c == '@' ? text += name : text += c;
  return text;
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path);
  if (!(file << text).flush()) throw_errno("write " + path.string(), errno, Error::Kind::failed);
}

int make_folder(const std::string& name) {
  bool good = !name.empty() && name.size() <= 64 && (std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_');
  for (char c : name) good = good && (std::isalnum(static_cast<unsigned char>(c)) || c == '_');
  if (!good) throw Error("cadre new " + name + ": a kernel's name is a letter or _, then up to 63 letters, digits or _");
  std::error_code error;
  if (fs::exists(name, error)) throw Error(name + " is there already; give another name, or remove it");
  if (!fs::create_directory(name, error)) throw Error("make the folder " + name + ": " + error.message(), Error::Kind::failed);
  const fs::path folder = name;
  write_file(folder / (name + ".cpp"), filled(kSource, name));
  write_file(folder / "CMakeLists.txt", filled(kCMake, name));
  write_file(folder / "test.py", filled(kTest, name));
  fs::permissions(folder / "test.py", fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
  write_out(name + "/" + name + ".cpp, CMakeLists.txt and test.py are written. Next:\n  cd " + name + "\n  cadre build " + name + ".cpp\n  cadre check " + name + ".so\n");
  return 0;
}

}  // namespace

Command add_new(CLI::App& program, Context&) {
  CLI::App* app = program.add_subcommand("new", "Write a folder to begin a kernel in");
  app->allow_extras();
  auto name = std::make_shared<std::string>();
  app->add_option("NAME", *name, "The kernel's name")->type_name("");
  return {app, [name] { return make_folder(*name); }};
}

}  // namespace cadre::cli
