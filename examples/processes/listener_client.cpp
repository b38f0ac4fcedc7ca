/* A listener with a key, over a Unix socket and over TCP; a client with the same key, and one with another. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <cstdio>
#include <cstdlib>

void visit(const std::string& address, const std::string& key) {
  try {
    cadre::Client c(address, key);
    c.send(std::vector<int>{1, 2, 3});
    if (c.recv<std::string>() != "3 numbers") cadre::exit(2);
  } catch (const cadre::AuthenticationError&) {
    cadre::exit(1);
  }
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  std::string folder = "/tmp/cadre-example-XXXXXX";
  if (!mkdtemp(folder.data())) return 1;
  for (const std::string& address : {folder + "/socket", std::string("127.0.0.1:0")}) {
    cadre::Listener listener(address, "open sesame");
    for (const char* key : {"open sesame", "open barley"}) {
      cadre::Process client(visit, listener.address(), key);
      client.start();
      try {
        cadre::Connection c = listener.accept();
        c.send(std::to_string(c.recv<std::vector<int>>().size()) + " numbers");
        std::printf("%s: let in, ", key);
      } catch (const cadre::AuthenticationError&) {
        std::printf("%s: refused, ", key);
      }
      client.join();
      std::printf("exit code %d\n", *client.exitcode());
    }
  }
  rmdir(folder.c_str());
}
