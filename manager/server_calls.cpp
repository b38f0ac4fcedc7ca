#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include <cadre/manager/encoding.hpp>
#include <cadre/manager/server_state.hpp>
#include <cadre/manager/verbs.hpp>

namespace cadre::detail {

using List = Data::List;

namespace {

std::string random_token() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw_errno("draw a session's token", errno, Error::Kind::failed);
  return {reinterpret_cast<const char*>(bytes), sizeof bytes};
}

}  // namespace

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

}  // namespace cadre::detail
