#pragma once
/* The server of a manager: one thread, one loop over epoll, in a process of its own.

   Who may speak to it is decided before a byte is parsed: on a Unix socket by the kernel's word for who the other process is (the same user, or root); on a TCP socket by a TLS handshake in which both
   show a certificate of the manager's own authority. Until then a connection is a descriptor and a deadline, and the oldest of those makes room for the next when there are too many.

   What a client can cost the others: the time of its own calls. A message has at most `most_message` bytes; a client that does not take its answers is not read from; answers that wait (for a lock, an
   item) cost memory alone, and there are at most 64 to a connection. */
#include <chrono>
#include <memory>
#include <string>

#include <cadre/manager/type_registry.hpp>

namespace cadre {

namespace detail {
struct ServerState;
}

struct ServerOptions {
  /** "host:port" (port 0: any that is free; certificates needed), a path with a slash in it, or "@name": a Unix socket without a file. */
  std::string address;
  /** Of the certificates, for TCP: ca.pem, server.pem, server.key. */
  std::string certificates = {};
  std::size_t most_message = std::size_t{64} << 20;
  /** 0: as many as there may be descriptors, but for some. */
  std::size_t most_connections = 0;
  /** For a client to show who it is, and to say hello. */
  std::chrono::milliseconds patience{5000};
};

class ManagerServer {
 public:
  /** Listens. Throws Error. */
  explicit ManagerServer(const ServerOptions& options, TypeRegistry types = {});
  ~ManagerServer();
  /** Where it listens, with the port that was found. */
  const std::string& address() const;
  /** Serves until `stop` polls readable, or has been closed by who holds its other end. */
  void run(int stop);

 private:
  std::unique_ptr<detail::ServerState> state_;
};

}  // namespace cadre
