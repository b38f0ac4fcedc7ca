#include "machine.hpp"

#include <hwloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <cadre/kernels/registry.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/storage.hpp>

namespace cadre::cli {
namespace {

void examine_topology(Machine& m) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return;
  if (hwloc_topology_load(topology) == 0) {
    auto count = [&](hwloc_obj_type_t type) { return std::max(hwloc_get_nbobjs_by_type(topology, type), 0); };
    auto cache = [&](hwloc_obj_type_t type) -> std::uint64_t {
      hwloc_obj_t first = hwloc_get_obj_by_type(topology, type, 0);
      return first ? first->attr->cache.size : 0;
    };
    m.packages = count(HWLOC_OBJ_PACKAGE);
    m.cores = count(HWLOC_OBJ_CORE);
    m.threads = count(HWLOC_OBJ_PU);
    m.numa = count(HWLOC_OBJ_NUMANODE);
    m.l1 = cache(HWLOC_OBJ_L1CACHE);
    m.l2 = cache(HWLOC_OBJ_L2CACHE);
    m.l3 = cache(HWLOC_OBJ_L3CACHE);
  }
  hwloc_topology_destroy(topology);
}

Limit limit_of(const char* name, const char* words, __rlimit_resource resource, bool in_bytes) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {name, words, std::nullopt, in_bytes};
  return {name, words, limit.rlim_cur, in_bytes};
}

/** "madvise" of "always [madvise] never". */
std::string chosen(const std::string& path) {
  std::ifstream in(path);
  for (std::string word; in >> word;)
    if (word.size() > 2 && word.front() == '[') return word.substr(1, word.size() - 2);
  return "";
}

/** Whether the mapping that holds `p` lies on 2 MiB pages in this process, as /proc/self/smaps tells. */
bool on_huge_pages(const std::byte* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  std::ifstream in("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    std::uintptr_t first = 0, last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) inside = first <= address && address < last;
    std::uint64_t kib = 0;
    if (inside && std::sscanf(line.c_str(), "ShmemPmdMapped: %lu", &kib) == 1) return kib > 0;
  }
  return false;
}

void try_memory(Machine& m) {
  const int fd = memfd_create("cadre-doctor", MFD_CLOEXEC);
  m.memfd = fd >= 0;
  if (fd >= 0)
    close(fd);
  else
    m.problems.push_back({std::string("memfd_create is refused: ") + std::strerror(errno),
                          "allow memfd_create in the container's or service's system call filter; without it arrays lie in an unlinked file in $TMPDIR"});
  try {
    auto storage = allocate_storage(2 * kGrain);
    m.collapse = on_huge_pages(storage->data());
    if (!m.collapse)
      m.problems.push_back({"shared arrays lie on 4 KiB pages here: each process maps them page by page",
                            "Linux 6.1 or later with transparent huge pages built in gives 2 MiB pages without privileges; unset CADRE_PAGES if it is set"});
  } catch (const Error& e) {
    m.problems.push_back({e.what(), "jobs can not run before this works"});
  }
}

}  // namespace

Machine examine_machine() {
  Machine m;
  m.online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  m.affinity = static_cast<int>(usable_cpus().size());
  m.quota = cpu_quota();
  m.usable = usable_cpu_count();
  examine_topology(m);
  m.isa = name_of(best_level());

  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  m.memory = pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : 0;
  m.available = available_memory();
  m.limits = {limit_of("address_space", "address space", RLIMIT_AS, true), limit_of("file_size", "file size", RLIMIT_FSIZE, true),
              limit_of("open_files", "open files", RLIMIT_NOFILE, false), limit_of("processes", "processes", RLIMIT_NPROC, false)};
  m.thp = chosen("/sys/kernel/mm/transparent_hugepage/enabled");
  m.shmem_thp = chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  struct statvfs shm {};
  if (statvfs("/dev/shm", &shm) == 0) m.dev_shm = static_cast<std::uint64_t>(shm.f_blocks) * shm.f_frsize;
  try_memory(m);

  const Limit &space = m.limits[0], &files = m.limits[2], &processes = m.limits[3];
  if (m.usable < m.online && m.quota > 0)
    m.problems.push_back({"the cgroup's CPU quota leaves " + std::to_string(m.usable) + " of " + std::to_string(m.online) + " CPUs",
                          "raise cpu.max (docker --cpus, systemd CPUQuota=), or take it as it is: workers are counted by it"});
  if (space.value && *space.value < (std::uint64_t{4} << 30))
    m.problems.push_back({"the address space is limited to " + human_bytes(*space.value), "ulimit -v unlimited"});
  if (files.value && *files.value < 256) m.problems.push_back({"only " + std::to_string(*files.value) + " files may be open", "ulimit -n 1024"});
  if (processes.value && *processes.value < static_cast<std::uint64_t>(m.usable) + 64)
    m.problems.push_back({"only " + std::to_string(*processes.value) + " processes are allowed", "ulimit -u 4096"});
  if (m.available.bytes < (std::uint64_t{256} << 20))
    m.problems.push_back({"only " + human_bytes(m.available.bytes) + " of memory are available (" + m.available.what + ")", "end other programs or raise the limit"});
  return m;
}

}  // namespace cadre::cli
