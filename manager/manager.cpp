#include <cadre/manager/manager.hpp>

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <cadre/manager/server.hpp>
#include <cadre/talk/connection.hpp>

namespace cadre {

namespace {

/** In the server process. Says where it listens, or "!" and why it does not. */
void serve(Connection& told, const std::string& address, void (*types)(TypeRegistry&)) {
  signal(SIGINT, SIG_IGN);  // Ctrl-C goes to everybody: who made the manager decides when it ends
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  try {
    TypeRegistry registry;
    if (types) types(registry);
    ManagerServer server({.address = address}, std::move(registry));
    told.send(server.address());
    server.run(told.fileno());
  } catch (const ConnectionClosed&) {
  } catch (const std::exception& e) {
    told.send(std::string("!") + e.what());
  }
}

std::string fresh_address() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw_errno("draw the name of a socket", errno, Error::Kind::failed);
  std::string name = "@cadre-manager-" + std::to_string(getpid()) + "-";
  for (const unsigned char b : bytes) name += "0123456789abcdef"[b >> 4], name += "0123456789abcdef"[b & 15];
  return name;
}

}  // namespace

struct Manager::Started {
  std::unique_ptr<Process> process;
  std::unique_ptr<Connection> lifeline;
  std::string address;

  explicit Started(void (*types)(TypeRegistry&)) : address(fresh_address()) {
    Pipe pipe;
    process = std::make_unique<Process>(ProcessOptions{.name = "Manager", .daemon = true}, serve, pipe.second, address, types);
    process->start();
    pipe.second.close();
    lifeline = std::make_unique<Connection>(pipe.first);
    std::string told;
    try {
      told = lifeline->recv<std::string>();
    } catch (const ConnectionClosed&) {
      process->join();
      throw Error("start a manager: its process ended with exit code " + std::to_string(process->exitcode().value_or(255)) + " before it listened", Error::Kind::failed);
    }
    if (told.starts_with("!")) {
      process->join();
      throw Error("start a manager: " + told.substr(1), Error::Kind::failed);
    }
  }
};

Manager::Manager(void (*types)(TypeRegistry&)) : Manager(Started(types)) {}
Manager::Manager(Started started) : ManagerClient(started.address), server_(std::move(started.process)), lifeline_(std::move(started.lifeline)), maker_(getpid()) {}

Manager::~Manager() {
  if (server_ && getpid() == maker_) {
    try {
      shutdown();
    } catch (const std::exception&) {
    }
  }
}

void Manager::shutdown() {
  if (!lifeline_) return;
  lifeline_->close();
  lifeline_.reset();
  server_->join();
}

}  // namespace cadre
