#pragma once
/* The certificates with which a manager and its clients know each other across a network: both show one that the same authority has signed, and no others are let in.

     ca.pem, ca.key             the authority; the key signs, and is needed by nobody who only runs
     ca.pem, server.pem, .key   what a manager needs
     ca.pem, client.pem, .key   what a client needs

   Keys are of P-256, and readable by their owner alone. */
#include <chrono>
#include <string>
#include <vector>

#include <cadre/shm/error.hpp>

namespace cadre {

struct CertificateOptions {
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};  // names and addresses under which clients reach the manager
  std::chrono::hours valid{24 * 365};
  bool force = false;  // overwrite
};

/** Writes the six files, and the directory where there is none. Throws Error: they are there already; what a file's system says. */
void write_certificates(const std::string& directory, const CertificateOptions& options = {});
/** $CADRE_MANAGER_CERTIFICATES, or $XDG_CONFIG_HOME/cadre/manager, or ~/.config/cadre/manager. Throws Error where none is set. */
std::string certificate_directory();

}  // namespace cadre
