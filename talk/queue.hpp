#pragma once
/* Queues between processes, as Python's multiprocessing names them, in shared memory:

     cadre::Queue<int> q(100);                        // 100 items at most
     q.put(7);                                        // waits for room
     if (std::optional<int> item = q.get(100ms)) ...  // nothing: none came in that time
     cadre::Queue<std::string> texts;                 // whatever can be passed to a process; 1 MiB of them at most

   Any number of processes and threads put and take; items arrive in the order in which they were put, each once. There is no feeder thread: what put() has returned of
   is there, whatever becomes of the process that put it. A process that is killed loses at most the item that it was putting, or that it had just taken, and holds nobody up
   (ring.hpp says how). Queues are made by the program's first process and passed on as arguments. */
#include <array>
#include <bit>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <cadre/shm/shared.hpp>
#include <cadre/sync/value.hpp>
#include <cadre/talk/ring.hpp>

namespace cadre {

namespace detail {

/** What lies in a ring as its bytes alone. Others are packed as arguments are, each with its size. */
template <class T>
inline constexpr bool lies_as_bytes = IsBytes<T> && !PacksItself<T> && !IsFunctionPointer<T> && !std::is_member_pointer_v<T>;

/** The part of all queues that does not depend on T. */
class QueueRing {
 public:
  /** Throws Error: more than 4 M items, no room, not the program's first process. */
  QueueRing(std::uint64_t maxsize, std::uint64_t bytes, std::uint64_t record);
  Ring ring() const { return Ring(*state_); }
  bool put_packed(const Parcel& parcel, Deadline deadline) const;

  void pack(Parcel& parcel) const { state_.pack(parcel); }
  static QueueRing unpack(ParcelReader& reader) { return QueueRing(Shared<RingState>::unpack(reader)); }

 private:
  explicit QueueRing(Shared<RingState> state) : state_(std::move(state)) {}
  SharedBytes data_;
  Shared<RingState> state_;
};

}  // namespace detail

/** put, get and empty alone. */
template <class T>
class SimpleQueue {
  static_assert(can_travel<T>, "an item of a queue must be trivially copyable, a shared handle (array, value, lock ...), a std::string, or a std::vector, pair or tuple of these");
  static_assert(!std::is_pointer_v<T> || std::is_function_v<std::remove_pointer_t<T>>, "a pointer means nothing in another process: put what it points to, or an index");

 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  SimpleQueue() : SimpleQueue(0, kBytes) {}

  /** Waits for room. Throws Error when the item is larger than the whole queue. */
  void put(const T& item) { (void)put_until(item, Deadline::never()); }
  /** Waits for an item. */
  T get() { return std::move(*get_until(Deadline::never())); }
  /** As of now. */
  bool empty() const { return ring_.ring().empty(); }

  void pack(Parcel& parcel) const { ring_.pack(parcel); }
  static SimpleQueue unpack(ParcelReader& reader) { return SimpleQueue(detail::QueueRing::unpack(reader)); }

 protected:
  static constexpr std::size_t kRecord = detail::lies_as_bytes<T> ? (sizeof(T) + 7) / 8 * 8 : 0;
  SimpleQueue(std::size_t maxsize, std::size_t bytes) : ring_(maxsize, bytes, kRecord) {}
  explicit SimpleQueue(detail::QueueRing ring) : ring_(std::move(ring)) {}

  bool put_until(const T& item, Deadline deadline) {
    if constexpr (kRecord != 0) {
      return ring_.ring().put(&item, sizeof(T), deadline);
    } else {
      Parcel parcel;
      Travel<T>::pack(parcel, item);
      return ring_.put_packed(parcel, deadline);
    }
  }
  /** `before` is called when the item has been read, under the lock of those that take: what it throws leaves it there. */
  template <class Before>
  std::optional<T> get_until(Deadline deadline, Before before) {
    std::optional<T> item;
    if constexpr (kRecord != 0) {
      (void)ring_.ring().take(deadline, [&](const std::byte* bytes, std::size_t n, const std::byte* rest, std::size_t) {
        union Room {  // which needs no default constructor of T
          Room() {}
          T value;
        } room;
        if (n >= sizeof(T)) {
          std::memcpy(static_cast<void*>(&room.value), bytes, sizeof(T));
        } else {
          std::memcpy(static_cast<void*>(&room.value), bytes, n);
          std::memcpy(reinterpret_cast<std::byte*>(&room.value) + n, rest, sizeof(T) - n);
        }
        item.emplace(room.value);
        before();
      });
    } else {
      std::vector<std::byte> all;
      const bool taken = ring_.ring().take(deadline, [&](const std::byte* bytes, std::size_t n, const std::byte* rest, std::size_t m) {
        all.resize(n + m);
        if (n) std::memcpy(all.data(), bytes, n);
        if (m) std::memcpy(all.data() + n, rest, m);
        before();
      });
      if (taken) {
        ParcelReader reader(all);
        item.emplace(Travel<T>::unpack(reader));
      }
    }
    return item;
  }
  std::optional<T> get_until(Deadline deadline) {
    return get_until(deadline, [] {});
  }
  detail::QueueRing ring_;
};

template <class T>
class Queue : public SimpleQueue<T> {
  using Base = SimpleQueue<T>;

