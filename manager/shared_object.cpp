#include <cadre/manager/shared_object.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace cadre::detail {

namespace {

[[noreturn]] void no_verb(const char* type, std::string_view verb) { throw Error(std::string("AttributeError: a ") + type + " has no " + std::string(verb)); }

Data arg_or_null(const Data::List& args, std::size_t i) { return i < args.size() ? args[i] : Data(); }
bool waits(const Data& timeout) { return timeout.is_null() || timeout.real() > 0; }

template <class Queue>
auto found(Queue& queue, const CallPtr& call) {
  return std::find_if(queue.begin(), queue.end(), [&](const auto& each) { return each.call == call; });
}

/* Lock and RLock. Whoever asks is told how it came by the lock: 0 acquired, 1 its holder died with it, 2 not at all. */
class LockObject : public SharedObject {
 public:
  explicit LockObject(bool reentrant) : reentrant_(reentrant) {}

  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "acquire") {  // timeout
      if (reentrant_ && holder_ && holder_->is(*call)) {
        ++depth_;
        return call->reply(0);
      }
      if (!holder_) {
        take(*call, 1);
        return call->reply(std::exchange(died_, false) ? 1 : 0);
      }
      const Data timeout = arg_or_null(args, 0);
      if (!waits(timeout)) return call->reply(2);
      waiting_.push_back({call, 1, false, {}});
      call->park(*this, timeout);
    } else if (verb == "release") {
      if (!holder_) throw Error("RuntimeError: release of a lock that nobody holds");
      if (reentrant_) require_held(*call);
      if (--depth_ == 0) hand_on(false);
      call->reply({});
    } else if (verb == "locked") {
      call->reply(holder_.has_value());
    } else {
      no_verb(reentrant_ ? "RLock" : "Lock", verb);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    waiting_.erase(found(waiting_, call));
    if (!gone) call->reply(2);
  }
  void end_session(SessionId session) override {
    if (holder_ && holder_->session == session) hand_on(true);
  }

 protected:
  struct Holder {
    SessionId session;
    std::int64_t thread;
    bool is(const PendingCall& c) const { return session == c.session && thread == c.thread; }
  };
  /** One that waits for the lock, to have it `depth` times; `result`: what it is told instead of how it came by it. */
  struct Waiter {
    CallPtr call;
    std::int64_t depth;
    bool notified;
    std::optional<Data> result;
  };
  void take(const PendingCall& call, std::int64_t depth) {
    holder_ = Holder{call.session, call.thread};
    depth_ = depth;
  }
  void require_held(const PendingCall& call) const {
    if (!holder_ || !holder_->is(call)) throw Error("RuntimeError: the lock is not held by this thread");
  }
  void hand_on(bool died) {
    holder_.reset();
    depth_ = 0;
    died_ = died_ || died;
    if (waiting_.empty()) return;
    Waiter next = std::move(waiting_.front());
    waiting_.pop_front();
    take(*next.call, next.depth);
    const int how = std::exchange(died_, false) ? 1 : 0;
    next.call->reply(next.result ? std::move(*next.result) : Data(how));
  }
  bool reentrant_, died_ = false;
  std::optional<Holder> holder_;
  std::int64_t depth_ = 0;
  std::deque<Waiter> waiting_;
};

/* A condition has an RLock of its own. One that was notified waits for the lock; if it dies then, another is notified in its place. */
class ConditionObject final : public LockObject {
 public:
  ConditionObject() : LockObject(true) {}

  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "wait") {  // timeout
      require_held(*call);
      const Data timeout = arg_or_null(args, 0);
      if (!waits(timeout)) return call->reply(false);
      sleeping_.push_back({call, depth_, false, {}});
      call->park(*this, timeout);
      hand_on(false);
    } else if (verb == "notify") {  // how many; null: all
      require_held(*call);
      std::int64_t n = args.empty() ? 1 : args[0].is_null() ? static_cast<std::int64_t>(sleeping_.size()) : args[0].integer();
      for (; n > 0 && !sleeping_.empty(); --n) wake();
      call->reply({});
    } else {
      LockObject::call(call, verb, args);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    if (const auto sleeper = found(sleeping_, call); sleeper != sleeping_.end()) {
      Waiter waiter = std::move(*sleeper);
      sleeping_.erase(sleeper);
      if (gone) return;
      waiter.result = false;  // its time is up: it is told so once it has the lock again
      want_lock(std::move(waiter));
      return;
    }
    const auto waiter = found(waiting_, call);
    const bool notified = waiter->notified;
    if (!notified) return LockObject::leave(call, gone);
    waiting_.erase(waiter);
    if (!sleeping_.empty()) wake();
  }

 private:
  void wake() {
    Waiter waiter = std::move(sleeping_.front());
    sleeping_.pop_front();
    waiter.notified = true;
    waiter.result = true;
    want_lock(std::move(waiter));
  }
  void want_lock(Waiter waiter) {
    waiter.call->park(*this, {});  // for the lock, as long as it takes
    waiting_.push_back(std::move(waiter));
    if (!holder_) hand_on(false);
  }
  std::deque<Waiter> sleeping_;
};

