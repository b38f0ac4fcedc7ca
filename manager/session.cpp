#include <cadre/manager/session.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <set>

#include <cadre/manager/certificates.hpp>
#include <cadre/manager/encoding.hpp>
#include <cadre/manager/grpc_stream.hpp>
#include <cadre/manager/proxy.hpp>
#include <cadre/manager/transport.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/sockets/address.hpp>

namespace cadre::detail {

namespace {

constexpr std::size_t kMostAnswer = std::size_t{1} << 30;  // bytes
constexpr std::uint64_t kLookForAnswer = 50'000;                     // ns: how long the answer is looked for before this thread sleeps, as waking costs as much
constexpr int kPatience = 10;                               // seconds, to connect

}  // namespace

/** A connection of this process to a manager. */
class ServerLink {
 public:
  ServerLink(ClientState& session, int fd);
  ~ServerLink();
  /** TLS, hello. */
  void begin(ClientState& session, const std::string& host);
  Data call(const Data& object, const Data::List& path, const char* verb, Data::List args);
  bool broken() const { return broken_; }
  void abandon() { transport_.abandon(); }

 private:
  [[noreturn]] void gone(const std::string& why);
  void set_patience(int seconds);
  void look() const;
  const std::string& address_;
  Transport transport_;
  GrpcStream stream_{GrpcStream::Side::client, kMostAnswer};
  std::string in_, out_;
  std::int64_t last_call_ = 0;
  std::size_t most_ = 1 << 16;  // bytes of a call; the manager says how many
  bool broken_ = false, begun_ = false;
};

namespace {

/* All connections of this process. */
struct Links {
  std::mutex mutex;
  std::set<ServerLink*> all;
  std::uint64_t generation = 1;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<ClientState>> sessions;

  static Links& instance() {
    static Links* const links = [] {
      pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); },
                     [] {
                       for (ServerLink* link : instance().all) link->abandon();
                       ++instance().generation;
                       instance().mutex.unlock();
                     });
      return new Links;
    }();
    return *links;
  }
};

void require_same_user(int fd, const std::string& address) {
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) throw_errno("ask who listens on " + address, errno, Error::Kind::failed);
  if (who.uid != geteuid() && who.uid != 0)
    throw Error("the manager at " + address + " is another user's (" + std::to_string(who.uid) + "): on one machine a manager is for its own user; across users, use TCP with certificates");
}

int connected(const std::string& address) {
  std::vector<SocketAddress> all;
  if (address.starts_with("@")) {
    SocketAddress& at = all.emplace_back();
    auto& name = reinterpret_cast<sockaddr_un&>(at.storage);
    if (address.size() > sizeof name.sun_path) throw Error("the name of a socket may have up to " + std::to_string(sizeof name.sun_path - 1) + " bytes: " + address);
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path + 1, address.data() + 1, address.size() - 1);
    at.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  } else {
    all = resolve_address(address);
  }
  int error = 0;
  for (const SocketAddress& at : all) {
    const int fd = socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    const timeval limit{kPatience, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int result;
    while ((result = connect(fd, at.get(), at.size)) != 0 && errno == EINTR) continue;
    if (result == 0 || errno == EISCONN) {
      if (at.family() == AF_UNIX) {
        try {
          require_same_user(fd, address);
        } catch (...) {
          ::close(fd);
          throw;
        }
      } else {
        tune_tcp(fd);
      }
      return fd;
    }
    error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    ::close(fd);
  }
  throw ManagerGone("connect to the manager at " + address + ": " + std::strerror(error) + ": it has not been started, or it has ended");
}

std::string host_of(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host;
}

bool is_network(const std::string& address) { return !address.starts_with("@") && address.find('/') == address.npos; }

/** "KeyError: 'x'" -> KeyError. */
std::string type_of(const std::string& message) {
  const std::size_t colon = message.find(':');
  const std::string type = colon == message.npos ? "" : message.substr(0, colon);
  return type.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") == type.npos ? type : "";
}

}  // namespace

ServerLink::ServerLink(ClientState& session, int fd) : address_(session.address_), transport_(fd) {
  Links& links = Links::instance();
  const std::lock_guard lock(links.mutex);
  links.all.insert(this);
}

ServerLink::~ServerLink() {
  Links& links = Links::instance();
  const std::lock_guard lock(links.mutex);
  links.all.erase(this);
}

