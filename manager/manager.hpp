#pragma once
/* A manager of this program's own, as Python's multiprocessing.Manager():

     cadre::Manager manager;                                        // a server process; it ends with this object, or with this process
     cadre::Proxy d = manager.dict();
     cadre::Process p([](cadre::Proxy& d) { d["pid"] = getpid(); }, d);
     p.start();
     p.join();
     d["pid"].as<int>();

   The server is a Process, started as the program's others are (fork, forkserver, spawn), and listens on a Unix socket that has no file. Only processes of the same user, or of root, are let in.
   One that others on this machine or across the network come to is started by `cadre manager --listen ADDRESS`, or by a program of its own (server.hpp). */
#include <cadre/manager/client.hpp>
#include <cadre/manager/type_registry.hpp>
#include <cadre/pool/process.hpp>
#include <cadre/talk/connection.hpp>

namespace cadre {

class Manager : public ManagerClient {
 public:
  /** `types`: registers the program's own types, in the server. Throws Error: no process to be had. */
  explicit Manager(void (*types)(TypeRegistry&) = nullptr);
  /** Ends the server, in the process that made it. */
  ~Manager();
  Manager(Manager&&) noexcept = default;
  Manager& operator=(Manager&&) = delete;

  /** Ends it now: all its objects are gone. */
  void shutdown();
  /** To be waited for, or killed by tests. */
  Process& process() { return *server_; }

 private:
  struct Started;
  explicit Manager(Started started);
  std::unique_ptr<Process> server_;
  std::unique_ptr<Connection> lifeline_;  // the server serves until this is closed
  pid_t maker_ = 0;
};

}  // namespace cadre
