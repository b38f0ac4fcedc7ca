/* Three processes with a function, two of a class, with a log; their exit codes. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <cstdio>
#include <memory>

void greet(int number) { cadre::get_logger().info("worker {} says hello", number); }

class Greeter : public cadre::Process {
 public:
  explicit Greeter(const std::string& whom) : Process(this, whom), whom_(whom) {}
  void run() override { cadre::get_logger().info("hello, {}", whom_); }

 private:
  std::string whom_;
};

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");
  cadre::log_to_stderr(spdlog::level::info);

  std::vector<std::unique_ptr<cadre::Process>> processes;
  for (int i = 0; i < 3; ++i) processes.push_back(std::make_unique<cadre::Process>(greet, i));
  for (const char* whom : {"Ada", "Charles"}) processes.push_back(std::make_unique<Greeter>(whom));
  for (auto& p : processes) p->start();
  for (auto& p : processes) p->join();
  for (auto& p : processes) std::printf("%d%s", *p->exitcode(), p == processes.back() ? "\n" : " ");
}
