/* Preloaded into a program: makes one of its calls into the system fail.

     CADRE_FAIL=mmap:3     the third mmap of the program and all its processes fails, with the error that it would have
     CADRE_FAIL=write:2:s  the second write is short by half instead
     CADRE_FAIL_COUNTS=F   on exit of the first process, F holds a line "NAME CALLS" for each

   Calls are counted in memory that the program's processes share, in the order in which they come. Calls that the C library makes for itself are not seen. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Call {
  const char* name;
  int error;
};
constexpr Call kCalls[] = {{"mmap", ENOMEM},    {"mprotect", ENOMEM},  {"madvise", ENOMEM},        {"fork", EAGAIN},   {"memfd_create", ENFILE}, {"ftruncate", ENOSPC}, {"fallocate", EOPNOTSUPP},
                           {"posix_fallocate", ENOSPC}, {"write", ENOSPC}, {"pwrite", ENOSPC}, {"read", EIO},      {"pread", EIO},           {"fsync", EIO},       {"fdatasync", EIO},
                           {"open", EMFILE},    {"rename", EACCES},    {"linkat", EPERM},          {"pipe2", EMFILE},  {"fcntl", EINVAL},        {"fstat", EIO},       {"signalfd", EMFILE},
                           {"pidfd_open", EMFILE}, {"poll", ENOMEM}};
constexpr int kCount = sizeof kCalls / sizeof *kCalls;

struct Shared {
  std::atomic<unsigned> calls[kCount];
};
Shared* shared = nullptr;
int failing = -1;      // index of the call
unsigned failing_at = 0;
bool shortened = false;
pid_t first_process = 0;

template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

constexpr int index_of(const char* name) {
  for (int i = 0; i < kCount; ++i) {
    const char *a = kCalls[i].name, *b = name;
    while (*a && *a == *b) ++a, ++b;
    if (*a == *b) return i;
  }
  return -1;
}

__attribute__((constructor)) void set_up() {
  first_process = getpid();
  shared = static_cast<Shared*>(real<void*(void*, size_t, int, int, int, off_t)>("mmap")(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const char* text = getenv("CADRE_FAIL");
  if (!text) return;
  char name[32] = {}, mode = 0;
  if (sscanf(text, "%31[^:]:%u:%c", name, &failing_at, &mode) < 2) abort();
  failing = index_of(name);
  if (failing < 0) abort();
  shortened = mode == 's';
}

__attribute__((destructor)) void tell_counts() {
  const char* path = getenv("CADRE_FAIL_COUNTS");
  if (!path || getpid() != first_process) return;
  FILE* out = fopen(path, "we");
  if (!out) return;
  for (int i = 0; i < kCount; ++i) fprintf(out, "%s %u\n", kCalls[i].name, shared->calls[i].load());
  fclose(out);
}

// Counts a call; true when it is the one that fails.
bool fails(int call) {
  if (!shared) return false;  // before the constructor
  const unsigned number = shared->calls[call].fetch_add(1) + 1;
  if (call != failing || number != failing_at) return false;
  errno = kCalls[call].error;
  return true;
}

}  // namespace

#define FAILING(name) static_assert(index_of(#name) >= 0); if (fails(index_of(#name)))

extern "C" {

void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  static auto* const next = real<void*(void*, size_t, int, int, int, off_t)>("mmap");
  FAILING(mmap) return MAP_FAILED;
  return next(at, bytes, protection, flags, fd, offset);
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int fd, off64_t offset) noexcept { return mmap(at, bytes, protection, flags, fd, offset); }
int mprotect(void* at, size_t bytes, int protection) noexcept {
  static auto* const next = real<int(void*, size_t, int)>("mprotect");
  FAILING(mprotect) return -1;
  return next(at, bytes, protection);
}
int madvise(void* at, size_t bytes, int advice) noexcept {
  static auto* const next = real<int(void*, size_t, int)>("madvise");
  FAILING(madvise) return -1;
  return next(at, bytes, advice);
}
pid_t fork() noexcept {
  static auto* const next = real<pid_t()>("fork");
  FAILING(fork) return -1;
  return next();
}
int memfd_create(const char* name, unsigned flags) noexcept {
  static auto* const next = real<int(const char*, unsigned)>("memfd_create");
  FAILING(memfd_create) return -1;
  return next(name, flags);
}
int ftruncate(int fd, off_t bytes) noexcept {
  static auto* const next = real<int(int, off_t)>("ftruncate");
  FAILING(ftruncate) return -1;
  return next(fd, bytes);
}
int ftruncate64(int fd, off64_t bytes) noexcept { return ftruncate(fd, bytes); }
int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  static auto* const next = real<int(int, int, off_t, off_t)>("fallocate");
  FAILING(fallocate) return -1;
  return next(fd, mode, offset, bytes);
}
int posix_fallocate(int fd, off_t offset, off_t bytes) {
  static auto* const next = real<int(int, off_t, off_t)>("posix_fallocate");
  FAILING(posix_fallocate) return errno;
  return next(fd, offset, bytes);
}
ssize_t write(int fd, const void* from, size_t bytes) {
  static auto* const next = real<ssize_t(int, const void*, size_t)>("write");
  FAILING(write) {
    if (!shortened) return -1;
    bytes = (bytes + 1) / 2;
  }
  return next(fd, from, bytes);
}
ssize_t pwrite(int fd, const void* from, size_t bytes, off_t offset) {
  static auto* const next = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  FAILING(pwrite) {
    if (!shortened) return -1;
    bytes = (bytes + 1) / 2;
  }
  return next(fd, from, bytes, offset);
}
ssize_t pwrite64(int fd, const void* from, size_t bytes, off64_t offset) { return pwrite(fd, from, bytes, offset); }
ssize_t read(int fd, void* to, size_t bytes) {
  static auto* const next = real<ssize_t(int, void*, size_t)>("read");
  FAILING(read) {
    if (!shortened) return -1;
    bytes = (bytes + 1) / 2;
  }
  return next(fd, to, bytes);
}
ssize_t pread(int fd, void* to, size_t bytes, off_t offset) {
  static auto* const next = real<ssize_t(int, void*, size_t, off_t)>("pread");
  FAILING(pread) {
    if (!shortened) return -1;
    bytes = (bytes + 1) / 2;
  }
  return next(fd, to, bytes, offset);
}
ssize_t pread64(int fd, void* to, size_t bytes, off64_t offset) { return pread(fd, to, bytes, offset); }
int fsync(int fd) {
  static auto* const next = real<int(int)>("fsync");
  FAILING(fsync) return -1;
  return next(fd);
}
int fdatasync(int fd) {
  static auto* const next = real<int(int)>("fdatasync");
  FAILING(fdatasync) return -1;
  return next(fd);
}
int open(const char* path, int flags, ...) {
  static auto* const next = real<int(const char*, int, ...)>("open");
  va_list rest;
  va_start(rest, flags);
  const auto mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  FAILING(open) return -1;
  return next(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open(path, flags, mode);
}
int rename(const char* from, const char* to) noexcept {
  static auto* const next = real<int(const char*, const char*)>("rename");
  FAILING(rename) return -1;
  return next(from, to);
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  static auto* const next = real<int(int, const char*, int, const char*, int)>("linkat");
  FAILING(linkat) return -1;
  return next(from_folder, from, to_folder, to, flags);
}
int pipe2(int* ends, int flags) noexcept {
  static auto* const next = real<int(int*, int)>("pipe2");
  FAILING(pipe2) return -1;
  return next(ends, flags);
}
int fcntl(int fd, int command, ...) {
  static auto* const next = real<int(int, int, ...)>("fcntl");
  va_list rest;
  va_start(rest, command);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  FAILING(fcntl) return -1;
  return next(fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  return fcntl(fd, command, argument);
}
int fstat(int fd, struct stat* to) noexcept {
  static auto* const next = real<int(int, struct stat*)>("fstat");
  FAILING(fstat) return -1;
  return next(fd, to);
}
int fstat64(int fd, struct stat64* to) noexcept { return fstat(fd, reinterpret_cast<struct stat*>(to)); }
int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  static auto* const next = real<int(int, const sigset_t*, int)>("signalfd");
  FAILING(signalfd) return -1;
  return next(fd, mask, flags);
}
struct pollfd;
int poll(struct pollfd* fds, unsigned long count, int timeout) {
  static auto* const next = real<int(struct pollfd*, unsigned long, int)>("poll");
  FAILING(poll) return -1;
  return next(fds, count, timeout);
}
long syscall(long number, ...) noexcept {
  static auto* const next = real<long(long, ...)>("syscall");
  va_list rest;
  va_start(rest, number);
  long a[6];
  for (long& argument : a) argument = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_pidfd_open) {
    FAILING(pidfd_open) return -1;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // extern "C"
