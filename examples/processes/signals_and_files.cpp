/* A child that stops in order on SIGTERM; two processes that exchange a result through a mapped file. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>

volatile std::sig_atomic_t stop = 0;

void work_until_told(cadre::Event& ready, cadre::SharedString& state) {
  std::signal(SIGTERM, [](int) { stop = 1; });
  ready.set();
  while (!stop) usleep(1000);  // the work
  state.set("saved");
}

/** A file of 100 squares and their sum, mapped. */
struct Results {
  long squares[100];
  long sum;
};
Results* map_results(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw cadre::Error("open " + path);
  void* at = mmap(nullptr, sizeof(Results), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) throw cadre::Error("map " + path);
  return static_cast<Results*>(at);
}
void produce(const std::string& path, cadre::Event& written) {
  Results* results = map_results(path);
  for (long i = 0; i < 100; ++i) results->squares[i] = (i + 1) * (i + 1);
  written.set();
}
void consume(const std::string& path, cadre::Event& written) {
  Results* results = map_results(path);
  written.wait();
  for (const long square : results->squares) results->sum += square;
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  cadre::Event ready;
  cadre::SharedString state("working", 16);
  cadre::Process child(work_until_told, ready, state);
  child.start();
  ready.wait();
  child.terminate();
  child.join();
  std::printf("exit code %d, state %s\n", *child.exitcode(), state.value().c_str());

  std::string path = "/tmp/cadre-example-XXXXXX";
  const int fd = mkstemp(path.data());
  if (fd < 0 || ftruncate(fd, sizeof(Results)) != 0) return 1;
  cadre::Event written;
  cadre::Process producer(produce, path, written), consumer(consume, path, written);
  producer.start();
  consumer.start();
  producer.join();
  consumer.join();
  std::printf("sum of squares %ld\n", map_results(path)->sum);
  close(fd);
  unlink(path.c_str());
}
