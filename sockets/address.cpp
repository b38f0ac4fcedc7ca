#include <cadre/sockets/address.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <memory>

#include <cadre/shm/error.hpp>

namespace cadre::detail {

namespace {

SocketAddress unix_address(const std::string& path) {
  SocketAddress a;
  auto& name = reinterpret_cast<sockaddr_un&>(a.storage);
  if (path.size() >= sizeof name.sun_path)
    throw Error("the path of a socket may have up to " + std::to_string(sizeof name.sun_path - 1) + " bytes: " + path + " has " + std::to_string(path.size()));
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return a;
}

}  // namespace

std::vector<SocketAddress> resolve_address(const std::string& address) {
  if (address.find('/') != std::string::npos) return {unix_address(address)};
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size())
    throw Error("\"" + address + "\" is no address: write host:port, or the path of a socket with a slash in it (./socket)");
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV;
  const int error = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &wanted, &found);
  if (error) throw Error("look up " + address + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<SocketAddress> all;
  for (const addrinfo* at = found; at; at = at->ai_next) {
    SocketAddress& a = all.emplace_back();
    std::memcpy(&a.storage, at->ai_addr, at->ai_addrlen);
    a.size = at->ai_addrlen;
  }
  return all;
}

std::string text_of(const SocketAddress& a) {
  if (a.family() == AF_UNIX) {
    const auto& name = reinterpret_cast<const sockaddr_un&>(a.storage);
    return a.size > offsetof(sockaddr_un, sun_path) ? name.sun_path : "";
  }
  char host[NI_MAXHOST], port[NI_MAXSERV];
  const int error = getnameinfo(a.get(), a.size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  if (error) return "";
  return a.family() == AF_INET6 ? "[" + std::string(host) + "]:" + port : std::string(host) + ":" + port;
}

}  // namespace cadre::detail