 public:
  /** At most `maxsize` items; 0: as many as fit in `bytes`. Items that are not of one size take their bytes and up to 16 more. Throws Error: no room, or not the
      program's first process. */
  explicit Queue(std::size_t maxsize = 0, std::size_t bytes = Base::kBytes) : Base(maxsize, bytes) {}

  using Base::get;
  using Base::put;
  /** Waits at most so long for room: whether the item was put. */
  [[nodiscard]] bool put(const T& item, std::chrono::nanoseconds timeout) { return this->put_until(item, Deadline::in(timeout)); }
  [[nodiscard]] bool put_nowait(const T& item) { return put(item, std::chrono::nanoseconds(0)); }
  /** Waits at most so long for an item: nothing when none came. */
  std::optional<T> get(std::chrono::nanoseconds timeout) { return this->get_until(Deadline::in(timeout)); }
  std::optional<T> get_nowait() { return get(std::chrono::nanoseconds(0)); }
  /** As of now. */
  std::size_t qsize() const { return this->ring_.ring().items(); }
  bool full() const { return this->ring_.ring().full(); }
  std::size_t maxsize() const { return this->ring_.ring()->most; }

  static Queue unpack(ParcelReader& reader) { return Queue(detail::QueueRing::unpack(reader)); }

 protected:
  explicit Queue(detail::QueueRing ring) : Base(std::move(ring)) {}
};

namespace detail {

/** Who has items of a JoinableQueue that are not done yet: unfinished = in the queue + held by the living. All guarded by the ring's take_lock, but for the bell. */
struct Unfinished {
  static constexpr std::uint32_t kMostHolders = 1024;
  Bell all_done;
  std::uint32_t used;                                              // no entry from here on was ever taken
  std::array<std::atomic<std::uint64_t>, kMostHolders> holdings;  // participant << 32 | items

  /** One more for this process. Throws Error when more than 1,024 hold some. */
  void hold();
  /** One less, of this process or, where it has none, of another. False: nobody has any. */
  bool done();
  /** Held by the living; what the dead had is forgotten. */
  std::uint64_t held();
};
bool finish_one(const QueueRing& ring, Unfinished& unfinished);
bool wait_until_done(const QueueRing& ring, Unfinished& unfinished, Deadline deadline);

}  // namespace detail

/** A queue that knows which items are done: who gets one calls task_done() for it. Items that a killed process had taken count as done: they will not be. */
template <class T>
class JoinableQueue : public Queue<T> {
 public:
  explicit JoinableQueue(std::size_t maxsize = 0, std::size_t bytes = SimpleQueue<T>::kBytes) : Queue<T>(maxsize, bytes), unfinished_(Shared<detail::Unfinished>::make()) {}

  T get() { return std::move(*get_held(Deadline::never())); }
  std::optional<T> get(std::chrono::nanoseconds timeout) { return get_held(Deadline::in(timeout)); }
  std::optional<T> get_nowait() { return get(std::chrono::nanoseconds(0)); }
  /** Throws Error when it is called more often than items were taken. */
  void task_done() {
    if (!detail::finish_one(this->ring_, *unfinished_)) throw Error("task_done() was called more often than there were items");
  }
  /** Waits until every item that was put is done; with a timeout, whether they are. */
  void join() { (void)detail::wait_until_done(this->ring_, *unfinished_, Deadline::never()); }
  [[nodiscard]] bool join(std::chrono::nanoseconds timeout) { return detail::wait_until_done(this->ring_, *unfinished_, Deadline::in(timeout)); }

  void pack(Parcel& parcel) const {
    Queue<T>::pack(parcel);
    unfinished_.pack(parcel);
  }
  static JoinableQueue unpack(ParcelReader& reader) {
    auto ring = detail::QueueRing::unpack(reader);
    return JoinableQueue(std::move(ring), Shared<detail::Unfinished>::unpack(reader));
  }

 private:
  JoinableQueue(detail::QueueRing ring, Shared<detail::Unfinished> unfinished) : Queue<T>(std::move(ring)), unfinished_(std::move(unfinished)) {}
  std::optional<T> get_held(Deadline deadline) {
    return this->get_until(deadline, [this] { unfinished_->hold(); });
  }
  Shared<detail::Unfinished> unfinished_;
};

}  // namespace cadre
