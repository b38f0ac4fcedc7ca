/* Four producers and four consumers over a bounded queue; a fifth producer is killed on the way. Every item that was put arrives once. Arguments: fork, forkserver or
   spawn; how many items the four put, 1,000,000 unless said otherwise. */
#include <cadre/cadre.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>

constexpr int kProducers = 5, kConsumers = 4, kVictim = 4;
struct Item {
  int producer, number;
};
constexpr Item kEnd{-1, 0};

void produce(cadre::Queue<Item>& queue, int producer, int count, cadre::SharedArray<int>& put) {
  for (int i = 0; i < count; ++i) {
    queue.put({producer, i});
    put[static_cast<std::size_t>(producer)] = i + 1;
  }
}
void consume(cadre::Queue<Item>& queue, cadre::SharedArray<long>& seen) {
  for (Item item = queue.get(); item.producer >= 0; item = queue.get())
    std::atomic_ref(seen[static_cast<std::size_t>(item.producer) * 2]).fetch_add(1),
        std::atomic_ref(seen[static_cast<std::size_t>(item.producer) * 2 + 1]).fetch_add(item.number);
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");
  const int each = (argc > 2 ? std::atoi(argv[2]) : 1'000'000) / 4;

  cadre::Queue<Item> queue(1000);
  cadre::SharedArray<int> put(kProducers);
  cadre::SharedArray<long> seen(2 * kProducers);  // how many of each producer's, and their sum
  std::vector<cadre::Process> producers, consumers;
  for (int i = 0; i < kProducers; ++i) producers.emplace_back(produce, queue, i, i == kVictim ? 1'000'000'000 : each, put);
  for (int i = 0; i < kConsumers; ++i) consumers.emplace_back(consume, queue, seen);
  for (auto& p : producers) p.start();
  for (auto& p : consumers) p.start();
  while (std::atomic_ref(put[0]).load() < each / 4) usleep(100);
  producers[kVictim].kill();
  for (auto& p : producers) p.join();
  for (int i = 0; i < kConsumers; ++i) queue.put(kEnd);
  for (auto& p : consumers) p.join();

  // Items of a producer are numbered from 0: those that arrived once each have this sum. The victim may have put one of which it could not say so.
  long arrived = 0, wrong = 0;
  for (std::size_t i = 0; i < kProducers; ++i) {
    const long count = seen[2 * i], missing = count - put[i];
    if (i != kVictim) arrived += count;
    wrong += seen[2 * i + 1] != count * (count - 1) / 2 || (i == kVictim ? missing < 0 || missing > 1 : missing != 0);
  }
  std::printf("%ld items of four producers arrived, each once\n", arrived);
  std::printf("the killed one: exit code %d, %s\n", *producers[kVictim].exitcode(), wrong ? "and items are missing, or came twice" : "every item that it had put arrived once");
  return wrong != 0;
}
