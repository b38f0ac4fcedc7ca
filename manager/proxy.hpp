#pragma once
/* Proxies of what a manager holds. A proxy is an address: the manager's, the object's, and for data the path of a place in it. So

     m["a"]["b"].append(1);

   changes the list that is at ["a"]["b"] in the manager, for everybody; nothing is fetched and put back. Reading gives a copy: m["a"].value(). Each call is one message to the manager and one back,
   done whole, in some order with everybody else's; docs/manager.md says more, and has the verbs beside Python's.

   Proxies may be passed to processes and through queues; they hold no connection. Copying one is cheap. All members throw ManagerError for what the manager refuses, by the name of Python's exception,
   and ManagerGone when there is no manager any more. */
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cadre/manager/data.hpp>
#include <cadre/shm/parcel.hpp>
#include <cadre/sync/lock_word.hpp>

namespace cadre {

/** What the manager answers instead of a result. */
class ManagerError : public Error {
 public:
  ManagerError(std::string type, const std::string& what) : Error(what, Kind::failed), type_(std::move(type)) {}
  /** As Python names it: KeyError, IndexError, TypeError, ValueError, BrokenBarrierError ...; "" for others. */
  const std::string& type() const noexcept { return type_; }

 private:
  std::string type_;
};

/** The manager has ended, or can not be reached any more. */
class ManagerGone : public Error {
 public:
  explicit ManagerGone(const std::string& what) : Error(what, Kind::failed) {}
};

class ManagerClient;
class Transaction;

namespace detail {

class ClientState;

/** An object of a manager. */
class Handle {
 public:
  std::uint64_t object() const noexcept { return object_; }
  void pack(Parcel& parcel) const;

 protected:
  friend class cadre::ManagerClient;
  Handle(std::shared_ptr<ClientState> client, std::uint64_t object) : client_(std::move(client)), object_(object) {}
  static std::pair<std::shared_ptr<ClientState>, std::uint64_t> unpack_handle(ParcelReader& reader);
  template <class T>
  static T unpack_as(ParcelReader& reader) {
    auto [client, object] = unpack_handle(reader);
    return T(std::move(client), object);
  }
  Data call(const char* verb, Data::List args = {}) const;
  /** Seconds, or null for as long as it takes. */
  static Data seconds(std::optional<std::chrono::nanoseconds> timeout) { return timeout ? Data(std::chrono::duration<double>(*timeout).count()) : Data(); }
  std::shared_ptr<ClientState> client_;
  std::uint64_t object_;
};

/** Memory of an array, mapped into this process. */
class MappedNumbers {
 public:
  MappedNumbers(const std::string& file, DType type, std::uint64_t size);
  MappedNumbers(MappedNumbers&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  MappedNumbers& operator=(MappedNumbers&&) = delete;
  ~MappedNumbers();
  void* data() const noexcept { return data_; }

 private:
  void* data_;
  std::size_t bytes_;
};

}  // namespace detail

/** The numbers of a local manager's array, in memory that all who map it share: writes are seen by all at once, as those of threads are. Valid as long as this object, also when the array was
    replaced by another value, or removed (then nobody else comes to it any more). */
template <class T>
class MappedArray {
 public:
  MappedArray(detail::MappedNumbers numbers, std::uint64_t size) : numbers_(std::move(numbers)), size_(size) {}
  std::span<T> span() const noexcept { return {begin(), size_}; }
  std::size_t size() const noexcept { return size_; }
  T* begin() const noexcept { return static_cast<T*>(numbers_.data()); }
  T* end() const noexcept { return begin() + size_; }
  T& operator[](std::size_t i) const noexcept { return begin()[i]; }

