#include <cadre/engine/stack.hpp>

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <cadre/pool/fork.hpp>

namespace cadre {

namespace {

constexpr int kStackMs = 5000;

std::string base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

bool is_runtime(const char* path) {
  const std::string name = base_name(path);
  return name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("libstdc++.so") || name.starts_with("libgcc_s.so") || name.starts_with("libpthread");
}

std::string demangled(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string s = status == 0 && text ? text : name;
  std::free(text);
  // The name without its arguments says where, and fits on a line.
  int depth = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '<') ++depth;
    if (s[i] == '>') --depth;
    if (s[i] == '(' && depth == 0 && i > 0 && s.compare(i, 21, "(anonymous namespace)") != 0) return s.substr(0, i);
  }
  return s;
}

std::string place(const std::string& function, const char* source, int line) { return function + " (" + base_name(source) + ":" + std::to_string(line) + ")"; }

// The functions that were inlined at the place come first, each with the line of its own that leads to the one before.
std::vector<std::string> name_place(Dwfl_Module* module, GElf_Addr at, const char* file) {
  std::vector<std::string> names;
  const char* symbol = dwfl_module_addrname(module, at);
  const std::string function = symbol ? demangled(symbol) : "?";
  int number = 0;
  Dwfl_Line* line = dwfl_module_getsrc(module, at);
  const char* source = line ? dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr) : nullptr;
  if (!source) return symbol ? std::vector{function + " (" + base_name(file) + ")"} : names;
  GElf_Addr bias = 0;
  Dwarf_Die* const unit = dwfl_module_addrdie(module, at, &bias);
  Dwarf_Die* scopes = nullptr;
  const int n = unit ? dwarf_getscopes(unit, at - bias, &scopes) : 0;
  Dwarf_Files* files = nullptr;
  if (unit) dwarf_getsrcfiles(unit, &files, nullptr);
  for (int i = 0; i < n && source; ++i) {
    if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine) continue;
    const char* name = dwarf_diename(&scopes[i]);
    names.push_back(place(name ? name : "?", source, number));
    Dwarf_Attribute attribute;
    Dwarf_Word called_in = 0, called_at = 0;
    dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attribute), &called_in);
    dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attribute), &called_at);
    source = files ? dwarf_filesrc(files, called_in, nullptr, nullptr) : nullptr;
    number = static_cast<int>(called_at);
  }
  std::free(scopes);
  names.push_back(source ? place(function, source, number) : function + " (" + base_name(file) + ")");
  return names;
}

std::vector<std::string> name_frame(const Frame& frame) {
  static char* no_debuginfo = nullptr;
  static const Dwfl_Callbacks callbacks{dwfl_build_id_find_elf, dwfl_standard_find_debuginfo, dwfl_offline_section_address, &no_debuginfo};
  std::vector<std::string> names;
  if (Dwfl* dwfl = dwfl_begin(&callbacks)) {
    dwfl_report_begin(dwfl);
    GElf_Addr bias = 0;
    std::size_t n = 0;
    Dwfl_Module* module = dwfl_report_elf(dwfl, "", frame.file, -1, 0x10000000, true);
    dwfl_report_end(dwfl, nullptr, nullptr);
    Elf* elf = module ? dwfl_module_getelf(module, &bias) : nullptr;
    if (elf) elf_getphdrnum(elf, &n);
    for (std::size_t i = 0; i < n && names.empty(); ++i) {
      // The segment that holds this place of the file says at which address it is.
      GElf_Phdr segment;
      if (gelf_getphdr(elf, static_cast<int>(i), &segment) && segment.p_type == PT_LOAD && frame.offset >= segment.p_offset && frame.offset < segment.p_offset + segment.p_filesz)
        names = name_place(module, frame.offset - segment.p_offset + segment.p_vaddr + bias, frame.file);
    }
    dwfl_end(dwfl);
  }
  if (names.empty()) {
    char plain[256];
    std::snprintf(plain, sizeof plain, "%s+0x%llx", base_name(frame.file).c_str(), static_cast<unsigned long long>(frame.offset));
    names.emplace_back(plain);
  }
  return names;
}

struct Naming {
  std::span<const Frame> frames;
  int out;
};

void name_all(void* context) {
  const Naming& naming = *static_cast<Naming*>(context);
  bool in_runtime = true;  // what abort() and a throw call on their way is not where the fault is
  for (const Frame& f : naming.frames)
    for (const std::string& name : name_frame(f)) {
      in_runtime = in_runtime && (is_runtime(f.file) || name.find("on_terminate (") != std::string::npos);
      const std::string text = name + "\n";
      if (!in_runtime && write(naming.out, text.data(), text.size()) < 0) return;
    }
}

}  // namespace

std::vector<std::string> name_frames(std::span<const Frame> frames) {
  std::vector<std::string> names;
  int pipe_ends[2];
  if (frames.empty() || pipe2(pipe_ends, O_CLOEXEC) != 0) return names;
  Naming naming{frames, pipe_ends[1]};
  const pid_t pid = fork_child(name_all, &naming, Orphan::killed);
  close(pipe_ends[1]);
  std::string text;
  if (pid > 0) {
    pollfd ready{pipe_ends[0], POLLIN, 0};
    char room[4096];
    ssize_t got = 1;
    while (got > 0 && poll(&ready, 1, kStackMs) > 0)
      if ((got = read(pipe_ends[0], room, sizeof room)) > 0) text.append(room, static_cast<std::size_t>(got));
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(pipe_ends[0]);
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) names.push_back(text.substr(at, end - at));
  // Below the kernel's own code there is only ours.
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].find("(chunk_runner.cpp:") != std::string::npos) {
      names.resize(i);
      break;
    }
  return names;
}

}  // namespace cadre
