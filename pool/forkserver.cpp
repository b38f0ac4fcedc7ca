#include <cadre/pool/forkserver.hpp>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <cadre/pool/fork.hpp>
#include <cadre/pool/lifeline.hpp>
#include <cadre/pool/program.hpp>
#include <cadre/shm/arena.hpp>

namespace cadre {

namespace {

struct Reply {
  pid_t pid;
  int error;
};
constexpr std::size_t kMostPassed = 2 + kMostDescriptors;  // the parcel's file, where to report, the parcel's descriptors
static_assert(kMostPassed < 253, "the kernel passes no more with one message");

/* One message with descriptors; false with errno set (0: the other side is gone). */
bool send_message(int socket, const void* bytes, std::size_t size, std::span<const int> fds) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostPassed * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent;
  while ((sent = sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) continue;
  return sent == static_cast<ssize_t>(size);
}

bool receive_message(int socket, void* bytes, std::size_t size, std::vector<int>& fds) {
  fds.clear();
  iovec part{bytes, size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostPassed * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) continue;
  const int error = got == 0 ? 0 : errno;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); got >= 0 && head; head = CMSG_NXTHDR(&message, head))
    if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
      fds.resize((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      std::memcpy(fds.data(), CMSG_DATA(head), fds.size() * sizeof(int));
    }
  errno = error;
  return got == static_cast<ssize_t>(size);
}

/* ---- in the server ---- */

constexpr int kSocket = kFirstPassed, kHeldLifeline = kFirstPassed + 1;

struct Birth {
  Entry entry;
  const std::vector<std::byte>* parcel;
  std::vector<int>* descriptors;  // of the parcel
  const sigset_t* mask;
  const struct sigaction* on_interrupt;
  const struct sigaction* on_pipe;
};

void born(void* context) {
  const Birth& birth = *static_cast<Birth*>(context);
  sigaction(SIGINT, birth.on_interrupt, nullptr);
  sigaction(SIGPIPE, birth.on_pipe, nullptr);
  sigprocmask(SIG_SETMASK, birth.mask, nullptr);
  // The server's own descriptors; what it has from its start (the arena, the lifeline) stays.
  close_range(static_cast<unsigned>(Arena::instance().fd()) + 1, kHeldLifeline - 1, 0);
  std::vector<int> kept = *birth.descriptors;
  std::sort(kept.begin(), kept.end());
  unsigned next = kHeldLifeline + 1;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > next) close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_range(next, ~0u, 0);
  hold_on_to(kHeldLifeline);
  prctl(PR_SET_NAME, "cadre-process");
  try {
    ParcelReader reader(*birth.parcel, *birth.descriptors);
    birth.entry(reader);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cadre: process %d can not begin: %s\n", static_cast<int>(getpid()), e.what());
    _exit(1);
  }
  _exit(0);
}

class Server {
 public:
  [[noreturn]] void run() {
    prctl(PR_SET_NAME, "cadre-server");
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &on_interrupt_);  // from a terminal: for the program and its processes to act on
    sigaction(SIGPIPE, &ignore, &on_pipe_);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &mask_);
    sigdelset(&mask_, SIGCHLD);
    const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    const int held = dup(kHeldLifeline);  // its children hold on to the other copy
    fcntl(held, F_SETFD, FD_CLOEXEC);
    hold_on_to(held);
    for (;;) {
      pollfd fds[] = {{signals, POLLIN, 0}, {kSocket, POLLIN, 0}};
      if (poll(fds, 2, -1) < 0) continue;
      if (fds[0].revents) reap(signals);
      if (fds[1].revents) serve();
    }
  }

 private:
  void serve() {
    CodeAddress entry;
    std::vector<int> fds;
    if (!receive_message(kSocket, &entry, sizeof entry, fds) || fds.size() < 2) _exit(0);
    const int report = fds[1];
    std::vector<int> descriptors(fds.begin() + 2, fds.end());
    Reply reply{-1, 0};
    int pidfd = -1;
    try {
      const std::vector<std::byte> parcel = read_parcel(fds[0]);
      Birth birth{reinterpret_cast<Entry>(resolve_code(entry)), &parcel, &descriptors, &mask_, &on_interrupt_, &on_pipe_};
      reply.pid = fork_process(born, &birth);
      if (reply.pid < 0) reply.error = errno;
    } catch (const std::exception&) {
      reply.error = EIO;
    }
    if (reply.pid > 0) {
      pidfd = open_pidfd(reply.pid);
      if (pidfd < 0) {
        reply.error = errno;
        ::kill(reply.pid, SIGKILL);
        waitpid(reply.pid, nullptr, 0);
        reply.pid = -1;
      }
    }
    if (reply.pid > 0)
      reports_[reply.pid] = report;
    else
      close(report);
    for (const int fd : descriptors) close(fd);
    const bool told = send_message(kSocket, &reply, sizeof reply, std::span(&pidfd, pidfd >= 0 ? 1 : 0));
    if (pidfd >= 0) close(pidfd);
    if (!told) _exit(0);
  }

  void reap(int signals) {
    signalfd_siginfo info[8];
    while (read(signals, info, sizeof info) > 0) continue;
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto at = reports_.find(pid);
      if (at == reports_.end()) continue;
      (void)!write(at->second, &status, sizeof status);
      close(at->second);
      reports_.erase(at);
    }
  }

  sigset_t mask_;                 // of the program, for its processes
  struct sigaction on_interrupt_{}, on_pipe_{};  // the same
  std::map<pid_t, int> reports_;  // where to write how each ended
};

