#include <cadre/manager/server.hpp>

#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <cadre/manager/server_state.hpp>
#include <cadre/sockets/address.hpp>

namespace cadre {

namespace detail {

namespace {

constexpr std::size_t kMostParked = 64;         // calls of one connection
constexpr int kReadsAtATime = 8;                // of 64 KiB, then it is the others' turn
constexpr std::size_t kMostUnsent = 1 << 20;    // bytes; beyond, a client is not read from
constexpr std::chrono::microseconds kLookForCall(50);  // for the next call, before the server sleeps
constexpr std::size_t kDescriptorsLeft = 64;    // for arrays and the rest

}  // namespace

ServerState::ServerState(const ServerOptions& o, TypeRegistry t) : options(o), types(std::move(t)) {
  Object& root = objects[0];
  root.kind = "dict";
  root.root = Data::Dict();
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  const std::size_t there = limit.rlim_cur > 2 * kDescriptorsLeft ? std::min<std::size_t>(limit.rlim_cur, 1 << 20) - kDescriptorsLeft : limit.rlim_cur / 2;
  most_connections = options.most_connections ? std::min(options.most_connections, there) : there;
  listen();
}

ServerState::~ServerState() {
  if (!path.empty() && getpid() == maker) unlink(path.c_str());
}

/** Nothing is read from it: it does not take what it is sent, or has as many calls waiting as it may have. */
bool Peer::blocked() const { return unsent.size() >= kMostUnsent || parked.size() >= kMostParked; }

/* Listening */

void ServerState::listen() {
  const std::string& at = options.address;
  int fd = -1, error = 0;
  const auto try_at = [&](const sockaddr* name, socklen_t size, int family) {
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    if (fd >= 0 && family != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // The file of a socket is for its owner alone, even before anybody is asked who he is.
    const mode_t mask = umask(0177);
    const bool fine = fd >= 0 && bind(fd, name, size) == 0 && ::listen(fd, 1024) == 0;
    error = errno;
    umask(mask);
    if (!fine && fd >= 0) ::close(std::exchange(fd, -1));
    return fine;
  };
  if (at.starts_with("@")) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (at.size() > sizeof name.sun_path) throw Error("the name of a socket may have up to " + std::to_string(sizeof name.sun_path - 1) + " bytes: " + at);
    std::memcpy(name.sun_path + 1, at.data() + 1, at.size() - 1);
    try_at(reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + at.size()), AF_UNIX);
    address = at;
  } else {
    const bool tcp = at.find('/') == at.npos;
    if (tcp) {
      const std::vector<SocketAddress> all = resolve_address(at);
      if (options.certificates.empty()) throw Error("listen on " + at + ": a manager that can be reached from other machines needs certificates: `cadre manager init` writes them");
      tls = std::make_unique<TlsContext>(TlsContext::server(options.certificates));
      for (const auto& each : all)
        if (try_at(each.get(), each.size, each.family())) break;
    } else {
      const SocketAddress name = resolve_address(at).front();
      if (try_at(name.get(), name.size, AF_UNIX)) path = at;
      if (fd < 0 && error == EADDRINUSE) throw Error("listen on " + at + ": the path exists already. Where no manager has it (one that was killed leaves it behind), remove it");
    }
  }
  if (fd < 0) throw_errno("listen on " + at, error);
  listener.emplace(fd);
  if (address.empty()) {
    SocketAddress found;
    found.size = sizeof found.storage;
    getsockname(fd, reinterpret_cast<sockaddr*>(&found.storage), &found.size);
    address = path.empty() ? text_of(found) : path;
  }
}

bool ServerState::admitted(int fd) const {
  if (!local()) return true;  // TLS says
  ucred who{};
  socklen_t size = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == geteuid() || who.uid == 0);
}

/** Drops the oldest of those who have not said who they are. False: there is none. */
bool ServerState::make_room() {
  if (strangers.empty()) return false;
  close(*strangers.front());
  bury();
  return true;
}

