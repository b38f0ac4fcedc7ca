#pragma once
/* How two processes show each other that they have the same key, without sending it. Each challenges the other, the listener first, with messages as Python's
   multiprocessing.connection sends them from 3.12 on:

     challenger   "#CHALLENGE#{sha256}" + 40 random bytes
     the other    "{sha256}" + HMAC-SHA256(key, "{sha256}" + the 40 bytes)
     challenger   "#WELCOME#" or "#FAILURE#"

   It says who is there at the beginning. Nothing is encrypted or signed after it: over a network that others can change, use a tunnel. */
#include <span>
#include <string>
#include <string_view>

#include <cadre/talk/connection.hpp>

namespace cadre {

/** The other side has another key, or none, or does not answer. */
class AuthenticationError : public Error {
 public:
  explicit AuthenticationError(const std::string& message) : Error(message, Kind::failed) {}
};

/** Throws AuthenticationError unless the other side has the key; ConnectionClosed. */
void deliver_challenge(Connection& connection, std::string_view key);
/** Answers the other side's challenge. Throws AuthenticationError when it is no challenge, or the answer was refused; ConnectionClosed. */
void answer_challenge(Connection& connection, std::string_view key);

}  // namespace cadre