void serve(ParcelReader&) { Server().run(); }

/* ---- in the process that asks ---- */

struct Link {
  std::mutex mutex;
  int socket = -1;
  pid_t pid = 0;
};
Link* link_to_server = new Link;

void forget_server() {
  if (link_to_server->socket >= 0) close(link_to_server->socket);
  link_to_server = new Link;  // the old one may be locked, by a thread that is not here
}

void end_link(Link& link) {
  if (link.socket < 0) return;
  close(link.socket);
  link.socket = -1;
  while (waitpid(link.pid, nullptr, 0) < 0 && errno == EINTR) continue;
  link.pid = 0;
}

void connect(Link& link) {
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork(nullptr, nullptr, forget_server);
    std::atexit(end_forkserver);  // it leaves when the socket closes: nothing is left when the program has ended
  });
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) throw_errno("make a socket for the fork server", errno, Error::Kind::failed);
  try {
    link.pid = exec_program(serve, Parcel(), {pair[1], lifeline()});
  } catch (...) {
    close(pair[0]);
    close(pair[1]);
    throw;
  }
  close(pair[1]);
  link.socket = pair[0];
}

// Nothing when the server is gone.
std::optional<ServedProcess> ask(Link& link, const CodeAddress& entry, const Parcel& parcel) {
  int status[2];
  if (pipe2(status, O_CLOEXEC) != 0) throw_errno("make a pipe for a new process", errno, Error::Kind::failed);
  int file = -1;
  try {
    file = parcel_file(parcel);
  } catch (...) {
    close(status[0]);
    close(status[1]);
    throw;
  }
  std::vector<int> passed{file, status[1]};
  passed.insert(passed.end(), parcel.descriptors().begin(), parcel.descriptors().end());
  Reply reply{-1, 0};
  std::vector<int> fds;
  const bool answered = send_message(link.socket, &entry, sizeof entry, passed) && receive_message(link.socket, &reply, sizeof reply, fds);
  close(file);
  close(status[1]);
  if (answered && reply.pid > 0 && !fds.empty()) return ServedProcess{reply.pid, fds[0], status[0]};
  close(status[0]);
  if (answered) throw_errno("fork a process in the fork server", reply.error ? reply.error : EMFILE, Error::Kind::failed);
  return std::nullopt;
}

}  // namespace

ServedProcess ask_forkserver(Entry entry, const Parcel& parcel) {
  require_init("the start method forkserver");
  if (parcel.descriptors().size() > kMostDescriptors)
    throw Error("a process is to have " + std::to_string(parcel.descriptors().size()) + " connections: " + std::to_string(kMostDescriptors) + " can be passed");
  const CodeAddress address = locate_code(entry);
  Link& link = *link_to_server;
  const std::lock_guard lock(link.mutex);
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (link.socket < 0) connect(link);
    if (const auto process = ask(link, address, parcel)) return *process;
    end_link(link);  // killed: another one
  }
  throw Error("the fork server ends as soon as it is started: see what it says on stderr", Error::Kind::failed);
}

void end_forkserver() noexcept {
  const std::lock_guard lock(link_to_server->mutex);
  end_link(*link_to_server);
}

pid_t forkserver_pid() noexcept { return link_to_server->pid; }

}  // namespace cadre
