/* Squares of 0 to 9 on a pool of processes; then a thousand tasks, of which one throws and one crashes, and the pool goes on. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <cstdio>
#include <stdexcept>

int square(int x) { return x * x; }

int* nothing_there = reinterpret_cast<int*>(64);

int risky(int x) {
  if (x == 123) throw std::out_of_range("no such row: 123");
  if (x == 456) return *nothing_there;
  return x;
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  cadre::TaskPool pool(4);
  for (int s : pool.map(square, std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})) std::printf("%d%s", s, s == 81 ? "\n" : " ");

  std::vector<cadre::Future<int>> futures;
  for (int i = 0; i < 1000; ++i) futures.push_back(pool.apply_async(risky, i));
  int results = 0;
  for (auto& f : futures) {
    try {
      (void)f.get();
      ++results;
    } catch (const cadre::TaskError& e) {
      std::printf("exception: %s\n", e.what());
    } catch (const cadre::WorkerDied& e) {
      std::printf("worker died: signal %d in %s\n", e.signal(), e.stack().empty() ? "?" : e.stack().front().c_str());
    }
  }
  std::printf("%d results\n", results);
  std::printf("and on: %d\n", pool.apply(square, 12));
}
