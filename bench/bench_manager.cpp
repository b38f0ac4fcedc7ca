/* bench_manager: a manager beside Python's, in one run, as Markdown: rounds of the two in turn; a lock handed on after its holder was killed; and

     bench_manager clients N SECONDS [ROUNDS]     N processes at once, mixed work, twice or so often; the server's memory. The exit status is 1 where an answer is wrong, 0 whatever the speed. */
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <cadre/bench/machine.hpp>
#include <cadre/manager/certificates.hpp>
#include <cadre/manager/manager.hpp>
#include <cadre/manager/server.hpp>
#include <cadre/shm/futex.hpp>

namespace {

using namespace std::chrono_literals;
using cadre::Data;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_manager: %s\n", what.c_str());
  std::exit(1);
}
double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}
template <class Call>
double median_us(Call call, int calls) {
  for (int i = 0; i < 100; ++i) call();
  std::vector<double> us;
  for (int i = 0; i < calls; ++i) {
    const std::uint64_t begin = cadre::monotonic_ns();
    call();
    us.push_back(static_cast<double>(cadre::monotonic_ns() - begin) / 1e3);
  }
  return median(us);
}

using Figures = std::map<std::string, std::vector<double>>;

void measure(const std::string& name, const cadre::ManagerClient& manager, int calls, Figures& all) {
  const cadre::Proxy d = manager.dict();
  Data::List keys;
  for (int i = 0; i < 1000; ++i) {
    d.set(i, i);
    keys.emplace_back(i);
  }
  all[name + ",get"].push_back(median_us([&] { if (d.get(7).integer() != 7) fail("a wrong value"); }, calls));
  all[name + ",set"].push_back(median_us([&] { d.set(7, 7); }, calls));
  all[name + ",1000"].push_back(median_us([&] { if (d.get_many(keys).size() != 1000) fail("too few values"); }, 50));
  manager.remove(d);
}

void python(int calls, Figures& all) {
  FILE* out = popen(("/usr/bin/python3 " CADRE_BENCH_DIR "/manager.py " + std::to_string(calls)).c_str(), "r");
  char name[64];
  double value = 0;
  while (out && std::fscanf(out, "%63s %lf", name, &value) == 2) all[name].push_back(value);
  if (!out || pclose(out) != 0) fail("bench/manager.py has failed");
}

/** A server in a process of its own, over TCP. */
void serve(cadre::Connection& told, const std::string& certificates) {
  cadre::ManagerServer server({.address = "127.0.0.1:0", .certificates = certificates});
  told.send(server.address());
  server.run(told.fileno());
}

void hold(const cadre::LockProxy& lock, const cadre::EventProxy& taken) {
  lock.lock();
  taken.set();
  for (;;) pause();
}
/** Milliseconds from the kill of the holder to the next one's having the lock. */
std::vector<double> handed_on(const cadre::ManagerClient& manager, int rounds) {
  std::vector<double> ms;
  for (int i = 0; i < rounds; ++i) {
    const cadre::LockProxy lock = manager.lock();
    const cadre::EventProxy taken = manager.event();
    cadre::Process holder(hold, lock, taken);
    holder.start();
    taken.wait();
    std::uint64_t killed = 0;
    std::thread killer([&] {
      usleep(3000);  // the lock is being waited for by then
      killed = cadre::monotonic_ns();
      holder.kill();
    });
    if (lock.acquire() != cadre::LockResult::owner_died) fail("the next locker was not told that the holder had died");
    const std::uint64_t now = cadre::monotonic_ns();
    killer.join();
    holder.join();
    ms.push_back(static_cast<double>(now - killed) / 1e6);
    lock.release();
    manager.remove(lock);
    manager.remove(taken);
  }
  std::sort(ms.begin(), ms.end());
  return ms;
}

long rss_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

