#include <cadre/engine/lambda_check.hpp>

#include <link.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

struct Range {
  std::uintptr_t begin, end;
  bool holds(std::uintptr_t p) const { return begin <= p && p < end; }
};

std::vector<Range> loaded_code() {
  std::vector<Range> code;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X))
            static_cast<std::vector<Range>*>(out)->push_back({info->dlpi_addr + segment.p_vaddr, info->dlpi_addr + segment.p_vaddr + segment.p_memsz});
        }
        return 0;
      },
      &code);
  return code;
}

// Private writable memory: what a forked worker has a stale copy of.
bool is_private_writable(std::uintptr_t p) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return false;
  char line[512];
  bool found = false;
  while (!found && std::fgets(line, sizeof line, maps)) {
    unsigned long begin = 0, end = 0;
    char rights[5] = "";
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, rights) == 3) found = begin <= p && p < end && rights[1] == 'w' && rights[3] == 'p';
  }
  std::fclose(maps);
  return found;
}

}  // namespace

struct ProgramImage::Modules {
  std::vector<Range> code = loaded_code();
};

ProgramImage::ProgramImage() : modules_(std::make_unique<Modules>()) {}
ProgramImage::~ProgramImage() = default;

void ProgramImage::check(const detail::Lambda& lambda) const {
  const auto run = reinterpret_cast<std::uintptr_t>(lambda.run);
  if (std::none_of(modules_->code.begin(), modules_->code.end(), [run](const Range& r) { return r.holds(run); }))
    throw Error(std::string(lambda.name) + ": the lambda's code was loaded after the workers were forked: load the library before the engine is made");
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= lambda.captured; at += sizeof(std::uintptr_t)) {
    std::uintptr_t word;
    std::memcpy(&word, lambda.capture.data() + at, sizeof word);
    // Numbers are hardly ever addresses; reading the maps is left for words that look like one.
    if (word < 0x10000 || word >> 47 || Arena::instance().contains(reinterpret_cast<void*>(word))) continue;
    if (is_private_writable(word))
      throw Error(std::string(lambda.name) + ": the lambda captures by reference (or a pointer into this process's own memory, word " + std::to_string(at / sizeof word) +
                  " of its captures): workers would read it as it was when they were forked. Capture by value, or put it into a shared array");
  }
}

}  // namespace cadre
