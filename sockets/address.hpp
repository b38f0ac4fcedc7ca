#pragma once
/* Where a listener listens: "host:port" (TCP; "[::1]:port"; port 0: any that is free) or a path with a slash in it (a Unix socket). */
#include <string>
#include <vector>

#include <sys/socket.h>

namespace cadre::detail {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/** What `address` stands for: for a host with several addresses, all of them. Throws Error: neither form, no such host, a path that is too long. */
std::vector<SocketAddress> resolve_address(const std::string& address);
/** As it is written; "" for a Unix socket without a name. */
std::string text_of(const SocketAddress& address);

}  // namespace cadre::detail