class SemaphoreObject final : public SharedObject {
 public:
  SemaphoreObject(std::int64_t value, bool bounded) : value_(value), most_(bounded ? std::optional(value) : std::nullopt) {
    if (value < 0) throw Error("ValueError: a semaphore begins with 0 permits or more");
  }
  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "acquire") {  // timeout
      if (value_ > 0) {
        take(*call);
        return call->reply(true);
      }
      const Data timeout = arg_or_null(args, 0);
      if (!waits(timeout)) return call->reply(false);
      waiting_.push_back({call});
      call->park(*this, timeout);
    } else if (verb == "release") {  // how many
      const std::int64_t n = args.empty() ? 1 : args[0].integer();
      if (n < 1) throw Error("ValueError: n must be one or more");
      if (most_ && value_ + n > *most_) throw Error("ValueError: Semaphore released too many times");
      std::int64_t& held = held_[call->session];
      held -= std::min(held, n);
      if (held == 0) held_.erase(call->session);
      give(n);
      call->reply({});
    } else if (verb == "get_value") {
      call->reply(value_);
    } else {
      no_verb("Semaphore", verb);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    waiting_.erase(found(waiting_, call));
    if (!gone) call->reply(false);
  }
  void end_session(SessionId session) override {
    const auto held = held_.find(session);
    if (held == held_.end()) return;
    const std::int64_t n = held->second;
    held_.erase(held);
    give(n);
  }

 private:
  struct Waiter {
    CallPtr call;
  };
  void take(const PendingCall& call) {
    --value_;
    ++held_[call.session];
  }
  void give(std::int64_t n) {
    for (value_ += n; value_ > 0 && !waiting_.empty();) {
      const CallPtr next = std::move(waiting_.front().call);
      waiting_.pop_front();
      take(*next);
      next->reply(true);
    }
  }
  std::int64_t value_;
  std::optional<std::int64_t> most_;
  std::map<SessionId, std::int64_t> held_;
  std::deque<Waiter> waiting_;
};

class EventObject final : public SharedObject {
 public:
  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "wait") {  // timeout
      const Data timeout = arg_or_null(args, 0);
      if (set_ || !waits(timeout)) return call->reply(set_);
      waiting_.push_back({call});
      call->park(*this, timeout);
    } else if (verb == "set") {
      set_ = true;
      for (; !waiting_.empty(); waiting_.pop_front()) waiting_.front().call->reply(true);
      call->reply({});
    } else if (verb == "clear") {
      set_ = false;
      call->reply({});
    } else if (verb == "is_set") {
      call->reply(set_);
    } else {
      no_verb("Event", verb);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    waiting_.erase(found(waiting_, call));
    if (!gone) call->reply(false);
  }
  void end_session(SessionId) override {}

 private:
  struct Waiter {
    CallPtr call;
  };
  bool set_ = false;
  std::deque<Waiter> waiting_;
};

class BarrierObject final : public SharedObject {
 public:
  explicit BarrierObject(std::int64_t parties) : parties_(parties) {
    if (parties < 1) throw Error("ValueError: a barrier has one party or more");
  }
  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "wait") {  // timeout
      if (broken_) throw broken();
      const Data timeout = arg_or_null(args, 0);
      if (static_cast<std::int64_t>(waiting_.size()) + 1 == parties_) {
        for (std::int64_t i = 0; !waiting_.empty(); ++i) {
          waiting_.front().call->reply(i);
          waiting_.pop_front();
        }
        return call->reply(parties_ - 1);
      }
      if (!waits(timeout)) {
        shatter();
        throw broken();
      }
      waiting_.push_back({call});
      call->park(*this, timeout);
    } else if (verb == "abort") {
      shatter();
      call->reply({});
    } else if (verb == "reset") {
      shatter();
      broken_ = false;
      call->reply({});
    } else if (verb == "parties") {
      call->reply(parties_);
    } else if (verb == "n_waiting") {
      call->reply(waiting_.size());
    } else if (verb == "broken") {
      call->reply(broken_);
    } else {
      no_verb("Barrier", verb);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    waiting_.erase(found(waiting_, call));
    shatter();
    if (!gone) call->fail(broken().what());
  }
  void end_session(SessionId) override {}

 private:
  struct Waiter {
    CallPtr call;
  };
  static Error broken() { return Error("BrokenBarrierError: a party gave up, was killed while it waited, or aborted the barrier: reset() mends it"); }
  void shatter() {
    broken_ = true;
    for (; !waiting_.empty(); waiting_.pop_front()) waiting_.front().call->fail(broken().what());
  }
  std::int64_t parties_;
  bool broken_ = false;
  std::deque<Waiter> waiting_;
};