 private:
  detail::MappedNumbers numbers_;
  std::size_t size_;
};

/** A place in plain data: a dict, a list, an array, a number ..., or an element of one, at any depth. */
class Proxy : public detail::Handle {
 public:
  Proxy(const Proxy&) = default;
  Proxy(Proxy&&) = default;
  /** Of a variable: makes it a proxy of the other place. Of an element (m["a"] = m["b"]): puts a copy of the other's value there. */
  Proxy& operator=(const Proxy& other) & = default;
  void operator=(const Proxy& other) && { set_value(other.value()); }
  /** m["a"] = 1 */
  void operator=(const Data& value) { set_value(value); }

  /** The place at a key, or an index (from the end where it is negative). Nothing is asked: it need not be there yet. */
  Proxy operator[](Data key) const {
    Proxy p = *this;
    p.path_.push_back(std::move(key));
    return p;
  }
  const Data::List& path() const noexcept { return path_; }

  /* Of any place. */
  Data value() const { return call("value"); }
  template <class T>
  T as() const {
    return value().as<T>();
  }
  void set_value(Data v) const { call("assign", {std::move(v)}); }
  bool exists() const { return call("exists").boolean(); }
  /** Takes it out of the dict or list that it is in. */
  void erase() const { call("delete"); }
  /** Sets it to `desired` if it is `expected` (what is not there is None): whether it was. */
  bool compare_and_set(Data expected, Data desired) const { return call("compare_and_set", {std::move(expected), std::move(desired)}).boolean(); }
  /** value += n, which is returned; for numbers, text, bytes and lists. With a second argument, what is not there begins as that. */
  Data add(Data n) const { return call("add", {std::move(n)}); }
  Data add(Data n, Data initial) const { return call("add", {std::move(n), std::move(initial)}); }
  /** ManagerError (RequirementError) unless it is that: for transactions. */
  void require(Data expected) const { call("require", {std::move(expected)}); }
  std::string repr() const { return call("repr").text(); }
  /** "dict", "list", "int" ... */
  std::string type() const { return call("type").text(); }

  /* Of dicts, lists and arrays. */
  std::size_t size() const { return call("len").as<std::size_t>(); }
  bool contains(Data x) const { return call("contains", {std::move(x)}).boolean(); }
  /** Of a dict: None where there is no such key. Of a list or array: the element. */
  Data get(Data key) const { return call("get", {std::move(key)}); }
  Data get(Data key, Data otherwise) const { return call("get", {std::move(key), std::move(otherwise)}); }
  void set(Data key, Data value) const { call("set", {std::move(key), std::move(value)}); }
  void del(Data key) const { call("del", {std::move(key)}); }
  void clear() const { call("clear"); }

  /* Of dicts. */
  Data setdefault(Data key, Data value = {}) const { return call("setdefault", {std::move(key), std::move(value)}); }
  /** Of a list: the element at that index. */
  Data pop(Data key) const { return call("pop", {std::move(key)}); }
  Data pop(Data key, Data otherwise) const { return call("pop", {std::move(key), std::move(otherwise)}); }
  std::pair<Data, Data> popitem() const;
  std::vector<Data> keys() const { return call("keys").list(); }
  std::vector<Data> values() const { return call("values").list(); }
  std::vector<std::pair<Data, Data>> items() const;
  void update(Data::Dict items) const { call("update", {std::move(items)}); }
  /** Of all the keys in one call; None where there is none. */
  std::vector<Data> get_many(Data::List keys) const { return call("get_many", {Data(std::move(keys))}).list(); }

  /* Of lists. */
  void append(Data x) const { call("append", {std::move(x)}); }
  void extend(Data::List all) const { call("extend", {Data(std::move(all))}); }
  void insert(std::int64_t i, Data x) const { call("insert", {i, std::move(x)}); }
  /** The last. */
  Data pop() const { return call("pop"); }
  void remove(Data x) const { call("remove", {std::move(x)}); }
  std::int64_t index(Data x) const { return call("index", {std::move(x)}).integer(); }
  std::int64_t count(Data x) const { return call("count", {std::move(x)}).integer(); }
  void reverse() const { call("reverse"); }
  void sort(bool descending = false) const { call("sort", {descending}); }
  /** [start:stop:step]; null: left out. Of an array: an array. */
  Data slice(Data start = {}, Data stop = {}, Data step = {}) const { return call("slice", {std::move(start), std::move(stop), std::move(step)}); }
  void set_slice(Data start, Data stop, Data::List values) const { call("set_slice", {std::move(start), std::move(stop), std::move(values)}); }
  void del_slice(Data start = {}, Data stop = {}, Data step = {}) const { call("del_slice", {std::move(start), std::move(stop), std::move(step)}); }

