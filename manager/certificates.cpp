#include <cadre/manager/certificates.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

namespace cadre {

namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;

[[noreturn]] void refused(const char* deed) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  throw Error(std::string(deed) + ": " + text, Error::Kind::failed);
}
void require(bool fine, const char* deed) {
  if (!fine) refused(deed);
}

void add_extension(X509* to, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  require(extension && X509_add_ext(to, extension.get(), -1), "add an extension to a certificate");
}

/** Not signed yet. */
Certificate blank(const char* name, EVP_PKEY* key, X509* issuer, std::chrono::hours valid) {
  Certificate c(X509_new());
  require(c != nullptr, "make a certificate");
  X509_set_version(c.get(), 2);  // the third
  unsigned char serial[16];
  require(RAND_bytes(serial, sizeof serial) == 1, "draw a serial number");
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(c.get()));
  X509_gmtime_adj(X509_getm_notBefore(c.get()), valid.count() > 0 ? -3600 : valid.count() * 7200);  // for clocks that differ by an hour
  X509_gmtime_adj(X509_getm_notAfter(c.get()), std::chrono::seconds(valid).count());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c.get()), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(c.get(), issuer ? X509_get_subject_name(issuer) : X509_get_subject_name(c.get()));
  require(X509_set_pubkey(c.get(), key) == 1, "put a key into a certificate");
  return c;
}

std::string alternatives(const std::vector<std::string>& hosts) {
  std::string all;
  for (const std::string& host : hosts) {
    unsigned char address[sizeof(in6_addr)];
    const bool number = inet_pton(AF_INET, host.c_str(), address) == 1 || inet_pton(AF_INET6, host.c_str(), address) == 1;
    if (host.empty() || host.find_first_of(",\n\r ") != host.npos || (!number && host.find(':') != host.npos))
      throw Error("\"" + host + "\" is no host: give a name or an address, without a port");
    all += (all.empty() ? "" : ",") + std::string(number ? "IP:" : "DNS:") + host;
  }
  return all;
}

/** Written beside and renamed: whole or not at all. */
template <class Write>
void write_file(const std::string& path, Write write) {
  const std::string beside = path + ".new";
  unlink(beside.c_str());
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno("write " + path, errno);
  FILE* const file = fdopen(fd, "w");
  const bool written = write(file) == 1;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || rename(beside.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(beside.c_str());
    throw_errno("write " + path, error);
  }
}

void save(const std::string& base, EVP_PKEY* key, X509* certificate) {
  write_file(base + ".key", [&](FILE* f) { return PEM_write_PrivateKey(f, key, nullptr, nullptr, 0, nullptr, nullptr); });
  write_file(base + ".pem", [&](FILE* f) { return PEM_write_X509(f, certificate); });
}

}  // namespace

void write_certificates(const std::string& directory, const CertificateOptions& options) {
  if (options.hosts.empty()) throw Error("a manager's certificate needs a host: the name or address under which clients reach it");
  const std::string names = alternatives(options.hosts);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw Error("make the directory " + directory + ": " + error.message());
  if (chmod(directory.c_str(), 0700) != 0) throw_errno("close " + directory + " to others", errno);
  if (!options.force)
    for (const char* name : {"ca.key", "ca.pem", "server.key", "server.pem", "client.key", "client.pem"})
      if (const std::string path = directory + "/" + name; access(path.c_str(), F_OK) == 0)
        throw Error(path + " is there already: --force replaces all of them, after which whoever has the old ones is refused");
  const Key ca_key(EVP_EC_gen("P-256")), server_key(EVP_EC_gen("P-256")), client_key(EVP_EC_gen("P-256"));
  require(ca_key && server_key && client_key, "make keys");
  const Certificate ca = blank("cadre manager authority", ca_key.get(), nullptr, options.valid);
  add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign");
  add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash");
  require(X509_sign(ca.get(), ca_key.get(), EVP_sha256()) > 0, "sign a certificate");
  const auto signed_by_ca = [&](const char* name, const Key& key, const char* use) {
    Certificate c = blank(name, key.get(), ca.get(), options.valid);
    add_extension(c.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(c.get(), ca.get(), NID_key_usage, "critical,digitalSignature");
    add_extension(c.get(), ca.get(), NID_ext_key_usage, use);
    add_extension(c.get(), ca.get(), NID_authority_key_identifier, "keyid");
    if (std::string_view(use) == "serverAuth") add_extension(c.get(), ca.get(), NID_subject_alt_name, names);
    require(X509_sign(c.get(), ca_key.get(), EVP_sha256()) > 0, "sign a certificate");
    return c;
  };
  const Certificate server = signed_by_ca("cadre manager", server_key, "serverAuth"), client = signed_by_ca("cadre manager client", client_key, "clientAuth");
  save(directory + "/ca", ca_key.get(), ca.get());
  save(directory + "/server", server_key.get(), server.get());
  save(directory + "/client", client_key.get(), client.get());
}

std::string certificate_directory() {
  if (const char* d = std::getenv("CADRE_MANAGER_CERTIFICATES"); d && *d) return d;
  if (const char* d = std::getenv("XDG_CONFIG_HOME"); d && *d) return std::string(d) + "/cadre/manager";
  if (const char* d = std::getenv("HOME"); d && *d) return std::string(d) + "/.config/cadre/manager";
  throw Error("no directory for certificates: neither $CADRE_MANAGER_CERTIFICATES nor $HOME is set");
}

}  // namespace cadre
