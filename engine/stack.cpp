#include <cadre/engine/stack.hpp>

#include <cxxabi.h>
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

constexpr int kPatienceMs = 5000;

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

std::string name_frame(const Frame& frame) {
  static char* no_debuginfo = nullptr;
  static const Dwfl_Callbacks callbacks{dwfl_build_id_find_elf, dwfl_standard_find_debuginfo, dwfl_offline_section_address, &no_debuginfo};
  char plain[256];
  std::snprintf(plain, sizeof plain, "%s+0x%llx", base_name(frame.file).c_str(), static_cast<unsigned long long>(frame.offset));
  std::string text = plain;
  Dwfl* dwfl = dwfl_begin(&callbacks);
  if (!dwfl) return text;
  dwfl_report_begin(dwfl);
  if (Dwfl_Module* module = dwfl_report_elf(dwfl, "", frame.file, -1, 0x10000000, true)) {
    dwfl_report_end(dwfl, nullptr, nullptr);
    GElf_Addr bias = 0;
    if (Elf* elf = dwfl_module_getelf(module, &bias)) {
      // The segment that holds this place of the file says at which address it is.
      std::size_t n = 0;
      elf_getphdrnum(elf, &n);
      for (std::size_t i = 0; i < n; ++i) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, static_cast<int>(i), &segment) || segment.p_type != PT_LOAD || frame.offset < segment.p_offset ||
            frame.offset >= segment.p_offset + segment.p_filesz)
          continue;
        const GElf_Addr at = frame.offset - segment.p_offset + segment.p_vaddr + bias;
        const char* symbol = dwfl_module_addrname(module, at);
        if (symbol) text = demangled(symbol) + " (" + base_name(frame.file) + ")";
        int number = 0;
        if (Dwfl_Line* l = dwfl_module_getsrc(module, at))
          if (const char* source = dwfl_lineinfo(l, nullptr, &number, nullptr, nullptr, nullptr))
            text = (symbol ? demangled(symbol) : std::string("?")) + " (" + base_name(source) + ":" + std::to_string(number) + ")";
        break;
      }
    }
  }
  dwfl_end(dwfl);
  return text;
}

struct Naming {
  std::span<const Frame> frames;
  int out;
};

void name_all(void* context) {
  const Naming& naming = *static_cast<Naming*>(context);
  for (const Frame& f : naming.frames) {
    const std::string text = name_frame(f) + "\n";
    if (write(naming.out, text.data(), text.size()) < 0) return;
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
    while (got > 0 && poll(&ready, 1, kPatienceMs) > 0)
      if ((got = read(pipe_ends[0], room, sizeof room)) > 0) text.append(room, static_cast<std::size_t>(got));
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(pipe_ends[0]);
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) names.push_back(text.substr(at, end - at));
  // What abort() and a throw call on their way is not where the fault is.
  std::size_t deep = 0;
  while (deep < names.size() && deep < frames.size() && (is_runtime(frames[deep].file) || names[deep].find("::on_terminate (") != std::string::npos)) ++deep;
  if (deep < names.size()) names.erase(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(deep));
  // Below the kernel's own code there is only ours.
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].starts_with("cadre::ChunkRunner::")) {
      names.resize(i);
      break;
    }
  for (std::size_t i = names.size(); i < frames.size() && names.empty(); ++i)
    names.push_back(base_name(frames[i].file) + "+" + std::to_string(frames[i].offset));
  return names;
}

}  // namespace cadre
