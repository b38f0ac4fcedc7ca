/* bench_processes: processes, locks, pools, queues and pipes beside Python's multiprocessing, in one run, as Markdown: rounds of the two in turn. The exit status is 1 where an answer
   is wrong, 0 whatever the speed. */
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <cadre/bench/machine.hpp>
#include <cadre/bench/talk.hpp>
#include <cadre/cadre.hpp>

namespace {

using namespace std::chrono_literals;

void nothing() {}

void hold(cadre::Lock& lock, cadre::Event& taken) {
  (void)lock.acquire();
  taken.set();
  for (;;) pause();
}

/** Waits for a lock whose holder is killed, and writes down when it had it. */
void inherit(cadre::Lock& lock, cadre::Event& ready, cadre::SharedValue<std::uint64_t>& when) {
  ready.set();
  if (lock.acquire() != cadre::LockResult::owner_died) cadre::exit(1);
  when.value() = cadre::monotonic_ns();
  lock.release();
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_processes: %s\n", what.c_str());
  std::exit(1);
}

double start_and_join(const char* method, int rounds) {
  const cadre::Context context = cadre::get_context(method);
  std::vector<double> us;
  for (int i = 0; i < rounds + 2; ++i) {
    const std::uint64_t begin = cadre::monotonic_ns();
    cadre::Process p = context.process(nothing);
    p.start();
    p.join();
    if (i >= 2) us.push_back(static_cast<double>(cadre::monotonic_ns() - begin) / 1e3);
    if (p.exitcode() != 0) fail("a process that does nothing has failed");
  }
  return median(us);
}

template <class L>
double uncontended(L lock) {
  constexpr int kRounds = 2'000'000;
  std::vector<double> us;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t begin = cadre::monotonic_ns();
    for (int k = 0; k < kRounds; ++k) {
      (void)lock.acquire();
      lock.release();
    }
    us.push_back(static_cast<double>(cadre::monotonic_ns() - begin) / 1e3 / kRounds);
  }
  return median(us);
}

/** Milliseconds from the kill of the holder to the next one's having the lock. */
std::vector<double> handed_on(int rounds) {
  std::vector<double> ms;
  const cadre::Context context = cadre::get_context("fork");
  for (int i = 0; i < rounds; ++i) {
    cadre::Lock lock;
    cadre::Event taken, ready;
    cadre::SharedValue<std::uint64_t> when(0);
    cadre::Process holder = context.process(hold, lock, taken), heir = context.process(inherit, lock, ready, when);
    holder.start();
    taken.wait();
    heir.start();
    ready.wait();
    usleep(static_cast<useconds_t>(1000 + i * 37 % 9000));  // at any phase of its looking
    const std::uint64_t killed = cadre::monotonic_ns();
    holder.kill();
    heir.join();
    holder.join();
    if (heir.exitcode() != 0) fail("the next locker was not told that the holder had died");
    ms.push_back(static_cast<double>(when.value() - killed) / 1e6);
  }
  std::sort(ms.begin(), ms.end());
  return ms;
}

std::map<std::string, double> python(int rounds) {
  std::map<std::string, double> us;
  FILE* out = popen(("/usr/bin/python3 " CADRE_BENCH_DIR "/processes.py " + std::to_string(rounds)).c_str(), "r");
  char name[64];
  double value = 0;
  while (out && std::fscanf(out, "%63s %lf", name, &value) == 2) us[name] = value;
  if (!out || pclose(out) != 0) fail("bench/processes.py has failed");
  return us;
}

void line(const char* what, double ours, double theirs, double wanted) {
  std::printf("| %s | %.0f us | %.0f us | %.1f times | %.0f times |%s\n", what, ours, theirs, theirs / ours, wanted, theirs / ours >= wanted ? "" : " **missed** |");
}

}  // namespace

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
  std::cout << cadre::bench::machine_fingerprint() << std::endl;
  std::map<std::string, std::vector<double>> ours, theirs;
  for (int turn = 0; turn < 3; ++turn) {
    for (const char* method : {"fork", "forkserver", "spawn"}) ours[std::string("start+join,") + method].push_back(start_and_join(method, rounds));
    ours["Lock"].push_back(uncontended(cadre::Lock()));
    ours["RLock"].push_back(uncontended(cadre::RLock()));
    ours["Semaphore"].push_back(uncontended(cadre::Semaphore(1)));
    for (const auto& [name, value] : cadre::bench::measure_talk()) ours[name].push_back(value);
    for (const auto& [name, us] : python(rounds)) theirs[name].push_back(us);
  }
  std::printf("\n| what | Cadre | Python 3.11 | faster | wanted |\n|---|---|---|---|---|\n");
  const std::pair<const char*, double> wanted[] = {{"fork", 5}, {"forkserver", 10}, {"spawn", 15}};
  for (const auto& [method, times] : wanted) {
    const std::string name = std::string("start+join,") + method;
    line(("start and join of a process, " + std::string(method)).c_str(), median(ours[name]), median(theirs[name]), times);
  }
  std::printf("\n| acquire and release, nobody else there | Cadre | Python 3.11 | wanted |\n|---|---|---|---|\n");
  for (const char* name : {"Lock", "RLock", "Semaphore"})
    std::printf("| %s | %.1f ns | %.0f ns | %s |\n", name, median(ours[name]) * 1e3, median(theirs[name]) * 1e3, std::string(name) == "Semaphore" ? "" : "50 ns");
  const std::vector<double> ms = handed_on(rounds * 5);
  std::printf("\n| a lock handed on after its holder was killed, %zu times | median | p99 | worst | wanted |\n|---|---|---|---|---|\n| | %.1f ms | %.1f ms | %.1f ms | p99 20 ms |\n", ms.size(),
              ms[ms.size() / 2], ms[ms.size() * 99 / 100], ms.back());
  cadre::bench::print_talk(ours, theirs);
}
