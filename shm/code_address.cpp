#include <cadre/shm/code_address.hpp>

#include <elf.h>
#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include <cadre/shm/error.hpp>
#include <cadre/shm/parcel.hpp>

namespace cadre {

namespace {

// Reads the module's build id from its notes; false where it has none.
bool read_build_id(const dl_phdr_info& info, CodeAddress& into) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(info.dlpi_addr + segment.p_vaddr);
    const char* const end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const char* const name = at + sizeof *note;
      const char* const content = name + (note->n_namesz + 3) / 4 * 4;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0 && note->n_descsz <= into.build_id.size()) {
        std::memcpy(into.build_id.data(), content, note->n_descsz);
        into.build_id_bytes = note->n_descsz;
        return true;
      }
      at = content + (note->n_descsz + 3) / 4 * 4;
    }
  }
  return false;
}

bool holds(const dl_phdr_info& info, std::uintptr_t p) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) && begin <= p && p < begin + segment.p_memsz) return true;
  }
  return false;
}

struct Search {
  std::uintptr_t code = 0;
  CodeAddress address;
  bool found = false, named = false;
};

// dl_iterate_phdr holds a lock of the loader, which a child that another thread forks meanwhile would find locked for ever: nobody forks then.
std::mutex looking;
[[maybe_unused]] const int no_fork_meanwhile = pthread_atfork([] { looking.lock(); }, [] { looking.unlock(); }, [] { looking.unlock(); });

int iterate_modules(int (*look)(dl_phdr_info*, std::size_t, void*), void* context) {
  const std::lock_guard lock(looking);
  return dl_iterate_phdr(look, context);
}

std::string module_name(const CodeAddress& a) { return a.module[0] ? a.module.data() : "the program"; }

}  // namespace

CodeAddress locate_code(const void* code) {
  Search search{.code = reinterpret_cast<std::uintptr_t>(code)};
  iterate_modules(
      [](dl_phdr_info* info, std::size_t, void* context) {
        auto& s = *static_cast<Search*>(context);
        if (!holds(*info, s.code)) return 0;
        s.found = true;
        s.named = read_build_id(*info, s.address);
        s.address.offset = s.code - info->dlpi_addr;
        std::strncpy(s.address.module.data(), info->dlpi_name, s.address.module.size() - 1);
        return 1;
      },
      &search);
  if (!search.found) throw Error("a function that is to run in another process lies in no loaded program or library");
  if (!search.named)
    throw Error(module_name(search.address) + " has no build id, by which another process would know that its code is the same: link it with -Wl,--build-id");
  return search.address;
}

void* resolve_code(const CodeAddress& address) {
  struct Match {
    const CodeAddress* wanted;
    std::uintptr_t at;
  } match{&address, 0};
  iterate_modules(
      [](dl_phdr_info* info, std::size_t, void* context) {
        auto& m = *static_cast<Match*>(context);
        CodeAddress here;
        if (!read_build_id(*info, here) || here.build_id_bytes != m.wanted->build_id_bytes || here.build_id != m.wanted->build_id) return 0;
        const std::uintptr_t at = info->dlpi_addr + m.wanted->offset;
        if (!holds(*info, at)) return 0;
        m.at = at;
        return 1;
      },
      &match);
  if (match.at == 0)
    throw Error(module_name(address) + " is not loaded in the new process, or as another build (it was rebuilt while the program ran?): functions for other processes must lie in "
                "the program itself or in a library that it is linked with");
  return reinterpret_cast<void*>(match.at);
}

namespace {

/** A module as one process has it. */
struct Loaded {
  CodeAddress id;  // offset unused
  std::uintptr_t base = 0, begin = 0, end = 0;
};

std::vector<Loaded> loaded_modules() {
  std::vector<Loaded> all;
  iterate_modules(
      [](dl_phdr_info* info, std::size_t, void* context) {
        Loaded m{.base = info->dlpi_addr, .begin = ~std::uintptr_t{0}};
        if (!read_build_id(*info, m.id)) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD) continue;
          m.begin = std::min<std::uintptr_t>(m.begin, info->dlpi_addr + segment.p_vaddr);
          m.end = std::max<std::uintptr_t>(m.end, info->dlpi_addr + segment.p_vaddr + segment.p_memsz);
        }
        static_cast<std::vector<Loaded>*>(context)->push_back(m);
        return 0;
      },
      &all);
  return all;
}

}  // namespace

void CodeMap::pack(Parcel& parcel) {
  const std::vector<Loaded> modules = loaded_modules();
  parcel.put<std::uint64_t>(modules.size());
  for (const Loaded& m : modules) parcel.put(m);  // not as an argument is: addresses of this process are what it is about
}

CodeMap CodeMap::unpack(ParcelReader& reader) {
  CodeMap map;
  const std::vector<Loaded> mine = loaded_modules();
  for (std::size_t left = reader.take_size(sizeof(Loaded)); left > 0; --left) {
    const auto there = reader.take<Loaded>();
    for (const Loaded& m : mine)
      if (m.id.build_id_bytes == there.id.build_id_bytes && m.id.build_id == there.id.build_id) map.modules_.push_back({there.begin, there.end, m.base - there.base});
  }
  return map;
}

std::uintptr_t CodeMap::translate(std::uintptr_t there) const {
  if (there == 0) return 0;
  for (const Module& m : modules_)
    if (m.begin <= there && there < m.end) return there + m.distance;
  throw Error("a function lies in a library that the worker processes, which were not forked, do not have, or have as another build: link the program with it");
}

}  // namespace cadre
