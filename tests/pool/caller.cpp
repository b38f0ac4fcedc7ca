/* A caller to be killed: makes a pool of three, writes the pids of workers, zygote and standby to stdout, and works on for a minute. */
#include <unistd.h>

#include <vector>

#include <cadre/pool/pool.hpp>
#include <cadre/shm/futex.hpp>

namespace {

cadre::Outcome nap(void*, int, std::uint32_t, std::uint64_t, const cadre::Death*) {
  const std::uint64_t until = cadre::monotonic_ns() + 1'000'000;
  while (cadre::monotonic_ns() < until) cadre::cpu_relax();
  return cadre::Outcome::done;
}

}  // namespace

int main() {
  cadre::Pool pool({.workers = 3}, {nullptr, nullptr, &nap});
  (void)pool.run(10, false);
  std::vector<pid_t> pids = pool.worker_pids();
  pids.push_back(pool.zygote());
  pids.push_back(pool.standby());
  if (write(STDOUT_FILENO, pids.data(), pids.size() * sizeof(pid_t)) < 0) return 1;
  (void)pool.run(60'000, false);
}