void ServerLink::set_patience(int seconds) {
  const timeval limit{seconds, 0};
  setsockopt(transport_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(transport_.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void ServerLink::gone(const std::string& why) {
  broken_ = true;
  if (!begun_) throw ManagerGone("connect to the manager at " + address_ + ": " + (why.empty() ? "it closed the connection: this client is not let in, or the manager has ended" : why));
  throw ManagerGone("the manager at " + address_ + " has ended, or dropped this client" + (why.empty() ? "" : ": " + why));
}

void ServerLink::begin(ClientState& session, const std::string& host) {
  set_patience(kPatience);
  if (session.tls_) {
    transport_.secure(*session.tls_, false, host);
    const Transport::Io io = transport_.shake_hands();
    if (io == Transport::Io::closed) gone(transport_.failure());
    if (io != Transport::Io::done) gone("it does not answer within " + std::to_string(kPatience) + " s");
  }
  std::string token;
  {
    const std::lock_guard lock(Links::instance().mutex);
    token = session.token_;
  }
  const Data answer = call(Data(), {}, "hello", {1, token.empty() ? Data() : Data(Bytes{token})});
  set_patience(0);
  begun_ = true;
  most_ = answer.list().at(2).as<std::size_t>();
  const std::lock_guard lock(Links::instance().mutex);
  session.token_ = answer.list().at(0).bytes();
  session.server_pid_ = answer.list().at(1).as<pid_t>();
}

void ServerLink::look() const {
  const std::uint64_t end = monotonic_ns() + kLookForAnswer;
  pollfd answer{transport_.fd(), POLLIN, 0};
  while (::poll(&answer, 1, 0) == 0 && monotonic_ns() < end) sched_yield();  // to the server, where it has no other CPU
}

Data ServerLink::call(const Data& object, const Data::List& path, const char* verb, Data::List args) {
  static thread_local const std::int64_t thread = gettid();
  if (transport_.fd() < 0) gone("this process was forked in the middle of a call");
  Data::List parts;
  parts.reserve(6);
  parts.push_back(++last_call_);
  parts.push_back(thread);
  parts.push_back(object);
  parts.push_back(path);
  parts.push_back(verb);
  parts.push_back(std::move(args));
  std::string message;
  encode(message, parts);
  if (message.size() > most_)
    throw Error("a call of " + std::to_string(message.size()) + " bytes to the manager at " + address_ + ", which takes messages of " + std::to_string(most_) + ": send it in pieces", Error::Kind::failed);
  broken_ = true;  // until the answer is there
  stream_.send(std::move(message));
  const auto send_all = [&] {
    while (stream_.output(out_) || !out_.empty()) {
      std::string_view left = out_;
      const Transport::Io io = transport_.write(left);
      // What the other side has said before it closed is still to be read.
      if (io == Transport::Io::closed) break;
      if (io != Transport::Io::done) gone("it does not take what it is sent");
      out_.clear();
    }
    out_.clear();
  };
  send_all();
  while (stream_.messages().empty()) {
    if (stream_.ended()) gone(stream_.reason());
    in_.clear();
    look();
    const Transport::Io io = transport_.read(in_);
    if (io == Transport::Io::closed) gone(transport_.failure());
    if (io != Transport::Io::done) gone("it does not answer within " + std::to_string(kPatience) + " s");
    try {
      stream_.receive(in_);
    } catch (const Error& e) {
      gone(e.what());
    }
    send_all();
  }
  Data answer = decode(stream_.messages().front());
  stream_.messages().pop_front();
  Data::List& told = answer.list();
  if (told.size() != 3 || told[0].integer() != last_call_) gone("it answers what was not asked");
  broken_ = false;
  if (told[1].boolean()) return std::move(told[2]);
  throw ManagerError(type_of(told[2].text()), told[2].text());
}

ClientState::ClientState(std::string address, std::string certificates) : address_(std::move(address)), certificates_(std::move(certificates)), local_(!is_network(address_)) {
  if (local_) return;
  if (certificates_.empty()) certificates_ = certificate_directory();
  tls_ = std::make_unique<TlsContext>(TlsContext::client(certificates_));
}

ClientState::~ClientState() = default;

std::shared_ptr<ClientState> ClientState::of(const std::string& address, const std::string& certificates) {
  Links& links = Links::instance();
  const auto key = std::pair(address, certificates);
  {
    const std::lock_guard lock(links.mutex);
    if (auto there = links.sessions[key].lock()) return there;
  }
  auto made = std::make_shared<ClientState>(address, certificates);
  const std::lock_guard lock(links.mutex);
  auto& kept = links.sessions[key];
  if (auto there = kept.lock()) return there;
  kept = made;
  return made;
}

std::unique_ptr<ServerLink> ClientState::take() {
  Links& links = Links::instance();
  std::vector<std::unique_ptr<ServerLink>> parents;  // of the process that this one was forked from
  {
    const std::lock_guard lock(links.mutex);
    if (generation_ != links.generation) {
      parents = std::move(idle_);
      idle_.clear();
      token_.clear();
      open_ = 0;
      generation_ = links.generation;
    }
    if (!idle_.empty()) {
      auto link = std::move(idle_.back());
      idle_.pop_back();
      return link;
    }
  }
  parents.clear();
  auto link = std::make_unique<ServerLink>(*this, connected(address_));
  link->begin(*this, host_of(address_));
  const std::lock_guard lock(links.mutex);
  ++open_;
  return link;
}

Data ClientState::call(const Data& object, const Data::List& path, const char* verb, Data::List args) {
  std::unique_ptr<ServerLink> link = take();
  struct Returned {
    ClientState& session;
    std::unique_ptr<ServerLink>& link;
    ~Returned() {
      std::unique_ptr<ServerLink> dropped;
      {
        const std::lock_guard lock(Links::instance().mutex);
        if (!link->broken()) {
          session.idle_.push_back(std::move(link));
        } else {
          if (session.open_ > 0 && --session.open_ == 0) session.token_.clear();  // the session ends with its last connection
          dropped = std::move(link);
        }
      }
    }
  } returned{*this, link};
  return link->call(object, path, verb, std::move(args));
}

pid_t ClientState::server_pid() {
  const std::lock_guard lock(Links::instance().mutex);
  return server_pid_;
}

}  // namespace cadre::detail
