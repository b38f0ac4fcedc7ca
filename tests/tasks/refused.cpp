/* What the compiler must refuse, and say why (tests/tasks/CMakeLists.txt has what): each by the name of a macro. With none of them it compiles. */
#include <cadre/tasks/task_pool.hpp>

#include <memory>

int use(std::shared_ptr<int>& p) { return *p; }
std::shared_ptr<int> make(int n) { return std::make_shared<int>(n); }
int square(int n) { return n * n; }

int main() {
  cadre::TaskPool pool(2);
#if defined(ARGUMENT_OF_THIS_PROCESS_ALONE)
  return pool.apply(use, std::make_shared<int>(3));
#elif defined(RESULT_OF_THAT_PROCESS_ALONE)
  return *pool.apply(make, 3);
#elif defined(QUEUE_OF_POINTERS)
  cadre::Queue<int*> q;
  return *q.get();
#else
  return pool.apply(square, 3);
#endif
}
