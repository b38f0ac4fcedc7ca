#include <cadre/kernels/loaded_plugin.hpp>

#include <cadre/kernels/declaration.hpp>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace cadre {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& reason) { throw std::runtime_error(path + ": " + reason); }

/** Looks at the ELF header before the loader does: dlopen says "cannot open shared object file" for a wrong machine, and would
    wait for ever on a FIFO. */
void check_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) refuse(path, std::string("can not be opened: ") + std::strerror(errno));
  struct stat status;
  Elf64_Ehdr header{};
  const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t got = regular ? pread(fd, &header, sizeof header, 0) : -1;
  close(fd);
  if (!regular) refuse(path, "not a file");
  if (got < static_cast<ssize_t>(EI_NIDENT) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    refuse(path, "not a shared library (no ELF header)");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || got < static_cast<ssize_t>(sizeof header) ||
      header.e_machine != EM_X86_64)
    refuse(path, "built for another architecture (ELF class " + std::to_string(header.e_ident[EI_CLASS]) + ", machine " +
                     std::to_string(header.e_machine) + "); x86-64 is needed");
  if (header.e_type != ET_DYN) refuse(path, "an ELF file, but not a shared library: link it with -shared");
}

}  // namespace

Plugin::Plugin(const std::string& path) : path_(path) {
  check_file(path);
  // A name without a slash would be looked for in the library path.
  const std::string name = path.find('/') == std::string::npos ? "./" + path : path;
  handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) {
    const char* why = dlerror();
    refuse(path, std::string("can not be loaded: ") + (why ? why : "no reason given"));
  }
  try {
    using Entry = const cadre_library* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(handle_, CADRE_PLUGIN_SYMBOL));
    if (!entry)
      refuse(path, "does not export the symbol " CADRE_PLUGIN_SYMBOL "; define CADRE_EXPORT const cadre_library* " CADRE_PLUGIN_SYMBOL
                   "(void), in C or extern \"C\"");
    library_ = entry();
    if (!library_) refuse(path, CADRE_PLUGIN_SYMBOL "() returned NULL");
    if (const std::string fault = declaration_fault(*library_); !fault.empty()) refuse(path, fault);
  } catch (...) {
    dlclose(handle_);
    throw;
  }
}

Plugin::Plugin(Plugin&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, nullptr)), library_(std::exchange(other.library_, nullptr)) {}

Plugin& Plugin::operator=(Plugin&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(handle_, other.handle_);
  std::swap(library_, other.library_);
  return *this;
}

Plugin::~Plugin() {
  if (handle_) dlclose(handle_);
}

const cadre_kernel* Plugin::find(std::string_view name) const {
  for (std::uint32_t i = 0; i < library_->count; ++i)
    if (name == library_->kernels[i]->name) return library_->kernels[i];
  return nullptr;
}

std::vector<std::string> Plugin::kernel_names() const {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < library_->count; ++i) names.emplace_back(library_->kernels[i]->name);
  return names;
}

}  // namespace cadre
