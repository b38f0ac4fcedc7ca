/* A number, a string and an array of points, one lock for all; two processes change them. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <cctype>
#include <cstdio>
#include <mutex>

struct Point {
  double x, y;
};

void modify(cadre::SharedValue<double>& number, cadre::SharedString& text, cadre::SharedArray<Point>& points) {
  const std::lock_guard guard(number.get_lock());  // which is the lock of the others too
  number.value() *= number.value();
  for (char& c : text.raw()) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (Point& p : points) p = {p.x * p.x, p.y * p.y};
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  cadre::Lock lock;
  cadre::SharedValue<double> number(1.5, lock);
  cadre::SharedString text("hello world", lock);
  cadre::SharedArray<Point> points({{1, -6}, {-5, 2}, {2, 9}}, lock);
  cadre::Process first(modify, number, text, points), second(modify, number, text, points);
  first.start();
  second.start();
  first.join();
  second.join();

  std::printf("%g\n%s\n", number.value(), text.value().c_str());
  for (const Point& p : points) std::printf("(%g, %g)%s", p.x, p.y, &p + 1 == points.end() ? "\n" : " ");
}
