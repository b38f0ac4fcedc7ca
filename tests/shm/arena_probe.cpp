/* arena_probe [no-memfd] [occupied] [as=BYTES] [fsize=BYTES] [allocate=BYTES]: makes the program's arena under these conditions and prints
   what came of it, or "error: ..." with exit code 2. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <cadre/shm/arena.hpp>

namespace {

bool refuse_memfd() {
  sock_filter program[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_memfd_create},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter{4, program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool limit(int which, const std::string& bytes) {
  const rlimit value{std::strtoull(bytes.c_str(), nullptr, 0), RLIM_INFINITY};
  return setrlimit(static_cast<__rlimit_resource>(which), &value) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t allocate = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], value = word.substr(word.find('=') + 1);
    bool done = true;
    if (word == "no-memfd") done = refuse_memfd();
    if (word == "occupied") done = mmap(reinterpret_cast<void*>(0x200000000000), 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
    if (word.rfind("as=", 0) == 0) done = limit(RLIMIT_AS, value);
    if (word.rfind("fsize=", 0) == 0) done = limit(RLIMIT_FSIZE, value);
    if (word.rfind("allocate=", 0) == 0) allocate = std::strtoull(value.c_str(), nullptr, 0);
    if (!done) return std::perror(argv[i]), 3;
  }
  try {
    cadre::Arena& arena = cadre::Arena::instance();
    struct sigaction action{};
    sigaction(SIGXFSZ, nullptr, &action);
    const bool sealed = ftruncate(arena.fd(), 4096) != 0;
    std::printf("base=%p size=%zu heap=%zu sealed=%d xfsz_ignored=%d\n", static_cast<void*>(arena.base()), arena.size(), arena.heap_bytes(), sealed,
                action.sa_handler == SIG_IGN);
    if (allocate) {
      std::byte* const p = arena.allocate(allocate, true);
      for (std::size_t i = 0; i < allocate; i += 4096) p[i] = std::byte{1};
      arena.release(p);
      std::puts("allocated");
    }
  } catch (const cadre::Error& error) {
    std::printf("error: %s\n", error.what());
    return 2;
  }
}
