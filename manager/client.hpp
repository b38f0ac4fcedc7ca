#pragma once
/* A process's way to a manager: its session.

     cadre::ManagerClient m("gauss.example.org:5000");       // certificates: `cadre manager init`
     m["results"] = cadre::Data::Dict{};                     // of the dict that every manager has
     cadre::LockProxy door = m.lock("door");                 // the one of that name, which is made where there is none

   Copies are handles of the same session. Any thread may call; each call under way has a connection of its own, which is kept for the next. A process that is forked has a session of its own, and makes
   connections when it first calls. What a process holds (locks, permits) goes back when it is gone, however it went. */
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <cadre/manager/proxy.hpp>

namespace cadre {

class ManagerClient {
 public:
  /** Connects. `address` as the manager says it; `certificates`: the directory of ca.pem, client.pem and client.key, for TCP ("": certificate_directory()). Throws Error. */
  explicit ManagerClient(const std::string& address, const std::string& certificates = {});

  const std::string& address() const;
  /** Of the server, on its machine. */
  pid_t server_pid() const;
  /** Whether the manager is on this machine, so that arrays can be mapped. */
  bool is_local() const;

  /** The dict that every manager has. */
  Proxy root() const { return Proxy(state_, 0); }
  Proxy operator[](Data key) const { return root()[std::move(key)]; }

  /* New objects. One with a name is made once: who asks for the name again gets that one. One without ends with the last process that has used it. Throw ManagerError: the name is another kind's. */
  Proxy dict(Data::Dict items = {}, const std::string& name = {}) const { return Proxy(state_, make("dict", name, {std::move(items)})); }
  Proxy list(Data::List items = {}, const std::string& name = {}) const { return Proxy(state_, make("list", name, {Data(std::move(items))})); }
  /** A dict whose keys are names. */
  Proxy name_space(Data::Dict items = {}, const std::string& name = {}) const { return Proxy(state_, make("namespace", name, {std::move(items)})); }
  Proxy value(Data value, const std::string& name = {}) const { return Proxy(state_, make("value", name, {std::move(value)})); }
  /** Zeros. */
  template <class T>
  Proxy array(std::uint64_t size, const std::string& name = {}) const {
    return Proxy(state_, make("array", name, {static_cast<int>(dtype_of<T>()), size}));
  }
  template <class T>
  Proxy array(const std::vector<T>& numbers, const std::string& name = {}) const {
    return Proxy(state_, make("array", name, {Data(numbers)}));
  }
  LockProxy lock(const std::string& name = {}) const { return LockProxy(state_, make("lock", name, {})); }
  RLockProxy rlock(const std::string& name = {}) const { return RLockProxy(state_, make("rlock", name, {})); }
  SemaphoreProxy semaphore(int value = 1, const std::string& name = {}) const { return SemaphoreProxy(state_, make("semaphore", name, {value})); }
  SemaphoreProxy bounded_semaphore(int value = 1, const std::string& name = {}) const { return SemaphoreProxy(state_, make("bounded_semaphore", name, {value})); }
  ConditionProxy condition(const std::string& name = {}) const { return ConditionProxy(state_, make("condition", name, {})); }
  EventProxy event(const std::string& name = {}) const { return EventProxy(state_, make("event", name, {})); }
  BarrierProxy barrier(int parties, const std::string& name = {}) const { return BarrierProxy(state_, make("barrier", name, {parties})); }
  /** `maxsize` 0: any number of items. */
  QueueProxy queue(int maxsize = 0, const std::string& name = {}) const { return QueueProxy(state_, make("queue", name, {maxsize})); }
  /** Of a type that the manager's program has registered. */
  ObjectProxy object(const std::string& type, Data::List args = {}, const std::string& name = {}) const { return ObjectProxy(state_, make(type, name, std::move(args))); }

  /** Takes it away from everybody: later calls of it are ManagerErrors. */
  void remove(const detail::Handle& object) const;
  /** Names and kinds of the objects that have a name. */
  std::vector<std::pair<std::string, std::string>> names() const;
  /** Of the server: connections, sessions, objects, calls ... */
  Data stats() const;

  /** What `changes` asks of the proxies that it gets from t(...) is done at once and with nothing between, or, where one of them fails, not at all: then ManagerError says which. Returns their
      results, in order; while `changes` runs, nothing has been done, and what verbs return is None.

        m.transaction([&](cadre::Transaction& t) {
          t(from).require(100);                          // or else nothing is done
          t(from).add(-10);
          t(to).add(10);
        }); */
  std::vector<Data> transaction(const std::function<void(Transaction&)>& changes) const { return together("transaction", changes); }
  /** The same in one message, for speed: a call that fails does not keep the others from being done; the first failure is thrown afterwards. */
  std::vector<Data> batch(const std::function<void(Transaction&)>& calls) const { return together("batch", calls); }

  void pack(Parcel& parcel) const;
  static ManagerClient unpack(ParcelReader& reader);

 protected:
  explicit ManagerClient(std::shared_ptr<detail::ClientState> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::ClientState> state_;

 private:
  std::uint64_t make(const std::string& kind, const std::string& name, Data::List args) const;
  std::vector<Data> together(const char* verb, const std::function<void(Transaction&)>& calls) const;
};

}  // namespace cadre