/* An item that was taken is not done until task_done(): by whoever took it, or, where its taker had none, another. What the dead had taken is done: it will not be. */
class QueueObject final : public SharedObject {
 public:
  explicit QueueObject(std::int64_t maxsize) : most_(maxsize > 0 ? static_cast<std::size_t>(maxsize) : SIZE_MAX) {}

  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    if (verb == "put") {  // item, timeout: whether it was put
      if (args.empty()) throw Error("TypeError: put takes an item");
      if (items_.size() < most_) {
        put(std::move(args[0]));
        return call->reply(true);
      }
      const Data timeout = arg_or_null(args, 1);
      if (!waits(timeout)) return call->reply(false);
      putting_.push_back({call, std::move(args[0])});
      call->park(*this, timeout);
    } else if (verb == "get") {  // timeout: [item], or nothing
      if (!items_.empty()) return give(call);
      const Data timeout = arg_or_null(args, 0);
      if (!waits(timeout)) return call->reply({});
      getting_.push_back({call, {}});
      call->park(*this, timeout);
    } else if (verb == "qsize") {
      call->reply(items_.size());
    } else if (verb == "maxsize") {
      call->reply(most_ == SIZE_MAX ? 0 : static_cast<std::int64_t>(most_));
    } else if (verb == "task_done") {
      auto held = taken_.find(call->session);
      if (held == taken_.end()) held = taken_.begin();
      if (held == taken_.end()) throw Error("ValueError: task_done() called too many times");
      if (--held->second == 0) taken_.erase(held);
      call->reply({});
      if (unfinished() == 0) all_done();
    } else if (verb == "join") {  // timeout
      if (unfinished() == 0) return call->reply(true);
      const Data timeout = arg_or_null(args, 0);
      if (!waits(timeout)) return call->reply(false);
      joining_.push_back({call, {}});
      call->park(*this, timeout);
    } else {
      no_verb("Queue", verb);
    }
  }
  void leave(const CallPtr& call, bool gone) override {
    for (auto* queue : {&putting_, &getting_, &joining_}) {
      const auto at = found(*queue, call);
      if (at == queue->end()) continue;
      queue->erase(at);
      if (!gone) call->reply(queue == &getting_ ? Data() : Data(false));
      return;
    }
  }
  void end_session(SessionId session) override {
    if (taken_.erase(session) && unfinished() == 0) all_done();
  }

 private:
  struct Waiter {
    CallPtr call;
    Data item;
  };
  std::size_t unfinished() const {
    std::size_t n = items_.size();
    for (const auto& [session, count] : taken_) n += count;
    return n;
  }
  void all_done() {
    for (; !joining_.empty(); joining_.pop_front()) joining_.front().call->reply(true);
  }
  void put(Data item) {
    items_.push_back(std::move(item));
    if (getting_.empty()) return;
    const CallPtr next = std::move(getting_.front().call);
    getting_.pop_front();
    give(next);
  }
  void give(const CallPtr& call) {
    Data::List one;
    one.push_back(std::move(items_.front()));
    items_.pop_front();
    ++taken_[call->session];
    call->reply(std::move(one));
    if (putting_.empty() || items_.size() >= most_) return;
    Waiter next = std::move(putting_.front());
    putting_.pop_front();
    next.call->reply(true);
    put(std::move(next.item));
  }
  std::size_t most_;
  std::deque<Data> items_;
  std::deque<Waiter> putting_, getting_, joining_;
  std::map<SessionId, std::size_t> taken_;
};

class CustomObject final : public SharedObject {
 public:
  CustomObject(std::string name, const TypeRegistry::Type& type, Data::List& args) : name_(std::move(name)), type_(type), object_(type.make(args)) {}
  void call(const CallPtr& call, std::string_view verb, Data::List& args) override {
    const auto method = type_.methods.find(verb);
    if (method == type_.methods.end()) no_verb(name_.c_str(), verb);
    call->reply(method->second(object_.get(), args));
  }
  void leave(const CallPtr&, bool) override {}
  void end_session(SessionId) override {}

 private:
  std::string name_;
  const TypeRegistry::Type& type_;
  std::shared_ptr<void> object_;
};

}  // namespace

std::unique_ptr<SharedObject> make_shared_object(std::string_view kind, Data::List& args, const TypeRegistry& types) {
  const auto number = [&](std::int64_t otherwise) { return args.empty() || args[0].is_null() ? otherwise : args[0].integer(); };
  if (kind == "lock") return std::make_unique<LockObject>(false);
  if (kind == "rlock") return std::make_unique<LockObject>(true);
  if (kind == "semaphore") return std::make_unique<SemaphoreObject>(number(1), false);
  if (kind == "bounded_semaphore") return std::make_unique<SemaphoreObject>(number(1), true);
  if (kind == "condition") return std::make_unique<ConditionObject>();
  if (kind == "event") return std::make_unique<EventObject>();
  if (kind == "barrier") return std::make_unique<BarrierObject>(number(0));
  if (kind == "queue") return std::make_unique<QueueObject>(number(0));
  if (const TypeRegistry::Type* type = types.find(kind)) return std::make_unique<CustomObject>(std::string(kind), *type, args);
  throw Error("NameError: the manager has no type " + std::string(kind) + ": its program registers the types that it has");
}

}  // namespace cadre::detail
