/* What the workers of another host do: they share a dict, a lock and a queue of a manager that they reach over the network. Arguments: fork, forkserver or spawn; the manager's address (certificates are
   where $CADRE_MANAGER_CERTIFICATES says). Without an address, the manager is this program's own. */
#include <cadre/manager/manager.hpp>
#include <cstdio>
#include <mutex>
#include <optional>

#include <unistd.h>

void work(cadre::QueueProxy& tasks, cadre::Proxy& results, cadre::LockProxy& lock) {
  for (cadre::Data task = tasks.get(); !task.is_null(); task = tasks.get()) {
    results["squares"][task] = task.integer() * task.integer();
    const std::lock_guard guard(lock);  // two calls, and nobody between
    results["sum"] = results["sum"].as<int>() + task.as<int>();
  }
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  std::optional<cadre::Manager> own;
  if (argc < 3) own.emplace();
  const cadre::ManagerClient manager = own ? *own : cadre::ManagerClient(argv[2]);
  const cadre::QueueProxy tasks = manager.queue();
  const cadre::Proxy results = manager.dict({{"squares", cadre::Data::Dict{}}, {"sum", 0}});
  const cadre::LockProxy lock = manager.lock();
  std::vector<cadre::Process> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(work, tasks, results, lock);
  for (auto& w : workers) w.start();
  for (int task = 1; task <= 30; ++task) tasks.put(task);
  for (std::size_t i = 0; i < workers.size(); ++i) tasks.put(nullptr);
  for (auto& w : workers) w.join();
  std::printf("%zu squares, the last is %d; the sum is %d\n", results["squares"].size(), results["squares"][30].as<int>(), results["sum"].as<int>());
}