void client(const cadre::ManagerClient& manager, const cadre::Proxy& shared, const cadre::LockProxy& lock, const cadre::QueueProxy& queue, int who, double seconds) {
  const std::uint64_t end = cadre::monotonic_ns() + static_cast<std::uint64_t>(seconds * 1e9);
  const cadre::Proxy own = manager.dict();
  std::uint64_t calls = 0;
  for (int i = 0; cadre::monotonic_ns() < end; ++i) {
    own[i % 50] = Data::List{i, "text", 2.5};
    if (own.get(i % 50).list().at(0).integer() != i) cadre::exit(3);
    queue.put(i);
    if (!queue.get(60s)) cadre::exit(4);
    if (i % 10 == 0) {
      const std::lock_guard guard(lock);
      shared["held"] = who;
      if (shared["held"].as<int>() != who) cadre::exit(5);
    }
    manager.transaction([&](cadre::Transaction& t) {
      t(shared)["up"].add(1, 0);
      t(shared)["down"].add(-1, 0);
    });
    shared["calls"].add(8, 0);
    ++calls;
    usleep(20'000);  // a client that does something of its own
  }
  if (calls == 0) cadre::exit(6);
}

int many_clients(int n, double seconds, int rounds) {
  const cadre::Manager manager;
  const cadre::Proxy shared = manager.dict();
  const cadre::LockProxy lock = manager.lock();
  const cadre::QueueProxy queue = manager.queue();
  std::printf("| | clients at once | calls | failed | server's memory |\n|---|---|---|---|---|\n| before | | | | %ld KiB |\n", rss_of(manager.server_pid()));
  int failed = 0;
  for (int round = 1; round <= rounds; ++round) {
    std::vector<cadre::Process> clients;
    for (int i = 0; i < n; ++i) clients.emplace_back(client, static_cast<const cadre::ManagerClient&>(manager), shared, lock, queue, i, seconds);
    for (auto& c : clients) c.start();
    usleep(static_cast<useconds_t>(seconds * 5e5));
    const Data during = manager.stats();
    const long rss = rss_of(manager.server_pid());
    for (auto& c : clients) c.join();
    int wrong = 0;
    for (auto& c : clients) wrong += c.exitcode() != 0;
    failed += wrong;
    while (manager.stats().dict().at("sessions").integer() > 1) usleep(1000);
    std::printf("| round %d | %lld | %lld | %d | %ld KiB meanwhile, %ld KiB after |\n", round, static_cast<long long>(during.dict().at("sessions").integer() - 1), static_cast<long long>(manager.stats().dict().at("calls").integer()), wrong,
                rss, rss_of(manager.server_pid()));
    std::fflush(stdout);
  }
  if (shared["up"].as<long>() != -shared["down"].as<long>()) fail("transactions were not done wholly");
  return failed != 0;
}

}  // namespace

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  std::cout << cadre::bench::machine_fingerprint() << std::endl;
  if (argc >= 4 && std::strcmp(argv[1], "clients") == 0) return many_clients(std::atoi(argv[2]), std::atof(argv[3]), argc > 4 ? std::atoi(argv[4]) : 2);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9, calls = 2000;
  std::string folder = "/tmp/cadre-bench-XXXXXX";
  if (!mkdtemp(folder.data())) fail("no folder for certificates");
  cadre::write_certificates(folder);
  const cadre::Manager local;
  auto [here, there] = cadre::Pipe();
  cadre::Process server(cadre::ProcessOptions{.daemon = true}, serve, there, folder);
  server.start();
  there.close();
  const cadre::ManagerClient remote(here.recv<std::string>(), folder);
  Figures ours, theirs;
  for (int round = 0; round < rounds; ++round) {
    measure("unix", local, calls, ours);
    measure("tcp", remote, calls, ours);
    python(calls, theirs);
  }
  std::printf("\n| call (medians of %d rounds in turn) | Cadre | Python 3.11 | times, lowest and highest of the rounds | wanted |\n|---|---|---|---|---|\n", rounds);
  for (const auto& [name, what, wanted] : {std::tuple{"unix,get", "get, Unix socket", 1.0}, {"unix,set", "set, Unix socket", 1.0}, {"tcp,get", "get, TCP with TLS against TCP without", 0.7},
                                           {"tcp,set", "set, TCP with TLS against TCP without", 0.7}, {"unix,1000", "1,000 keys in one call against 1,000 calls, Unix socket", 50.0}, {"tcp,1000", "the same, TCP", 50.0}}) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < ours[name].size(); ++i) ratios.push_back(theirs[name].at(i) / ours[name][i]);
    std::sort(ratios.begin(), ratios.end());
    const double ratio = median(ratios);
    std::printf("| %s | %.1f us | %.1f us | %.2f (%.2f, %.2f) | %g%s |\n", what, median(ours[name]), median(theirs[name]), ratio, ratios.front(), ratios.back(), wanted, ratio >= wanted ? "" : " **missed**");
  }
  for (const auto& [what, manager] : {std::pair<const char*, const cadre::ManagerClient*>{"Unix socket", &local}, {"TCP with TLS", &remote}}) {
    const std::vector<double> ms = handed_on(*manager, 200);
    std::printf("\nA lock handed on after kill -9 of its holder, %s, %zu times: median %.2f ms, p99 %.2f ms, worst %.2f ms (wanted: 20 ms)\n", what, ms.size(), ms[ms.size() / 2], ms[ms.size() * 99 / 100], ms.back());
  }
  here.close();
  server.join();
  for (const char* file : {"ca.key", "ca.pem", "server.key", "server.pem", "client.key", "client.pem"}) unlink((folder + "/" + file).c_str());
  rmdir(folder.c_str());
}
