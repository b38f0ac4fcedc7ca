/* A pipe between two processes: a number goes to and fro, then a megabyte into the caller's own memory, then a text; at last the end is told. Argument: fork, forkserver
   or spawn. */
#include <cadre/cadre.hpp>
#include <cstdio>
#include <numeric>

void pong(cadre::Connection& there) {
  try {
    for (int i = there.recv<int>(); i > 0; i = there.recv<int>()) there.send(i + 1);
    std::vector<double> room(131'072);
    there.recv_bytes_into(std::as_writable_bytes(std::span(room)));
    there.send(std::accumulate(room.begin(), room.end(), 0.0));
    there.send(there.recv<std::string>() + ", pong");
    (void)there.recv<int>();
  } catch (const cadre::ConnectionClosed&) {
    cadre::exit(7);
  }
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  auto [here, there] = cadre::Pipe();
  cadre::Process p(pong, there);
  p.start();
  there.close();  // the process has its own

  int number = 1;
  for (int round = 0; round < 1000; ++round) {
    here.send(number);
    number = here.recv<int>() + 1;
  }
  std::printf("%d\n", number);
  here.send(0);
  const std::vector<double> values(131'072, 0.5);
  here.send_bytes(std::as_bytes(std::span(values)));
  std::printf("%.1f\n", here.recv<double>());
  here.send("ping");
  std::printf("%s\n", here.recv<std::string>().c_str());
  here.close();
  p.join();
  std::printf("exit code %d\n", *p.exitcode());
}
