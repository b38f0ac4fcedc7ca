/* Lists and dicts in one another, changed by several processes; every change is there afterwards. Argument: fork, forkserver or spawn. */
#include <cadre/manager/manager.hpp>
#include <cstdio>

void work(cadre::Proxy& m, int worker) {
  for (int i = 0; i < 100; ++i) {
    m["lists"]["all"].append(worker * 100 + i);  // in Python: m["lists"]["all"] is a copy, and the change is lost
    m["counts"]["by worker"][worker].add(1, 0);
    m["counts"]["total"].add(1);
  }
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  const cadre::Manager manager;
  const cadre::Proxy m = manager.dict({{"lists", cadre::Data::Dict{{"all", cadre::Data::List{}}}}, {"counts", cadre::Data::Dict{{"by worker", cadre::Data::Dict{}}, {"total", 0}}}});
  std::vector<cadre::Process> processes;
  for (int worker = 0; worker < 4; ++worker) processes.emplace_back(work, m, worker);
  for (auto& p : processes) p.start();
  for (auto& p : processes) p.join();

  m["lists"]["all"].sort();
  long long sum = 0;
  for (const cadre::Data& each : m["lists"]["all"]) sum += each.integer();
  std::printf("%zu in the list, their sum is %lld\n", m["lists"]["all"].size(), sum);
  for (int worker = 0; worker < 4; ++worker) std::printf("worker %d: %d\n", worker, m["counts"]["by worker"][worker].as<int>());
  std::printf("together: %d\n", m["counts"]["total"].as<int>());
}
