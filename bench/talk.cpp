#include <cadre/bench/talk.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include <cadre/cadre.hpp>

namespace cadre::bench {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMessage = std::size_t{1} << 20;
constexpr int kMessages = 400, kTrips = 400;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_processes: %s\n", what);
  std::exit(1);
}
double us_since(std::uint64_t begin) { return static_cast<double>(monotonic_ns() - begin) / 1e3; }
double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

long plus_one(long x) { return x + 1; }

double pool_map() {
  TaskPool pool(2);
  std::vector<long> items(100'000);
  std::iota(items.begin(), items.end(), 0);
  (void)pool.map(plus_one, std::vector<long>(1000, 1));
  std::vector<double> us;
  for (int i = 0; i < 7; ++i) {
    const std::uint64_t begin = monotonic_ns();
    const std::vector<long> all = pool.map(plus_one, items);
    us.push_back(us_since(begin));
    if (all.size() != items.size() || all.back() != 100'000) fail("a pool's map is wrong");
  }
  return median(us);
}
double pool_apply() {
  TaskPool pool(2);
  std::vector<double> us;
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t begin = monotonic_ns();
    if (pool.apply(plus_one, 1L) != 2) fail("a pool's apply is wrong");
    us.push_back(us_since(begin));
  }
  return median(us);
}

void put_many(Queue<std::int64_t>& q, Barrier& begin, std::int64_t n) {
  begin.wait();
  for (std::int64_t i = 0; i < n; ++i) q.put(i);
}
void get_many(Queue<std::int64_t>& q, Barrier& begin, std::int64_t n, SharedArray<std::int64_t>& sums, std::size_t at) {
  begin.wait();
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += q.get();
  sums[at] = sum;
}
/** Items per second. */
double queue(int producers, int consumers, std::int64_t items) {
  Queue<std::int64_t> q(10'000);
  Barrier begin(static_cast<std::uint32_t>(producers + consumers + 1));
  SharedArray<std::int64_t> sums(static_cast<std::size_t>(consumers));
  std::vector<Process> all;
  for (int i = 0; i < producers; ++i) all.emplace_back(put_many, q, begin, items / producers);
  for (int i = 0; i < consumers; ++i) all.emplace_back(get_many, q, begin, items / consumers, sums, static_cast<std::size_t>(i));
  for (Process& p : all) p.start();
  begin.wait();
  const std::uint64_t t = monotonic_ns();
  for (Process& p : all) p.join();
  const double us = us_since(t);
  const std::int64_t each = items / producers;
  if (std::accumulate(sums.begin(), sums.end(), std::int64_t{0}) != producers * (each * (each - 1) / 2)) fail("a queue has lost items");
  return static_cast<double>(items) / us * 1e6;
}

/** There and back between two processes that have both been asleep for a millisecond, p50. */
template <class Send>
double idle_trip(Send there_and_back) {
  std::vector<double> us;
  for (int i = 1; i <= kTrips; ++i) {
    usleep(1000);
    const std::uint64_t begin = monotonic_ns();
    there_and_back(i);
    us.push_back(us_since(begin));
  }
  return median(us);
}
double queue_trip() {
  Queue<int> there(16), back(16);
  Process p(
      [](Queue<int>& from, Queue<int>& to) {
        for (int i = from.get(); i > 0; i = from.get()) to.put(i);
      },
      there, back);
  p.start();
  const double us = idle_trip([&](int i) {
    there.put(i);
    if (back.get() != i) fail("a queue has another item");
  });
  there.put(0);
  p.join();
  return us;
}
double futex_trip() {
  struct Words {
    alignas(64) std::uint32_t there;
    alignas(64) std::uint32_t back;
  };
  SharedValue<Words> words(Words{}, no_lock);
  const auto wait_for = [](std::uint32_t& word, std::uint32_t value) {
    auto& w = reinterpret_cast<std::atomic<std::uint32_t>&>(word);
    for (std::uint32_t now = w.load(); now != value; now = w.load()) futex_wait(w, now);
  };
  const auto set = [](std::uint32_t& word, std::uint32_t value) {
    auto& w = reinterpret_cast<std::atomic<std::uint32_t>&>(word);
    w.store(value);
    futex_wake(w, 1);
  };
  Process p(
      [wait_for, set](SharedValue<Words>& w) {
        for (std::uint32_t i = 1; i <= kTrips; ++i) {
          wait_for(w->there, i);
          set(w->back, i);
        }
      },
      words);
  p.start();
  const double us = idle_trip([&](int i) {
    set(words->there, static_cast<std::uint32_t>(i));
    wait_for(words->back, static_cast<std::uint32_t>(i));
  });
  p.join();
  return us;
}

void receive_messages(Connection& c) {
  std::vector<std::byte> room(kMessage);
  for (int i = 0; i < kMessages; ++i)
    if (c.recv_bytes_into(room) != kMessage || room[kMessage - 1] != static_cast<std::byte>(i)) cadre::exit(1);
  c.send(1);
}
/** The same without Cadre: read and write on a socketpair. */
void receive_plainly(Connection& c) {
  std::vector<char> room(kMessage);
  for (int i = 0; i < kMessages; ++i) {
    for (std::size_t at = 0; at < kMessage;) {
      const ssize_t n = read(c.fileno(), room.data() + at, kMessage - at);
      if (n <= 0) cadre::exit(1);
      at += static_cast<std::size_t>(n);
    }
    if (room[kMessage - 1] != static_cast<char>(i)) cadre::exit(1);
  }
  if (write(c.fileno(), "y", 1) != 1) cadre::exit(1);
}
/** Microseconds per message. */
double pipe_messages(bool plain) {
  Pipe pipe;
  Process p(plain ? receive_plainly : receive_messages, pipe.second);
  p.start();
  pipe.second.close();
  std::vector<std::byte> message(kMessage);
  const std::uint64_t begin = monotonic_ns();
  for (int i = 0; i < kMessages; ++i) {
    message.back() = static_cast<std::byte>(i);
    if (!plain) {
      pipe.first.send_bytes(message);
      continue;
    }
    for (std::size_t at = 0; at < kMessage;) {
      const ssize_t n = write(pipe.first.fileno(), message.data() + at, kMessage - at);
      if (n <= 0) fail("a socketpair can not be written to");
      at += static_cast<std::size_t>(n);
    }
  }
  char answer;
  if (plain ? read(pipe.first.fileno(), &answer, 1) != 1 : pipe.first.recv<int>() != 1) fail("messages have been lost");
  const double us = us_since(begin) / kMessages;
  p.join();
  if (p.exitcode() != 0) fail("a message is wrong");
  return us;
}

}  // namespace

std::map<std::string, double> measure_talk() {
  std::map<std::string, double> found;
  found["map"] = pool_map();
  found["apply"] = pool_apply();
  found["queue,1,1"] = queue(1, 1, 4'000'000);
  found["queue,4,4"] = queue(4, 4, 4'000'000);
  found["trip,queue"] = queue_trip();
  found["trip,futex"] = futex_trip();
  found["pipe"] = pipe_messages(false);
  found["pipe,plain"] = pipe_messages(true);
  return found;
}

void print_talk(const std::map<std::string, std::vector<double>>& ours, const std::map<std::string, std::vector<double>>& theirs) {
  const auto of = [](const std::map<std::string, std::vector<double>>& all, const char* name) { return median(all.at(name)); };
  const auto missed = [](bool met) { return met ? "" : " **missed** |"; };
  std::printf("\n| pools and queues | Cadre | Python 3.11 | faster | wanted |\n|---|---|---|---|---|\n");
  std::printf("| Pool.map of 100,000 trivial calls | %.2f ms | %.1f ms | %.1f times | 20 times |%s\n", of(ours, "map") / 1e3, of(theirs, "map") / 1e3, of(theirs, "map") / of(ours, "map"),
              missed(of(theirs, "map") >= 20 * of(ours, "map")));
  std::printf("| Pool.apply of one | %.0f us | %.0f us | %.1f times | |\n", of(ours, "apply"), of(theirs, "apply"), of(theirs, "apply") / of(ours, "apply"));
  for (const auto& [name, what] : {std::pair{"queue,1,1", "one producer, one consumer"}, std::pair{"queue,4,4", "4 and 4"}}) {
    const double ratio = of(ours, name) / of(theirs, name);
    std::printf("| Queue of 8-byte items, %s | %.2f M/s | %.3f M/s | %.0f times | 20 times |%s\n", what, of(ours, name) / 1e6, of(theirs, name) / 1e6, ratio, missed(ratio >= 20));
  }
  const double trip = of(ours, "trip,queue") / of(ours, "trip,futex"), pipe = of(ours, "pipe") / of(ours, "pipe,plain");
  std::printf("\n| beside the kernel's own | Cadre | plain | ratio | wanted |\n|---|---|---|---|---|\n");
  std::printf("| Queue, there and back between two that sleep, p50; two futexes | %.0f us | %.0f us | %.2f | 1.5 |%s\n", of(ours, "trip,queue"), of(ours, "trip,futex"), trip, missed(trip <= 1.5));
  std::printf("| Pipe, messages of 1 MiB; read and write on a socketpair (Python: %.0f us) | %.0f us | %.0f us | %.2f | 1.3 |%s\n", of(theirs, "pipe"), of(ours, "pipe"), of(ours, "pipe,plain"), pipe,
              missed(pipe <= 1.3));
}

}  // namespace cadre::bench
