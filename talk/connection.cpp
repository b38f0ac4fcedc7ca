#include <cadre/talk/connection.hpp>

#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <cadre/shm/memory.hpp>

namespace cadre {

namespace {

constexpr std::size_t kShort = 0x7fffffff;   // the longest message whose size fits in 4 bytes
constexpr std::uint32_t kLong = 0xffffffff;

[[noreturn]] void throw_closed(const char* how) { throw ConnectionClosed(std::string("the other end of the connection is closed") + how); }

}  // namespace

Connection::Connection(int fd, bool readable, bool writable)
    : end_(std::make_shared<detail::Descriptor>(fd)), readable_(readable), writable_(writable) {}

int Connection::fileno() const {
  if (closed()) throw Error("the connection is closed on this side");
  return end_->get();
}

int Connection::readable_end() const {
  const int fd = fileno();
  if (!readable_) throw Error("this end of the pipe only sends: receive from the other one");
  return fd;
}

void Connection::close() noexcept {
  if (end_) end_->close();
}

void Connection::send_bytes(std::span<const std::byte> message) {
  const int fd = fileno();
  if (!writable_) throw Error("this end of the pipe only receives: send on the other one");
  struct {
    std::uint32_t size;
    std::uint64_t long_size;
  } __attribute__((packed)) head{htonl(message.size() <= kShort ? static_cast<std::uint32_t>(message.size()) : kLong), htobe64(message.size())};
  iovec parts[2] = {{&head, message.size() <= kShort ? sizeof head.size : sizeof head}, {const_cast<std::byte*>(message.data()), message.size()}};
  msghdr all{};
  all.msg_iov = parts;
  all.msg_iovlen = 2;
  while (all.msg_iovlen > 0) {
    const ssize_t sent = sendmsg(fd, &all, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EPIPE || errno == ECONNRESET) throw_closed("");
      throw_errno("send " + human_bytes(message.size()), errno, Error::Kind::failed);
    }
    auto left = static_cast<std::size_t>(sent);
    while (all.msg_iovlen > 0 && left >= all.msg_iov->iov_len) {
      left -= all.msg_iov->iov_len;
      ++all.msg_iov;
      --all.msg_iovlen;
    }
    if (all.msg_iovlen > 0) {
      all.msg_iov->iov_base = static_cast<std::byte*>(all.msg_iov->iov_base) + left;
      all.msg_iov->iov_len -= left;
    }
  }
}

void Connection::receive(std::byte* to, std::size_t n, bool begun) {
  const int fd = readable_end();
  for (std::size_t at = 0; at < n;) {
    const ssize_t got = ::recv(fd, to + at, n - at, MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ECONNRESET) throw_errno("receive a message", errno, Error::Kind::failed);
    if (got <= 0) throw_closed(begun || at > 0 ? ", in the middle of a message" : "");
    at += static_cast<std::size_t>(got);
  }
}

std::size_t Connection::receive_size() {
  std::uint32_t size;
  receive(reinterpret_cast<std::byte*>(&size), sizeof size, false);
  size = ntohl(size);
  if (size <= kShort) return size;
  std::uint64_t long_size = 0;
  if (size == kLong) {
    receive(reinterpret_cast<std::byte*>(&long_size), sizeof long_size, true);
    long_size = be64toh(long_size);
  }
  if (size != kLong || long_size >> 47) {
    close();
    throw Error("what comes from the other end of the connection is no message: its size is impossible. The connection is closed", Error::Kind::failed);
  }
  return long_size;
}

namespace {

/** Room is made as it is filled: a size that was made up by the other side costs no memory. */
template <class Bytes, class Receive>
Bytes received(std::size_t size, Receive receive) {
  constexpr std::size_t kStep = std::size_t{64} << 20;
  Bytes bytes;
  while (bytes.size() < size) {
    const std::size_t at = bytes.size(), step = std::min(size - at, kStep);
    bytes.resize(at + step);
    receive(reinterpret_cast<std::byte*>(bytes.data()) + at, step);
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> Connection::recv_bytes(std::size_t most) {
  const std::size_t size = receive_size();
  if (size > most) {
    close();
    throw Error("a message of " + human_bytes(size) + " has come, where " + human_bytes(most) + " are allowed: the connection is closed", Error::Kind::failed);
  }
  return received<std::vector<std::byte>>(size, [this](std::byte* to, std::size_t n) { receive(to, n, true); });
}

std::string Connection::recv_text(std::size_t most) {
  const std::vector<std::byte> bytes = recv_bytes(most);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::size_t Connection::recv_bytes_into(std::span<std::byte> room) {
  const std::size_t size = receive_size();
  if (size > room.size()) {
    auto bytes = received<std::vector<std::byte>>(size, [this](std::byte* to, std::size_t n) { receive(to, n, true); });
    throw BufferTooShort("a message of " + human_bytes(size) + " does not fit in " + human_bytes(room.size()), std::move(bytes));
  }
  receive(room.data(), size, true);
  return size;
}

bool Connection::poll(std::chrono::nanoseconds timeout) const {
  const int fd = readable_end();
  return !wait(std::span<const int>(&fd, 1), timeout).empty();
}

void Connection::pack(Parcel& parcel) const {
  parcel.put_descriptor(fileno());
  parcel.put(readable_);
  parcel.put(writable_);
}

Connection Connection::unpack(ParcelReader& reader) {
  const int fd = reader.take_descriptor();
  const bool readable = reader.take<bool>();
  return Connection(fd, readable, reader.take<bool>());
}

Pipe::Pipe(bool duplex) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("make a pipe", errno, Error::Kind::failed);
  first = Connection(ends[0], true, duplex);
  second = Connection(ends[1], duplex, true);
  if (duplex) return;
  shutdown(ends[0], SHUT_WR);
  shutdown(ends[1], SHUT_RD);
}

std::vector<Connection*> wait(std::span<Connection* const> connections, std::optional<std::chrono::nanoseconds> timeout) {
  std::vector<int> fds;
  for (const Connection* c : connections) fds.push_back(c->fileno());
  const std::vector<int> ready = wait(std::span<const int>(fds), timeout);
  std::vector<Connection*> all;
  for (Connection* c : connections)
    if (std::find(ready.begin(), ready.end(), c->fileno()) != ready.end()) all.push_back(c);
  return all;
}

}  // namespace cadre
