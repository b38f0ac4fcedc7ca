#pragma once
/* The inside of a manager's server: its connections, sessions and objects. server.cpp has the connections and the loop, server_calls.cpp what calls do. All of it belongs to one thread.

   A connection is a stranger until it has said hello; then it belongs to a session, which is a client process. What happens to a connection in the middle of something (its client is gone, its answer does not fit) only marks it:
   it is buried after the events of a turn, so nobody holds a pointer to what is no more. */
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <unistd.h>

#include <cadre/manager/grpc_stream.hpp>
#include <cadre/manager/server.hpp>
#include <cadre/manager/shared_object.hpp>
#include <cadre/manager/transport.hpp>
#include <cadre/talk/descriptor.hpp>

namespace cadre::detail {

using Clock = std::chrono::steady_clock;

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


/** A connection. */
struct Peer {
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

struct ServerState {
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

  ServerState(const ServerOptions& options, TypeRegistry types);
  ~ServerState();
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

  void hello(Peer& p, const CallPtr& call, Data::List& args);
  Data answer_server(const CallPtr& call, std::string_view verb, Data::List& args);
  Object& object_of(const Data& id);
  void use(SessionId session, Object& object);
  Data make(const PendingCall& call, Data::List& args);
  void remove(Object& object);
  void end_session(Session& session);
  Data run_calls(const PendingCall& call, Data::List& calls, bool all_or_none);
  void cancel_timer(PendingCall& call);
};

}  // namespace cadre::detail
