/* Two processes add 1 to a shared number, under its lock. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <cstdio>
#include <mutex>

void add_one(cadre::SharedValue<double>& number) {
  const std::lock_guard guard(number.get_lock());
  number.value() += 1;
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  cadre::SharedValue<double> number(0.0);
  cadre::Process a(add_one, number), b(add_one, number);
  a.start();
  b.start();
  a.join();
  b.join();
  std::printf("%.1f\n", number.value());
}
