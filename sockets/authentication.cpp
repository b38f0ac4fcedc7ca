#include <cadre/sockets/authentication.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <array>
#include <cerrno>

namespace cadre {

namespace {

constexpr std::string_view kChallenge = "#CHALLENGE#", kWelcome = "#WELCOME#", kFailure = "#FAILURE#", kDigest = "{sha256}";
constexpr std::size_t kRandom = 40, kLongest = 256, kShortest = 20;  // bytes

std::string answer_to(std::string_view message, std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest.data(), &size))
    throw Error("compute an HMAC-SHA256: OpenSSL refuses", Error::Kind::failed);
  return std::string(kDigest) + std::string(reinterpret_cast<const char*>(digest.data()), size);
}

std::string random_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t at = 0; at < n;) {
    const ssize_t got = getrandom(bytes.data() + at, n - at, 0);
    if (got < 0 && errno != EINTR) throw_errno("get random bytes for a challenge", errno, Error::Kind::failed);
    if (got > 0) at += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace

void deliver_challenge(Connection& connection, std::string_view key) {
  const std::string message = std::string(kDigest) + random_bytes(kRandom);
  connection.send_bytes(std::string(kChallenge) + message);
  const std::string answer = connection.recv_text(kLongest), right = answer_to(message, key);
  // Compared in a time that does not tell where they differ.
  if (answer.size() != right.size() || CRYPTO_memcmp(answer.data(), right.data(), right.size()) != 0) {
    connection.send_bytes(kFailure);
    throw AuthenticationError("the other side does not have the key: its answer to the challenge is wrong");
  }
  connection.send_bytes(kWelcome);
}

void answer_challenge(Connection& connection, std::string_view key) {
  const std::string challenge = connection.recv_text(kLongest);
  if (!challenge.starts_with(kChallenge)) throw AuthenticationError("the other side sends no challenge: it is no listener with a key");
  const std::string_view message = std::string_view(challenge).substr(kChallenge.size());
  if (!message.starts_with(kDigest)) throw AuthenticationError("the other side wants another digest than HMAC-SHA256: Python has it from 3.12 on");
  if (message.size() < kDigest.size() + kShortest) throw AuthenticationError("the other side's challenge is too short to be safe");
  connection.send_bytes(answer_to(message, key));
  if (connection.recv_text(kLongest) != kWelcome) throw AuthenticationError("the other side refuses this side's answer to its challenge: the keys differ");
}

}  // namespace cadre