void ServerState::accept_all() {
  for (int i = 0; i < 64; ++i) {
    const int fd = accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if ((errno == EMFILE || errno == ENFILE) && make_room()) continue;
      if (errno != EAGAIN) no_accepting_until = Clock::now() + std::chrono::milliseconds(50);
      return;
    }
    if (!admitted(fd) || (peers.size() >= most_connections && !make_room())) {
      ::close(fd);
      continue;
    }
    if (!local()) tune_tcp(fd);
    auto made = std::make_unique<Peer>();
    Peer& p = *made;
    p.server = this;
    p.transport = std::make_unique<Transport>(fd);
    p.deadline = Clock::now() + options.patience;
    p.stranger = strangers.insert(strangers.end(), &p);
    peers.emplace(&p, std::move(made));
    epoll_event event{EPOLLIN, {.ptr = &p}};
    p.events = EPOLLIN;
    if (epoll_ctl(epoll->get(), EPOLL_CTL_ADD, fd, &event) != 0) close(p);
  }
}

void ServerState::watch(Peer& p) {
  std::uint32_t wanted = 0;
  if (!p.unsent.empty()) wanted |= EPOLLOUT;
  if (!p.blocked() && !p.closing) wanted |= EPOLLIN;
  if (wanted == p.events) return;
  p.events = wanted;
  epoll_event event{wanted, {.ptr = &p}};
  epoll_ctl(epoll->get(), EPOLL_CTL_MOD, p.transport->fd(), &event);
}

void ServerState::close(Peer& p) {
  if (p.dead) return;
  p.dead = true;
  if (p.session) {
    // The calls of a client that is gone leave, before what it held is given to others.
    for (const CallPtr& call : std::exchange(p.parked, {})) {
      call->peer = nullptr;
      cancel_timer(*call);
      if (SharedObject* const object = std::exchange(call->parked_in, nullptr)) object->leave(call, true);
    }
    if (--p.session->connections == 0) end_session(*p.session);
    p.session = nullptr;
  } else {
    strangers.erase(p.stranger);
  }
  epoll_ctl(epoll->get(), EPOLL_CTL_DEL, p.transport->fd(), nullptr);
  graveyard.push_back(&p);
}

void ServerState::bury() {
  most_peers = std::max(most_peers, peers.size());
  for (Peer* p : graveyard) {
    std::erase(dirty, p);
    std::erase(unfinished, p);
    peers.erase(p);
  }
  graveyard.clear();
  if (most_peers > 64 && peers.size() < most_peers / 4) {  // what many clients needed goes back to the system
    most_peers = peers.size();
    malloc_trim(0);
  }
}

/* Reading and writing */

void ServerState::serve(Peer& p, std::uint32_t events) {
  if (p.dead) return;
  try {
    if (events & EPOLLOUT) flush(p);
    if (!p.dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) read(p);
  } catch (const std::exception&) {
    close(p);  // what it sends is no gRPC, or there is no memory for it: it is told nothing
  }
}

void ServerState::read(Peer& p) {
  if (p.stage == Peer::Stage::silent) {
    if (local()) {
      p.stage = Peer::Stage::open;
      p.stream = std::make_unique<GrpcStream>(GrpcStream::Side::server, options.most_message);
    } else {
      p.transport->secure(*tls, true);
      p.stage = Peer::Stage::handshake;
    }
  }
  if (p.stage == Peer::Stage::handshake) {
    const Transport::Io io = p.transport->shake_hands();
    if (io == Transport::Io::closed) return close(p);
    if (io != Transport::Io::done) return;
    p.stage = Peer::Stage::open;
    p.stream = std::make_unique<GrpcStream>(GrpcStream::Side::server, options.most_message);
  }
  bool gone = false;
  p.more = true;
  std::string in;
  for (int i = 0; i < kReadsAtATime && p.more && !p.blocked(); ++i) {
    in.clear();
    const Transport::Io io = p.transport->read(in);
    if (io != Transport::Io::done) {
      p.more = false;
      gone = io == Transport::Io::closed;
      break;
    }
    p.stream->receive(in);
    if (local() && in.size() < (64 << 10)) p.more = false;  // that was all: if not, epoll says so
    handle_messages(p);
  }
  if (gone) return close(p);
  if (p.stream->ended() && p.stream->messages().empty()) p.closing = true;
  flush(p);
}

void ServerState::handle_messages(Peer& p) {
  auto& messages = p.stream->messages();
  while (!messages.empty() && !p.dead && !p.blocked()) {
    const std::string message = std::move(messages.front());
    messages.pop_front();
    handle(p, message);
    p.stream->output(p.unsent);
  }
}

