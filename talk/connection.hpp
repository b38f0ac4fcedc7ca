#pragma once
/* Messages over a stream, as Python's multiprocessing.connection has them, frame for frame: what send_bytes() sends, Python's recv_bytes() receives, and the other
   way round.

     auto [here, there] = cadre::Pipe();
     cadre::Process p([](cadre::Connection& c) { c.send(c.recv<int>() + 1); }, there);
     p.start();
     here.send(41);
     here.recv<int>();                            // 42
     std::vector<double> room(1000);
     here.recv_bytes_into(std::as_writable_bytes(std::span(room)));   // no copy besides

   A message has its size in front: 4 bytes, the most significant first; a size of 2 GiB and more is -1 and then 8 bytes. Copies of a connection are handles of the
   same descriptor, which is closed with the last of them; a process gets one of its own as an argument, and has no other, forked or not. At most one thread of all processes sends on one end at a time, and
   at most one receives.

   When the other end is gone (in all processes that have it: close() yours of what you gave away), recv throws ConnectionClosed once everything has been received, and
   send throws it at once. A process that is killed in the middle of a message leaves a piece of it, after which recv throws ConnectionClosed too. */
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <cadre/pool/process.hpp>
#include <cadre/shm/parcel.hpp>
#include <cadre/talk/descriptor.hpp>

namespace cadre {

/** The other end is gone. (Python: EOFError, BrokenPipeError.) */
class ConnectionClosed : public Error {
 public:
  explicit ConnectionClosed(const std::string& message) : Error(message, Kind::failed) {}
};

/** A message is longer than the room that it was to be received into. It has been received all the same: here it is. */
class BufferTooShort : public Error {
 public:
  BufferTooShort(const std::string& error, std::vector<std::byte> message) : Error(error, Kind::failed), message_(std::move(message)) {}
  const std::vector<std::byte>& message() const noexcept { return message_; }

 private:
  std::vector<std::byte> message_;
};

class Connection {
 public:
  /** None: every use throws Error, as after close(). */
  Connection() = default;
  /** Takes over a stream socket. */
  explicit Connection(int fd, bool readable = true, bool writable = true);

  /** Waits until the kernel has taken all of it. Throws ConnectionClosed, Error. */
  void send_bytes(std::span<const std::byte> message);
  void send_bytes(std::string_view message) { send_bytes(std::as_bytes(std::span(message))); }
  /** The next message; waits for it. One of more than `most` bytes is an Error, and closes this end. */
  std::vector<std::byte> recv_bytes(std::size_t most = std::numeric_limits<std::size_t>::max());
  /** The same as text. */
  std::string recv_text(std::size_t most = std::numeric_limits<std::size_t>::max());
  /** The next message into the caller's memory; its size. Throws BufferTooShort. */
  std::size_t recv_bytes_into(std::span<std::byte> room);

  /** A value of any type that can be passed to a process; connections apart. */
  template <class T>
  void send(const T& value) {
    using Kept = detail::KeptAs<T>;
    static_assert(can_travel<Kept>, "what is sent must be trivially copyable, a shared handle (array, value, lock ...), a std::string, or a std::vector, pair or tuple of these");
    Parcel parcel;
    Travel<Kept>::pack(parcel, value);
    parcel.require_bytes_alone("a connection");
    send_bytes(parcel.bytes());
  }
  /** The next message, which must be a T. Throws Error when it is not as long as one. */
  template <class T>
  T recv() {
    static_assert(can_travel<T>, "what is received must be trivially copyable, a shared handle (array, value, lock ...), a std::string, or a std::vector, pair or tuple of these");
    const std::vector<std::byte> bytes = recv_bytes();
    ParcelReader reader(bytes);
    T value = Travel<T>::unpack(reader);
    if (!reader.left().empty()) throw Error("a message of " + std::to_string(bytes.size()) + " bytes is longer than the type that it was to be: both sides must name the same type");
    return value;
  }

  /** Whether something can be received without waiting (a message, or that the other end is gone), or can within `timeout`. */
  bool poll(std::chrono::nanoseconds timeout = std::chrono::nanoseconds(0)) const;
  /** For poll(2) and the like, with sentinels of processes too. */
  int fileno() const;
  bool readable() const noexcept { return readable_; }
  bool writable() const noexcept { return writable_; }
  bool closed() const noexcept { return !end_ || end_->get() < 0; }
  /** Of all handles in this process. */
  void close() noexcept;

  void pack(Parcel& parcel) const;
  static Connection unpack(ParcelReader& reader);

 private:
  int readable_end() const;
  void receive(std::byte* to, std::size_t n, bool begun);
  std::size_t receive_size();
  std::shared_ptr<detail::Descriptor> end_;
  bool readable_ = false, writable_ = false;
};

/** Two ends of one stream: both send and receive; with `duplex` false, `first` receives what `second` sends. auto [a, b] = cadre::Pipe(); */
struct Pipe {
  explicit Pipe(bool duplex = true);
  Connection first, second;
};

/** Those of the connections that something can be received from without waiting: waits for one at least, at most `timeout`. */
std::vector<Connection*> wait(std::span<Connection* const> connections, std::optional<std::chrono::nanoseconds> timeout = std::nullopt);

}  // namespace cadre
