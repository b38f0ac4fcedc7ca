#pragma once
/* Connections between programs, on one machine or two, as Python's multiprocessing.connection has them:

     cadre::Listener listener("localhost:0", "the key");     // or "/run/user/1000/x.socket"
     cadre::Connection c = listener.accept();                // throws AuthenticationError for who has another key

     cadre::Client c(address, "the key");                    // in the other program; a Connection

   With a key, both sides prove that they have it (authentication.hpp); without one, anybody who reaches the address is let in. A listener is one process's own; it is
   not passed on, the connections that it accepts may be. */
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <cadre/sockets/authentication.hpp>
#include <cadre/talk/connection.hpp>

namespace cadre {

class Listener {
 public:
  /** How long somebody who has connected may take to show that the key is known: nobody who does not answer holds up the others for longer. */
  static constexpr std::chrono::seconds kPatience{5};

  /** Listens on "host:port" (port 0: any that is free) or on a path, which must not exist. `backlog`: how many may wait to be accepted. Throws Error. */
  explicit Listener(const std::string& address, std::optional<std::string> key = std::nullopt, int backlog = 16);
  /** Removes the path, in the process that made it. */
  ~Listener();
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;

  /** Waits for the next one who connects. Throws AuthenticationError or ConnectionClosed for one who does not get in: the listener goes on. */
  Connection accept();
  /** Where it listens, with the port that was found. */
  const std::string& address() const;
  /** Of who was accepted last; "" where it has none. */
  const std::string& last_accepted() const;
  /** Readable when somebody waits to be accepted: for poll(2) and wait(). */
  int fileno() const;
  void close() noexcept;

 private:
  struct Open;
  Open& open() const;
  std::unique_ptr<Open> open_;
};

/** A connection to a listener. Throws AuthenticationError, Error. */
class Client : public Connection {
 public:
  explicit Client(const std::string& address, std::optional<std::string> key = std::nullopt);
};

}  // namespace cadre
