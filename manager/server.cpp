#include <cadre/manager/server.hpp>

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <cadre/manager/encoding.hpp>
#include <cadre/manager/grpc_stream.hpp>
#include <cadre/manager/shared_object.hpp>
#include <cadre/manager/transport.hpp>
#include <cadre/manager/verbs.hpp>
#include <cadre/sockets/address.hpp>
#include <cadre/talk/descriptor.hpp>

namespace cadre {

using namespace detail;
using Clock = std::chrono::steady_clock;
using List = Data::List;

namespace {

constexpr std::size_t kMostParked = 64;         // calls of one connection
constexpr int kReadsAtATime = 8;                // of 64 KiB, then it is the others' turn
constexpr std::size_t kMostUnsent = 1 << 20;    // bytes; beyond, a client is not read from
constexpr std::chrono::microseconds kLook(50);  // for the next call, before the server sleeps
constexpr std::size_t kDescriptorsLeft = 64;    // for arrays and the rest

struct Session {
  SessionId id = 0;
  std::string token;
  std::size_t connections = 0;
  std::unordered_set<std::uint64_t> uses;  // objects
};

/** Plain data at `root`, or something else. */
struct Object {
  std::uint64_t id = 0;
  std::string name, kind;
  Data root;
  std::unique_ptr<SharedObject> shared;
  std::unordered_set<SessionId> users;  // of one without a name: when the last has ended, so does it
};

std::string random_token() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw_errno("draw a session's token", errno, Error::Kind::failed);
  return {reinterpret_cast<const char*>(bytes), sizeof bytes};
}

}  // namespace

/** A connection. */
struct detail::Peer {
  enum class Stage { silent /* nothing has come yet */, handshake, open };
  ServerState* server = nullptr;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<GrpcStream> stream;
  Stage stage = Stage::silent;
  Session* session = nullptr;  // once it has said hello
  std::string unsent;
  std::vector<CallPtr> parked;
  std::list<Peer*>::iterator stranger;  // where it is among them, until it has said hello
  Clock::time_point deadline;
  std::uint32_t events = 0;
  bool dirty = false, queued = false, closing = false, dead = false;
  bool more = false;  // perhaps there is more to read, though epoll does not say so
  bool blocked() const;
};

struct detail::ServerState {
  ServerOptions options;
  TypeRegistry types;
  std::string address, path;  // path: of a socket's file
  pid_t maker = getpid();
  std::unique_ptr<TlsContext> tls;
  std::optional<Descriptor> listener, epoll;
  std::size_t most_connections = 0, most_peers = 0;
  Clock::time_point no_accepting_until{};

  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers;
  std::list<Peer*> strangers;  // oldest first
  std::vector<Peer*> dirty, graveyard, unfinished;
  std::unordered_map<SessionId, Session> sessions;
  std::unordered_map<std::string, SessionId> tokens;
  SessionId last_session = 0;
  std::unordered_map<std::uint64_t, Object> objects;
  std::unordered_map<std::string, std::uint64_t> names;
  std::uint64_t last_object = 0, last_timer = 0, calls = 0;
  std::map<std::pair<Clock::time_point, std::uint64_t>, CallPtr> timers;
  std::unordered_map<std::uint64_t, Clock::time_point> timer_times;

