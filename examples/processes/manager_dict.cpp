/* Five processes write their names and pids into a manager's dict, each after a while. Arguments: fork, forkserver or spawn; then the address of a manager that `cadre manager` started, and the role: with
   an address, the program shows what is in that manager's dict once five are there, or, as the "workers", has the five processes write, in another tree of processes. */
#include <cadre/manager/manager.hpp>
#include <cstdio>
#include <memory>
#include <random>

#include <unistd.h>

void enter(cadre::Proxy& pids, cadre::QueueProxy& done) {
  usleep(static_cast<useconds_t>(std::random_device()() % 20'000));
  pids[cadre::current_process().name()] = getpid();
  done.put(getpid());
}

void start_five(const cadre::Proxy& pids, const cadre::QueueProxy& done) {
  std::vector<cadre::Process> processes;
  for (int i = 0; i < 5; ++i) processes.emplace_back(enter, pids, done);
  for (auto& p : processes) p.start();
  for (auto& p : processes) p.join();
}

void print(const cadre::Proxy& pids) {
  for (const auto& [name, pid] : pids.items()) std::printf("%s %d\n", name.text().c_str(), pid.as<int>());
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  if (argc > 2) {
    const cadre::ManagerClient manager(argv[2]);
    const cadre::Proxy pids = manager.dict({}, "pids");
    const cadre::QueueProxy done = manager.queue(0, "done");
    if (argc > 3) {
      start_five(pids, done);
    } else {
      for (int i = 0; i < 5; ++i) (void)done.get();
      print(pids);
    }
    return 0;
  }
  const cadre::Manager manager;
  const cadre::Proxy pids = manager.dict();
  start_five(pids, manager.queue());
  print(pids);
}
