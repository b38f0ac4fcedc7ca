#include <cadre/sockets/listener.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

#include <cadre/sockets/address.hpp>

namespace cadre {

struct Listener::Open {
  detail::Descriptor fd;
  pid_t maker = getpid();
  std::string path, address, last_accepted;  // path: of a Unix socket
  std::optional<std::string> key;
  explicit Open(int socket) : fd(socket) {}
  ~Open() {
    if (!path.empty() && getpid() == maker) unlink(path.c_str());
  }
};

namespace {

void require_key(const std::optional<std::string>& key) {
  if (key && key->empty()) throw Error("an empty key keeps nobody out: give one, or none at all");
}

// Messages are whole: waiting for more to send helps nobody.
void settle(int fd, int family) {
  const int on = 1;
  if (family == AF_INET || family == AF_INET6) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void set_patience(int fd, std::chrono::seconds seconds) {
  const timeval limit{static_cast<time_t>(seconds.count()), 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/** A socket that has been made ready, or the errno with which that failed. */
template <class Ready>
int socket_at(const detail::SocketAddress& address, int& error, Ready ready) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ready(fd)) return fd;
  error = errno;
  if (fd >= 0) ::close(fd);
  return -1;
}

}  // namespace

Listener::Listener(const std::string& address, std::optional<std::string> key, int backlog) {
  require_key(key);
  int error = 0, fd = -1;
  std::string path;
  for (const auto& at : detail::resolve_address(address)) {
    fd = socket_at(at, error, [&](int s) {
      const int on = 1;
      if (at.family() != AF_UNIX) setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      return bind(s, at.get(), at.size) == 0 && listen(s, backlog) == 0;
    });
    if (fd < 0) continue;
    if (at.family() == AF_UNIX) path = address;
    break;
  }
  if (fd < 0 && error == EADDRINUSE && address.find('/') != std::string::npos)
    throw Error("listen on " + address + ": the path exists already. Where no listener has it (one that was killed leaves it behind), remove it");
  if (fd < 0) throw_errno("listen on " + address, error);
  open_ = std::make_unique<Open>(fd);
  open_->path = path;
  open_->key = std::move(key);
  detail::SocketAddress found;
  found.size = sizeof found.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&found.storage), &found.size);
  open_->address = open_->path.empty() ? detail::text_of(found) : open_->path;
}

Listener::~Listener() = default;
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;

Listener::Open& Listener::open() const {
  if (!open_) throw Error("the listener is closed");
  return *open_;
}
const std::string& Listener::address() const { return open().address; }
const std::string& Listener::last_accepted() const { return open().last_accepted; }
int Listener::fileno() const { return open().fd.get(); }
void Listener::close() noexcept { open_.reset(); }

Connection Listener::accept() {
  Open& o = open();
  detail::SocketAddress from;
  int fd;
  do {
    from.size = sizeof from.storage;
    fd = accept4(o.fd.get(), reinterpret_cast<sockaddr*>(&from.storage), &from.size, SOCK_CLOEXEC);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) throw_errno("accept a connection on " + o.address, errno, Error::Kind::failed);
  Connection connection(fd);
  settle(fd, from.family());
  if (o.key) {
    set_patience(fd, kPatience);
    try {
      deliver_challenge(connection, *o.key);
      answer_challenge(connection, *o.key);
    } catch (const AuthenticationError&) {
      throw;
    } catch (const ConnectionClosed&) {
      throw;
    } catch (const Error& e) {
      throw AuthenticationError(std::string("who has connected does not show within 5 s that the key is known: ") + e.what());
    }
    set_patience(fd, std::chrono::seconds(0));
  }
  o.last_accepted = detail::text_of(from);
  return connection;
}

Client::Client(const std::string& address, std::optional<std::string> key) {
  require_key(key);
  int fd = -1, error = 0;
  for (const auto& at : detail::resolve_address(address)) {
    fd = socket_at(at, error, [&](int s) {
      if (connect(s, at.get(), at.size) == 0) return true;
      if (errno != EINTR) return false;
      int failed = 0;  // it goes on by itself
      socklen_t size = sizeof failed;
      pollfd connected{s, POLLOUT, 0};
      while (::poll(&connected, 1, -1) < 0 && errno == EINTR) continue;
      getsockopt(s, SOL_SOCKET, SO_ERROR, &failed, &size);
      errno = failed;
      return failed == 0;
    });
    if (fd < 0) continue;
    settle(fd, at.family());
    break;
  }
  if (fd < 0) throw_errno("connect to " + address, error);
  static_cast<Connection&>(*this) = Connection(fd);
  if (!key) return;
  answer_challenge(*this, *key);
  deliver_challenge(*this, *key);
}

}  // namespace cadre
