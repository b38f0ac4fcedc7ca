/* A program that forgets cadre::init. */
#include <cstdio>

#include <cadre/pool/process.hpp>

int main(int, char** argv) {
  try {
    cadre::Process p = cadre::get_context(argv[1]).process([] {});
    p.start();
    p.join();
  } catch (const cadre::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
