#pragma once
/* A stream socket, plain or under TLS 1.3 with certificates on both sides, for either side of a manager's connection. Works on blocking sockets and on others: `again` is what the latter, and
   the former after their timeout, say instead of waiting. */
#include <memory>
#include <string>
#include <string_view>

#include <cadre/shm/error.hpp>

struct ssl_ctx_st;
struct ssl_st;

namespace cadre::detail {

/** The certificates of one side, loaded (certificates.hpp has the files). */
class TlsContext {
 public:
  /** Throw Error: a file that is missing, or not what it should be, with its path. */
  static TlsContext server(const std::string& directory);
  static TlsContext client(const std::string& directory);
  ssl_ctx_st* get() const noexcept { return context_.get(); }

 private:
  TlsContext(const std::string& directory, const std::string& name, bool server);
  std::shared_ptr<ssl_ctx_st> context_;
};

/** Sends small messages at once, and knows the other side by its silence to be gone within half a minute: for both sides of a TCP connection. */
void tune_tcp(int fd);

class Transport {
 public:
  enum class Io { done, again_read, again_write, closed };
  /** Takes over the socket. */
  explicit Transport(int fd) : fd_(fd) {}
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();

  /** Puts TLS on it: as the server, or as a client of `host`, whose name the server's certificate must have. Then shake_hands() until it is done. */
  void secure(const TlsContext& context, bool server, const std::string& host = {});
  /** `closed`: refused, or given up; failure() says why. */
  Io shake_hands();
  /** Appends what is there, 64 KiB at most. */
  Io read(std::string& to);
  /** Removes what was written from the front. */
  Io write(std::string_view& bytes);

  int fd() const noexcept { return fd_; }
  /** Why it was closed; "" where the other side just did. */
  const std::string& failure() const noexcept { return failure_; }
  /** Leaves the socket to the other processes that have it: nothing is said to the other side. */
  void abandon() noexcept;

 private:
  Io failed(int result, const char* deed);
  int fd_;
  ssl_st* ssl_ = nullptr;
  std::string failure_;
};

}  // namespace cadre::detail