  ServerState(const ServerOptions& o, TypeRegistry t) : options(o), types(std::move(t)) {
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
  ~ServerState() {
    if (!path.empty() && getpid() == maker) unlink(path.c_str());
  }

  bool local() const { return !tls; }

  void listen();
  void watch(Peer& p);
  void accept_all();
  bool admitted(int fd) const;
  bool make_room();
  void close(Peer& p);
  void bury();
  void serve(Peer& p, std::uint32_t events);
  void read(Peer& p);
  void handle_messages(Peer& p);
  void handle(Peer& p, const std::string& message);
  void flush(Peer& p);
  void flush_dirty();
  int next_wait(Clock::time_point now);
  void expire(Clock::time_point now);

  void hello(Peer& p, const CallPtr& call, List& args);
  Data answer_server(const CallPtr& call, std::string_view verb, List& args);
  Object& object_of(const Data& id);
  void use(SessionId session, Object& object);
  Data make(const PendingCall& call, List& args);
  void remove(Object& object);
  void end_session(Session& session);
  Data run_calls(const PendingCall& call, List& calls, bool all_or_none);
  void cancel_timer(PendingCall& call);
};

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
    if (!local()) {
      // A client whose machine is gone is known by its silence within half a minute.
      const int on = 1, idle = 10, interval = 5, probes = 3, patience = 30'000;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
      setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    }
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

/* Calls */

void PendingCall::reply(Data result) {
  if (!peer) return;
  std::string message;
  List answer;
  answer.reserve(3);
  answer.push_back(id);
  answer.push_back(true);
  answer.push_back(std::move(result));
  try {
    encode(message, answer);
  } catch (const std::exception& e) {
    return fail(e.what());
  }
  ServerState& server = *peer->server;
  if (message.size() > server.options.most_message)
    return fail("ValueError: the answer has " + std::to_string(message.size()) + " bytes, and a message may have " + std::to_string(server.options.most_message) + ": read it in slices");
  Peer& to = *std::exchange(peer, nullptr);
  server.cancel_timer(*this);
  if (std::exchange(parked_in, nullptr)) std::erase_if(to.parked, [this](const CallPtr& c) { return c.get() == this; });
  to.stream->send(std::move(message));
  if (!std::exchange(to.dirty, true)) server.dirty.push_back(&to);
}

void PendingCall::fail(std::string text) {
  if (!peer) return;
  std::string message;
  encode(message, List{id, false, std::move(text)});
  Peer& to = *std::exchange(peer, nullptr);
  to.server->cancel_timer(*this);
  if (std::exchange(parked_in, nullptr)) std::erase_if(to.parked, [this](const CallPtr& c) { return c.get() == this; });
  to.stream->send(std::move(message));
  if (!std::exchange(to.dirty, true)) to.server->dirty.push_back(&to);
}

void PendingCall::park(SharedObject& object, const Data& timeout) {
  ServerState& server = *peer->server;
  server.cancel_timer(*this);
  if (!parked_in) peer->parked.push_back(shared_from_this());
  parked_in = &object;
  if (timeout.is_null()) return;
  const double seconds = std::min(timeout.real(), 1e9);
  timer = ++server.last_timer;
  const auto at = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  server.timers.emplace(std::pair(at, timer), shared_from_this());
  server.timer_times.emplace(timer, at);
}

void ServerState::cancel_timer(PendingCall& call) {
  if (!call.timer) return;
  const auto at = timer_times.find(call.timer);
  timers.erase({at->second, call.timer});
  timer_times.erase(at);
  call.timer = 0;
}

/** [call, thread, object, path, verb, arguments]; object null: the server itself. */
void ServerState::handle(Peer& p, const std::string& message) {
  auto call = std::make_shared<PendingCall>();
  call->peer = &p;
  ++calls;
  try {
    Data received = decode(message);
    List& parts = received.list();
    if (parts.size() != 6) throw Error("ProtocolError: a call has six parts, not " + std::to_string(parts.size()));
    call->id = parts[0].integer();
    call->thread = parts[1].integer();
    const std::string& verb = parts[4].text();
    List& args = parts[5].list();
    if (!p.session) {
      if (!parts[2].is_null() || verb != "hello") throw Error("ProtocolError: a session begins with hello");
      return hello(p, call, args);
    }
    call->session = p.session->id;
    if (parts[2].is_null()) return call->reply(answer_server(call, verb, args));
    Object& object = object_of(parts[2]);
    use(call->session, object);
    if (!object.shared) return call->reply(apply(object.root, parts[3].list(), verb, args, nullptr));
    object.shared->call(call, verb, args);
  } catch (const std::bad_alloc&) {
    call->fail("MemoryError: the manager has no memory for this");
  } catch (const std::exception& e) {
    call->fail(e.what());
  }
}

void ServerState::hello(Peer& p, const CallPtr& call, List& args) {
  if (args.size() != 2 || args[0].integer() != 1) throw Error("ProtocolError: this manager speaks version 1");
  Session* session = nullptr;
  if (args[1].kind() == Data::Kind::bytes) {  // another connection of the same process
    const auto known = tokens.find(args[1].bytes());
    if (known == tokens.end()) throw Error("SessionError: the session of this process has ended");
    session = &sessions.at(known->second);
  } else {
    const SessionId id = ++last_session;
    session = &sessions[id];
    session->id = id;
    session->token = random_token();
    tokens[session->token] = id;
  }
  ++session->connections;
  p.session = session;
  strangers.erase(p.stranger);
  call->reply(List{Bytes{session->token}, static_cast<int>(getpid()), options.most_message, local()});
}

Object& ServerState::object_of(const Data& id) {
  if (id.kind() == Data::Kind::text) {
    const auto named = names.find(id.text());
    if (named == names.end()) throw Error("KeyError: the manager has no object named " + id.repr());
    return objects.at(named->second);
  }
  const auto found = objects.find(static_cast<std::uint64_t>(id.integer()));
  if (found == objects.end())
    throw Error("ReferenceError: the manager has no object " + id.repr() + " any more: it was removed, or everybody who used it has ended. One with a name stays");
  return found->second;
}

void ServerState::use(SessionId session, Object& object) {
  if (object.id && object.users.insert(session).second) sessions.at(session).uses.insert(object.id);
}

Data ServerState::answer_server(const CallPtr& call, std::string_view verb, List& args) {
  if (verb == "make") return make(*call, args);
  if (verb == "transaction" || verb == "batch") return run_calls(*call, args.at(0).list(), verb == "transaction");
  if (verb == "remove") {
    Object& object = object_of(args.at(0));
    if (object.id == 0) throw Error("ValueError: the root of a manager can not be removed: clear() it");
    remove(object);
    return {};
  }
  if (verb == "names") {
    List all;
    for (const auto& [name, id] : names) all.push_back(List{name, objects.at(id).kind});
    std::sort(all.begin(), all.end(), [](const Data& a, const Data& b) { return a.list()[0].text() < b.list()[0].text(); });
    return all;
  }
  if (verb == "stats")
    return Data::Dict{{"connections", peers.size()}, {"strangers", strangers.size()}, {"sessions", sessions.size()}, {"objects", objects.size() - 1}, {"calls", calls}, {"most_connections", most_connections}};
  throw Error("AttributeError: a manager has no " + std::string(verb));
}

/** kind, name or null, then what it is made with. A name that is there already is that object. */
Data ServerState::make(const PendingCall& call, List& args) {
  if (args.size() != 3) throw Error("TypeError: make takes a kind, a name and arguments");
  const std::string& kind = args[0].text();
  List& with = args[2].list();
  if (!args[1].is_null())
    if (const auto there = names.find(args[1].text()); there != names.end()) {
      Object& object = objects.at(there->second);
      if (object.kind != kind) throw Error("TypeError: " + args[1].repr() + " is a " + object.kind + ", not a " + kind);
      use(call.session, object);
      return object.id;
    }
  Object made;
  made.kind = kind;
  const auto given = [&](const char* type, Data otherwise) {
    if (with.empty() || with[0].is_null()) return otherwise;
    if (std::string_view(with[0].type_name()) != type) throw Error(std::string("TypeError: a ") + kind + " is made from a " + type + ", not from a " + with[0].type_name());
    return std::move(with[0]);
  };
  if (kind == "dict" || kind == "namespace")
    made.root = given("dict", Data::Dict());
  else if (kind == "list")
    made.root = given("list", List());
  else if (kind == "value")
    made.root = with.empty() ? Data() : std::move(with[0]);
  else if (kind == "array" && with.size() == 2) {  // element type, size
    const std::int64_t type = with[0].integer(), size = with[1].integer();
    if (type < 0 || type > static_cast<int>(DType::u64) || size < 0) throw Error("ValueError: there is no array of " + std::to_string(size) + " elements of the type " + std::to_string(type));
    made.root = NumberArray(static_cast<DType>(type), static_cast<std::uint64_t>(size), local());
  } else if (kind == "array") {
    made.root = given("array", {});
    (void)made.root.array();
    if (local()) made.root.array().share();
  } else
    made.shared = make_shared_object(kind, with, types);
  made.id = ++last_object;
  if (!args[1].is_null()) {
    made.name = args[1].text();
    if (made.name.empty()) throw Error("ValueError: a name has a letter at least");
    names[made.name] = made.id;
  }
  Object& object = objects.emplace(made.id, std::move(made)).first->second;
  use(call.session, object);
  return object.id;
}

void ServerState::remove(Object& object) {
  if (object.shared) {
    // Who waits in it is told.
    for (auto& [key, peer] : peers)
      for (const CallPtr& call : std::vector<CallPtr>(peer->parked))
        if (call->parked_in == object.shared.get()) {
          object.shared->leave(call, true);
          call->fail("ReferenceError: the object that this waited for was removed");
        }
  }
  for (const SessionId user : object.users)
    if (const auto session = sessions.find(user); session != sessions.end()) session->second.uses.erase(object.id);
  if (!object.name.empty()) names.erase(object.name);
  objects.erase(object.id);
}

void ServerState::end_session(Session& session) {
  const SessionId id = session.id;
  for (const std::uint64_t used : std::unordered_set<std::uint64_t>(session.uses)) {
    Object& object = objects.at(used);
    if (object.shared) object.shared->end_session(id);
    object.users.erase(id);
    if (object.name.empty() && object.users.empty()) remove(object);
  }
  tokens.erase(session.token);
  sessions.erase(id);
}

/** [object, path, verb, arguments] each, of plain data. Nothing comes between them; of a transaction all are done, or none. */
Data ServerState::run_calls(const PendingCall& call, List& calls, bool all_or_none) {
  Undo undo;
  List results;
  results.reserve(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    try {
      List& parts = calls[i].list();
      if (parts.size() != 4) throw Error("ProtocolError: a call in a list has four parts");
      Object& object = object_of(parts[0]);
      if (object.shared) throw Error("TypeError: a " + object.kind + " has no part in lists of calls: they are of dicts, lists and other data");
      use(call.session, object);
      Data result = apply(object.root, parts[1].list(), parts[2].text(), parts[3].list(), all_or_none ? &undo : nullptr);
      if (all_or_none)
        results.push_back(std::move(result));
      else
        results.push_back(List{true, std::move(result)});
    } catch (const std::exception& e) {
      if (all_or_none) {
        undo.roll_back();
        throw Error(std::string(e.what()) + " (call " + std::to_string(i) + " of the transaction: nothing was changed)");
      }
      results.push_back(List{false, e.what()});
    }
  }
  return results;
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

ManagerServer::ManagerServer(const ServerOptions& options, TypeRegistry types) : state_(std::make_unique<ServerState>(options, std::move(types))) {}
ManagerServer::~ManagerServer() = default;
const std::string& ManagerServer::address() const { return state_->address; }

void ManagerServer::run(int stop) {
  ServerState& s = *state_;
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
      const auto end = Clock::now() + kLook;
      while ((n = epoll_wait(s.epoll->get(), events, 64, 0)) == 0 && s.unfinished.empty() && Clock::now() < end) sched_yield();
    }
    if (n == 0) n = epoll_wait(s.epoll->get(), events, 64, s.next_wait(Clock::now()));
    active = n > 0;
    if (n < 0 && errno != EINTR) throw_errno("wait for clients", errno, Error::Kind::failed);
    for (Peer* p : std::exchange(s.unfinished, {})) {
      p->queued = false;
      s.serve(*p, EPOLLIN);
    }
    bool accepting = false;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr == &stopping) return;
      if (events[i].data.ptr == &listening)
        accepting = true;  // after those who are there: they are served first
      else
        s.serve(*static_cast<Peer*>(events[i].data.ptr), events[i].events);
    }
    s.flush_dirty();
    const auto now = Clock::now();
    s.expire(now);
    s.flush_dirty();
    s.bury();
    if (s.no_accepting_until != Clock::time_point{} && now >= s.no_accepting_until) {
      s.no_accepting_until = {};
      add(s.listener->get(), &listening);
    }
    if (accepting) {
      s.accept_all();
      s.bury();
      if (s.no_accepting_until != Clock::time_point{}) epoll_ctl(s.epoll->get(), EPOLL_CTL_DEL, s.listener->get(), nullptr);
    }
  }
}

}  // namespace cadre
