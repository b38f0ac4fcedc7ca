/* cadre-manager: what `cadre manager` runs. A program of its own, so that cadre itself needs neither TLS nor HTTP/2. */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <cadre/manager/certificates.hpp>
#include <cadre/manager/server.hpp>

namespace {

constexpr const char* kUsage =
    "cadre manager --listen ADDRESS [options]    serve dicts, lists, locks and queues to programs, until SIGTERM or Ctrl-C\n"
    "  ADDRESS               host:port (port 0: any that is free), or the path of a Unix socket, with a slash in it\n"
    "  --certificates DIR    of ca.pem, server.pem and server.key, for host:port; default $CADRE_MANAGER_CERTIFICATES, ~/.config/cadre/manager\n"
    "  --max-message BYTES   of a message from a client or to one, default 67108864\n"
    "  --max-connections N   default: as many as descriptors allow\n"
    "\n"
    "cadre manager init [options]                write the certificates of a manager and its clients\n"
    "  --certificates DIR    where to, default as above\n"
    "  --host NAME           under which clients reach the manager, repeatable; default localhost, 127.0.0.1 and ::1\n"
    "  --days N              how long they hold, default 365\n"
    "  --force               replace those that are there\n"
    "\n"
    "exit codes: 0 done, 1 it failed, 2 bad usage or bad input (nothing was started), 128+N ended by signal N\n";

struct Arguments {
  int count;
  char** all;
  int at = 1;
  std::string_view next() { return at < count ? all[at++] : std::string_view(); }
  bool more() const { return at < count; }
  std::string value_of(std::string_view option) {
    if (!more()) throw cadre::Error(std::string(option) + " needs a value; see cadre manager --help");
    return all[at++];
  }
  long number_of(std::string_view option) {
    const std::string text = value_of(option);
    long n = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), n);
    if (end.ec != std::errc() || end.ptr != text.data() + text.size() || n < 1) throw cadre::Error(std::string(option) + " " + text + ": give a whole number from 1");
    return n;
  }
};

int init(Arguments& arguments) {
  cadre::CertificateOptions options;
  std::string directory;
  bool hosts = false;
  while (arguments.more()) {
    const std::string_view a = arguments.next();
    if (a == "--certificates") {
      directory = arguments.value_of(a);
    } else if (a == "--host") {
      if (!std::exchange(hosts, true)) options.hosts.clear();
      options.hosts.push_back(arguments.value_of(a));
    } else if (a == "--days") {
      options.valid = std::chrono::hours(24 * std::min(arguments.number_of(a), 36'500L));
    } else if (a == "--force") {
      options.force = true;
    } else {
      throw cadre::Error("unknown option " + std::string(a) + " of cadre manager init; see cadre manager --help");
    }
  }
  if (directory.empty()) directory = cadre::certificate_directory();
  cadre::write_certificates(directory, options);
  std::printf("%s: ca.pem, server.pem, server.key for the manager; ca.pem, client.pem, client.key for clients, on their machines too. ca.key signs: keep it to yourself\n", directory.c_str());
  return 0;
}

int listen(Arguments& arguments) {
  cadre::ServerOptions options;
  while (arguments.more()) {
    const std::string_view a = arguments.next();
    if (a == "--listen") options.address = arguments.value_of(a);
    else if (a == "--certificates") options.certificates = arguments.value_of(a);
    else if (a == "--max-message") options.most_message = static_cast<std::size_t>(arguments.number_of(a));
    else if (a == "--max-connections") options.most_connections = static_cast<std::size_t>(arguments.number_of(a));
    else throw cadre::Error("unknown option " + std::string(a) + " of cadre manager; see cadre manager --help");
  }
  if (options.address.empty()) throw cadre::Error("where is the manager to listen? --listen host:port, or --listen ./socket; see cadre manager --help");
  if (options.certificates.empty() && options.address.find('/') == std::string::npos && !options.address.starts_with("@")) options.certificates = cadre::certificate_directory();
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int stop = signalfd(-1, &ends, SFD_CLOEXEC);
  if (stop < 0) cadre::throw_errno("wait for signals", errno);
  cadre::ManagerServer server(options);
  std::printf("listening on %s\n", server.address().c_str());
  std::fflush(stdout);
  server.run(stop);
  signalfd_siginfo why{};
  return read(stop, &why, sizeof why) == sizeof why ? 128 + static_cast<int>(why.ssi_signo) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Arguments arguments{argc, argv};
    for (int i = 1; i < argc; ++i)
      if (std::strcmp(argv[i], "--help") == 0 || std::strcmp(argv[i], "-h") == 0) {
        std::fputs(kUsage, stdout);
        return 0;
      }
    if (argc > 1 && std::strcmp(argv[1], "init") == 0) {
      arguments.next();
      return init(arguments);
    }
    return listen(arguments);
  } catch (const cadre::Error& e) {
    std::fprintf(stderr, "cadre: %s\n", e.what());
    return e.kind() == cadre::Error::Kind::usage ? 2 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cadre: %s\n", e.what());
    return 1;
  }
}