  /* Of arrays. */
  /** Puts the numbers, which are of the array's type, from there on. */
  template <class T>
  void write(std::uint64_t begin, const std::vector<T>& numbers) const {
    call("write", {begin, Data(numbers)});
  }
  void fill(Data number) const { call("fill", {std::move(number)}); }
  /** The array itself, of a manager on this machine: no message for what is done to it. Throws Error: another machine (read and write slices), another element type. */
  template <class T>
  MappedArray<T> map() const {
    std::uint64_t size = 0;
    detail::MappedNumbers numbers = map_numbers(dtype_of<T>(), size);
    return {std::move(numbers), size};
  }

  /* Iteration, over a copy: the elements of a list, the keys of a dict. */
  struct Copy {
    std::vector<Data> all;
    std::size_t at = 0;
    bool operator!=(std::nullptr_t) const { return at < all.size(); }
    const Data& operator*() const { return all[at]; }
    void operator++() { ++at; }
  };
  Copy begin() const;
  std::nullptr_t end() const { return nullptr; }

  void pack(Parcel& parcel) const;
  static Proxy unpack(ParcelReader& reader);

 private:
  friend class ManagerClient;
  friend class Transaction;
  Proxy(std::shared_ptr<detail::ClientState> client, std::uint64_t object) : Handle(std::move(client), object) {}
  Data call(const char* verb, Data::List args = {}) const;
  detail::MappedNumbers map_numbers(DType type, std::uint64_t& size) const;
  Data::List path_;
  Transaction* recorder_ = nullptr;
};

/** Calls that are to be made together (ManagerClient::transaction, batch). */
class Transaction {
 public:
  /** That place, as it is to be used for the calls. Valid as long as this. */
  Proxy operator()(Proxy p) {
    p.recorder_ = this;
    return p;
  }

 private:
  friend class ManagerClient;
  friend class Proxy;
  Data::List calls_;
};

/** Any process or thread may release it. lock, try_lock and unlock are for the standard library's guards. */
class LockProxy : public detail::Handle {
 public:
  /** With a timeout, at most so long. owner_died: its holder was killed or ended with it; told once. */
  LockResult acquire(std::optional<std::chrono::nanoseconds> timeout = std::nullopt) const;
  LockResult try_acquire() const { return acquire(std::chrono::nanoseconds(0)); }
  void release() const { call("release"); }
  bool is_held() const { return call("locked").boolean(); }
  void lock() const { (void)acquire(); }
  bool try_lock() const { return try_acquire() != LockResult::timed_out; }
  void unlock() const { release(); }
  static LockProxy unpack(ParcelReader& reader) { return unpack_as<LockProxy>(reader); }

 protected:
  friend class ManagerClient;
  using Handle::Handle;
};

/** Acquired again by the thread that has it, released by it alone. */
class RLockProxy : public LockProxy {
 public:
  static RLockProxy unpack(ParcelReader& reader) { return unpack_as<RLockProxy>(reader); }

 private:
  friend class ManagerClient;
  using LockProxy::LockProxy;
};

/** Has an RLock of its own, which wait() gives back meanwhile. */
class ConditionProxy : public LockProxy {
 public:
  /** False: the time was up. */
  bool wait(std::optional<std::chrono::nanoseconds> timeout = std::nullopt) const { return call("wait", {seconds(timeout)}).boolean(); }
  template <class Predicate>
  void wait_for(Predicate ready) const {
    while (!ready()) wait();
  }
  void notify(int n = 1) const { call("notify", {n}); }
  void notify_all() const { call("notify", {nullptr}); }
  static ConditionProxy unpack(ParcelReader& reader) { return unpack_as<ConditionProxy>(reader); }

