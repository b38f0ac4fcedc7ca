#include <cadre/engine/sandbox.hpp>

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

/** Refused whatever their arguments are. openat2 and io_uring could do what is refused by arguments that a filter can not see. */
constexpr const char* kRefused[] = {
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",                       // network
    "execve", "execveat",                                                                                              // programs
    "creat", "mkdir", "mkdirat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "truncate",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "mount", "umount2", "pivot_root", "chroot", "openat2",  // files
    "kill", "tkill", "ptrace", "process_vm_writev", "pidfd_send_signal", "pidfd_getfd", "bpf", "io_uring_setup", "perf_event_open", "keyctl", "init_module", "finit_module",
    "kexec_load", "userfaultfd"};
constexpr const char* kOpening[] = {"open", "openat"};

struct Refused {
  int number;
  const char* name;
};
Refused refused[sizeof kRefused / sizeof *kRefused + sizeof kOpening / sizeof *kOpening];

void (*on_violation)(void*, const char*) = nullptr;
void* violation_context = nullptr;

void handle(int, siginfo_t* info, void*) {
  const char* name = "(unknown)";
  for (const Refused& r : refused)
    if (r.name && r.number == info->si_syscall) name = r.name;
  on_violation(violation_context, name);
  _exit(70);
}

void must(int outcome) {
  if (outcome < 0) throw_errno("--sandbox: set up a filter of system calls (seccomp)", -outcome, Error::Kind::failed);
}

}  // namespace

void enter_sandbox(void (*violated)(void*, const char*), void* context) {
  const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ALLOW), [](void* f) { seccomp_release(f); });
  if (!filter) throw Error("--sandbox: this system has no seccomp", Error::Kind::failed);
  std::size_t n = 0;
  for (const char* name : kRefused) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) continue;  // not on this machine
    refused[n++] = {number, name};
    must(seccomp_rule_add(filter.get(), SCMP_ACT_TRAP, number, 0));
  }
  for (const char* name : kOpening) {
    const int number = seccomp_syscall_resolve_name(name);
    const unsigned flags = name[4] ? 2 : 1;  // which argument
    refused[n++] = {number, name};
    for (const unsigned bit : {O_CREAT, O_TRUNC, O_APPEND}) must(seccomp_rule_add(filter.get(), SCMP_ACT_TRAP, number, 1, SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, bit, bit)));
    must(seccomp_rule_add(filter.get(), SCMP_ACT_TRAP, number, 1, SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_WRONLY)));
    must(seccomp_rule_add(filter.get(), SCMP_ACT_TRAP, number, 1, SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, O_TMPFILE & ~O_DIRECTORY, O_TMPFILE & ~O_DIRECTORY)));
  }
  on_violation = violated;
  violation_context = context;
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSYS, &action, nullptr);
  must(seccomp_load(filter.get()));
}

}  // namespace cadre
