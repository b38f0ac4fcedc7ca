#pragma once
/* What a manager holds besides plain data: locks, semaphores, conditions, events, barriers, queues, and objects of registered types. The server has one thread and calls them one after the other, so
   they guard nothing. A call that can not be answered yet is parked in its object, and costs no thread; it is answered later, or leaves: its time is up, or its client is gone.

   Who holds something is a session: a client process, whatever its threads and connections; within it, for RLock and Condition, a thread. When a session has ended, end_session() gives back what it
   held, after all its calls have left. */
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include <cadre/manager/type_registry.hpp>

namespace cadre::detail {

class SharedObject;
struct Peer;

using SessionId = std::uint64_t;

/** A call that has come and is not answered yet. */
struct PendingCall : std::enable_shared_from_this<PendingCall> {
  SessionId session = 0;
  std::int64_t thread = 0, id = 0;
  Peer* peer = nullptr;               // nullptr: answered, or its client is gone
  SharedObject* parked_in = nullptr;  // whose leave() is called
  std::uint64_t timer = 0;            // 0: none

  void reply(Data result);
  void fail(std::string message);
  /** Not answered yet: `timeout` seconds, or null for as long as it takes. */
  void park(SharedObject& object, const Data& timeout);
  bool is(const PendingCall& other) const { return session == other.session && thread == other.thread; }
};
using CallPtr = std::shared_ptr<PendingCall>;

class SharedObject {
 public:
  virtual ~SharedObject() = default;
  /** Answers, or parks. Throws Error instead of answering. */
  virtual void call(const CallPtr& call, std::string_view verb, Data::List& args) = 0;
  /** A parked call is to be parked no more: its time is up, and it is to be answered; or `gone`: its client is, and it can not be. */
  virtual void leave(const CallPtr& call, bool gone) = 0;
  virtual void end_session(SessionId session) = 0;
};

/** "lock", "rlock", "semaphore", "bounded_semaphore", "condition", "event", "barrier", "queue", or a type of the registry. Throws Error. */
std::unique_ptr<SharedObject> make_shared_object(std::string_view kind, Data::List& args, const TypeRegistry& types);

}  // namespace cadre::detail