 private:
  friend class ManagerClient;
  using LockProxy::LockProxy;
};

class SemaphoreProxy : public detail::Handle {
 public:
  [[nodiscard]] bool acquire(std::chrono::nanoseconds timeout) const { return call("acquire", {seconds(timeout)}).boolean(); }
  void acquire() const { call("acquire"); }
  void release(int n = 1) const { call("release", {n}); }
  std::int64_t get_value() const { return call("get_value").integer(); }
  static SemaphoreProxy unpack(ParcelReader& reader) { return unpack_as<SemaphoreProxy>(reader); }

 private:
  friend class ManagerClient;
  using Handle::Handle;
};

class EventProxy : public detail::Handle {
 public:
  bool wait(std::optional<std::chrono::nanoseconds> timeout = std::nullopt) const { return call("wait", {seconds(timeout)}).boolean(); }
  void set() const { call("set"); }
  void clear() const { call("clear"); }
  bool is_set() const { return call("is_set").boolean(); }
  static EventProxy unpack(ParcelReader& reader) { return unpack_as<EventProxy>(reader); }

 private:
  friend class ManagerClient;
  using Handle::Handle;
};

/** A party that gives up, or is killed while it waits, breaks it: everybody gets ManagerError (BrokenBarrierError) until reset(). */
class BarrierProxy : public detail::Handle {
 public:
  /** Which of the parties this was, from 0. */
  std::int64_t wait(std::optional<std::chrono::nanoseconds> timeout = std::nullopt) const { return call("wait", {seconds(timeout)}).integer(); }
  void reset() const { call("reset"); }
  void abort() const { call("abort"); }
  std::int64_t parties() const { return call("parties").integer(); }
  std::int64_t n_waiting() const { return call("n_waiting").integer(); }
  bool broken() const { return call("broken").boolean(); }
  static BarrierProxy unpack(ParcelReader& reader) { return unpack_as<BarrierProxy>(reader); }

 private:
  friend class ManagerClient;
  using Handle::Handle;
};

class QueueProxy : public detail::Handle {
 public:
  void put(Data item) const { call("put", {std::move(item)}); }
  [[nodiscard]] bool put(Data item, std::chrono::nanoseconds timeout) const { return call("put", {std::move(item), seconds(timeout)}).boolean(); }
  [[nodiscard]] bool put_nowait(Data item) const { return put(std::move(item), std::chrono::nanoseconds(0)); }
  Data get() const { return call("get").list().at(0); }
  std::optional<Data> get(std::chrono::nanoseconds timeout) const;
  std::optional<Data> get_nowait() const { return get(std::chrono::nanoseconds(0)); }
  std::size_t qsize() const { return call("qsize").as<std::size_t>(); }
  bool empty() const { return qsize() == 0; }
  bool full() const;
  /** For each item that was taken; those that a killed process had taken count as done. */
  void task_done() const { call("task_done"); }
  /** Waits until every item that was put is done. */
  void join() const { call("join"); }
  [[nodiscard]] bool join(std::chrono::nanoseconds timeout) const { return call("join", {seconds(timeout)}).boolean(); }
  static QueueProxy unpack(ParcelReader& reader) { return unpack_as<QueueProxy>(reader); }

 private:
  friend class ManagerClient;
  using Handle::Handle;
};

/** Of a registered type (type_registry.hpp). */
class ObjectProxy : public detail::Handle {
 public:
  Data call(const std::string& method, Data::List args = {}) const { return Handle::call(method.c_str(), std::move(args)); }
  static ObjectProxy unpack(ParcelReader& reader) { return unpack_as<ObjectProxy>(reader); }

 private:
  friend class ManagerClient;
  using Handle::Handle;
};

}  // namespace cadre
