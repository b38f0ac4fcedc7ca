#include <cadre/manager/transport.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cadre::detail {

namespace {

constexpr std::size_t kPiece = 64 << 10;
constexpr unsigned char kProtocols[] = {2, 'h', '2'};  // as ALPN has it

std::string openssl_reason() {
  std::string all;
  while (const unsigned long error = ERR_get_error()) {
    const char* const reason = ERR_reason_error_string(error);
    if (!all.empty()) all += ", ";
    all += reason ? reason : "error " + std::to_string(error);
  }
  return all;
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kProtocols, sizeof kProtocols, in, in_size) != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL's own sockets write without MSG_NOSIGNAL, and a program that others link must not make SIGPIPEs. */
int bio_fd(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }
int bio_result(BIO* bio, ssize_t n) {
  BIO_clear_retry_flags(bio);
  return static_cast<int>(n);
}
int bio_read(BIO* bio, char* to, int size) {
  ssize_t n;
  while ((n = recv(bio_fd(bio), to, static_cast<std::size_t>(size), 0)) < 0 && errno == EINTR) continue;
  const int result = bio_result(bio, n);
  if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  return result;
}
int bio_write(BIO* bio, const char* from, int size) {
  ssize_t n;
  while ((n = send(bio_fd(bio), from, static_cast<std::size_t>(size), MSG_NOSIGNAL)) < 0 && errno == EINTR) continue;
  const int result = bio_result(bio, n);
  if (n < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return result;
}
long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}
BIO* socket_bio(int fd) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cadre socket");
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_control);
    BIO_meth_set_create(m, bio_create);
    return m;
  }();
  BIO* const bio = BIO_new(method);
  if (!bio) throw std::bad_alloc();
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  return bio;
}

}  // namespace

TlsContext TlsContext::server(const std::string& directory) { return TlsContext(directory, "server", true); }
TlsContext TlsContext::client(const std::string& directory) { return TlsContext(directory, "client", false); }

TlsContext::TlsContext(const std::string& directory, const std::string& name, bool server) : context_(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()), SSL_CTX_free) {
  SSL_CTX* const c = context_.get();
  if (!c) throw Error("begin TLS: " + openssl_reason(), Error::Kind::failed);
  const auto file = [&](const std::string& path, int loaded) {
    if (loaded == 1) return;
    const std::string reason = openssl_reason();
    throw Error("load " + path + ": " + (access(path.c_str(), R_OK) != 0 ? std::strerror(errno) : reason.c_str()) +
                ". `cadre manager init` writes certificates; --certificates or $CADRE_MANAGER_CERTIFICATES says where they are");
  };
  const std::string base = directory + "/" + name;
  ERR_clear_error();
  file(directory + "/ca.pem", SSL_CTX_load_verify_file(c, (directory + "/ca.pem").c_str()));
  file(base + ".pem", SSL_CTX_use_certificate_file(c, (base + ".pem").c_str(), SSL_FILETYPE_PEM));
  file(base + ".key", SSL_CTX_use_PrivateKey_file(c, (base + ".key").c_str(), SSL_FILETYPE_PEM));
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_verify_depth(c, 2);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);  // everybody shows a certificate every time
  if (server)
    SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  else
    SSL_CTX_set_alpn_protos(c, kProtocols, sizeof kProtocols);
}

void tune_tcp(int fd) {
  const int on = 1, idle = 10, interval = 5, probes = 3, patience = 30'000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

Transport::~Transport() {
  if (ssl_) {
    ERR_clear_error();
    if (fd_ >= 0 && failure_.empty() && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  if (fd_ >= 0) ::close(fd_);
}

void Transport::abandon() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Transport::secure(const TlsContext& context, bool server, const std::string& host) {
  ssl_ = SSL_new(context.get());
  if (!ssl_) throw Error("begin TLS: " + openssl_reason(), Error::Kind::failed);
  BIO* const bio = socket_bio(fd_);
  SSL_set_bio(ssl_, bio, bio);
  if (server) return SSL_set_accept_state(ssl_);
  SSL_set_connect_state(ssl_);
  unsigned char address[sizeof(in6_addr)];
  if (inet_pton(AF_INET, host.c_str(), address) == 1 || inet_pton(AF_INET6, host.c_str(), address) == 1) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str());
  } else {
    SSL_set1_host(ssl_, host.c_str());
    SSL_set_tlsext_host_name(ssl_, host.c_str());
  }
}

Transport::Io Transport::failed(int result, const char* deed) {
  const int error = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return Io::again_read;
    case SSL_ERROR_WANT_WRITE: return Io::again_write;
    case SSL_ERROR_ZERO_RETURN: return Io::closed;
    default: break;
  }
  std::string reason = openssl_reason();
  if (const long verdict = SSL_get_verify_result(ssl_); verdict != X509_V_OK) reason += std::string(": ") + X509_verify_cert_error_string(verdict);
  // That the other side just closed the connection is no failure of TLS.
  if (reason.find("unexpected eof") != reason.npos && SSL_is_init_finished(ssl_)) return Io::closed;
  if (reason.empty()) {
    if (SSL_is_init_finished(ssl_)) return Io::closed;
    reason = result == 0 || error == 0 ? "the other side closed the connection" : std::strerror(error);
  }
  failure_ = std::string(deed) + ": " + reason;
  return Io::closed;
}

Transport::Io Transport::shake_hands() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return failed(result, "TLS handshake");
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &size);
  if (size != 2 || std::memcmp(protocol, "h2", 2) != 0) {
    failure_ = "TLS handshake: the other side does not speak HTTP/2";
    return Io::closed;
  }
  return Io::done;
}

Transport::Io Transport::read(std::string& to) {
  char room[kPiece];
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int n = SSL_read(ssl_, room, sizeof room);
    if (n <= 0) return failed(n, "TLS");
    to.append(room, static_cast<std::size_t>(n));
    return Io::done;
  }
  ssize_t n;
  while ((n = recv(fd_, room, sizeof room, 0)) < 0 && errno == EINTR) continue;
  if (n < 0 && errno == EAGAIN) return Io::again_read;
  if (n < 0 && errno != ECONNRESET) failure_ = std::string("receive: ") + std::strerror(errno);
  if (n <= 0) return Io::closed;
  to.append(room, static_cast<std::size_t>(n));
  return Io::done;
}

Transport::Io Transport::write(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (ssl_) {
      ERR_clear_error();
      errno = 0;
      const int n = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
      if (n <= 0) return failed(n, "TLS");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return Io::again_write;
      if (n < 0) {
        if (errno != EPIPE && errno != ECONNRESET) failure_ = std::string("send: ") + std::strerror(errno);
        return Io::closed;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  return Io::done;
}

}  // namespace cadre::detail
