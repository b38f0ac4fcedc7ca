#pragma once
/* The client's side of a session: connections, of which each call takes one for itself. A forked child finds no connection of its parent's: they are closed in it, without a word to the manager. */
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sys/types.h>

#include <cadre/manager/data.hpp>

namespace cadre::detail {

class TlsContext;
class ServerLink;

class ClientState {
 public:
  ClientState(std::string address, std::string certificates);
  ~ClientState();
  /** The one of this process for that manager: proxies that were passed to it share a session. */
  static std::shared_ptr<ClientState> of(const std::string& address, const std::string& certificates);

  /** One message there, one back. `object` null: the manager itself. Throws ManagerError, ManagerGone, Error (it can not be reached). */
  Data call(const Data& object, const Data::List& path, const char* verb, Data::List args);

  const std::string& address() const noexcept { return address_; }
  const std::string& certificates() const noexcept { return certificates_; }
  pid_t server_pid();
  bool is_local() const noexcept { return local_; }

 private:
  friend class ServerLink;
  std::unique_ptr<ServerLink> take();
  std::string address_, certificates_;
  bool local_;
  std::unique_ptr<TlsContext> tls_;
  /* Guarded by the mutex of all connections (session.cpp), which is held across a fork. */
  std::vector<std::unique_ptr<ServerLink>> idle_;
  std::size_t open_ = 0;
  std::string token_;  // of the session; "": none yet
  pid_t server_pid_ = 0;
  std::uint64_t generation_ = 0;  // of forks, when these were made
};

}  // namespace cadre::detail