void ServerState::flush(Peer& p) {
  do {
    std::string_view left = p.unsent;
    const Transport::Io io = left.empty() ? Transport::Io::done : p.transport->write(left);
    p.unsent.erase(0, p.unsent.size() - left.size());
    if (io == Transport::Io::closed) return close(p);
    if (io != Transport::Io::done) break;
    if (!p.stream) break;
    handle_messages(p);  // those that waited for this
  } while (!p.dead && p.stream->output(p.unsent));
  if (p.dead) return;
  if (p.closing && p.unsent.empty()) return close(p);
  if (p.more && !p.blocked() && !std::exchange(p.queued, true)) unfinished.push_back(&p);
  watch(p);
}

void ServerState::flush_dirty() {
  while (!dirty.empty()) {
    Peer* const p = dirty.back();
    dirty.pop_back();
    p->dirty = false;
    if (p->dead) continue;
    try {
      flush(*p);
    } catch (const std::exception&) {
      close(*p);
    }
  }
}

/* The loop */

int ServerState::next_wait(Clock::time_point now) {
  if (!unfinished.empty()) return 0;
  auto next = Clock::time_point::max();
  if (!timers.empty()) next = timers.begin()->first.first;
  if (!strangers.empty()) next = std::min(next, strangers.front()->deadline);
  if (no_accepting_until != Clock::time_point{}) next = std::min(next, no_accepting_until);
  if (next == Clock::time_point::max()) return -1;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000));
}

void ServerState::expire(Clock::time_point now) {
  while (!timers.empty() && timers.begin()->first.first <= now) {
    const CallPtr call = timers.begin()->second;
    cancel_timer(*call);
    if (call->parked_in) call->parked_in->leave(call, false);
  }
  while (!strangers.empty() && strangers.front()->deadline <= now) close(*strangers.front());
}

}  // namespace detail

ManagerServer::ManagerServer(const ServerOptions& options, TypeRegistry types) : state_(std::make_unique<detail::ServerState>(options, std::move(types))) {}
ManagerServer::~ManagerServer() = default;
const std::string& ManagerServer::address() const { return state_->address; }

void ManagerServer::run(int stop) {
  detail::ServerState& s = *state_;
  s.epoll.emplace(epoll_create1(EPOLL_CLOEXEC));
  if (s.epoll->get() < 0) throw_errno("wait for clients", errno, Error::Kind::failed);
  int listening = 0, stopping = 0;  // whose addresses tell the events apart
  const auto add = [&](int fd, void* mark) {
    epoll_event event{EPOLLIN, {.ptr = mark}};
    if (epoll_ctl(s.epoll->get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("wait for clients", errno, Error::Kind::failed);
  };
  add(s.listener->get(), &listening);
  add(stop, &stopping);
  bool active = false;
  for (;;) {
    epoll_event events[64];
    int n = 0;
    // The next call of somebody who was just answered is looked for before this process sleeps, as waking costs as much as that.
    if (active) {
      const auto end = detail::Clock::now() + detail::kLookForCall;
      while ((n = epoll_wait(s.epoll->get(), events, 64, 0)) == 0 && s.unfinished.empty() && detail::Clock::now() < end) sched_yield();
    }
    if (n == 0) n = epoll_wait(s.epoll->get(), events, 64, s.next_wait(detail::Clock::now()));
    active = n > 0;
    if (n < 0 && errno != EINTR) throw_errno("wait for clients", errno, Error::Kind::failed);
    for (detail::Peer* p : std::exchange(s.unfinished, {})) {
      p->queued = false;
      s.serve(*p, EPOLLIN);
    }
    bool accepting = false;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr == &stopping) return;
      if (events[i].data.ptr == &listening)
        accepting = true;  // after those who are there: they are served first
      else
        s.serve(*static_cast<detail::Peer*>(events[i].data.ptr), events[i].events);
    }
    s.flush_dirty();
    const auto now = detail::Clock::now();
    s.expire(now);
    s.flush_dirty();
    s.bury();
    if (s.no_accepting_until != detail::Clock::time_point{} && now >= s.no_accepting_until) {
      s.no_accepting_until = {};
      add(s.listener->get(), &listening);
    }
    if (accepting) {
      s.accept_all();
      s.bury();
      if (s.no_accepting_until != detail::Clock::time_point{}) epoll_ctl(s.epoll->get(), EPOLL_CTL_DEL, s.listener->get(), nullptr);
    }
  }
}

}  // namespace cadre
