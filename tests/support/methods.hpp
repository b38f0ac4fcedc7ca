#pragma once
/* Tests of what must hold for processes of every start method. Programs of such tests have a main that calls cadre::init. */
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <ostream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <cadre/pool/forkserver.hpp>
#include <cadre/pool/process.hpp>

#include "leak_check.hpp"

namespace cadre::testing {

inline void PrintMethod(StartMethod method, std::ostream* out) { *out << name_of(method); }

/** A fixture with a start method; TearDown proves that nothing is left, no server either. */
class OnMethods : public LeakCheck, public ::testing::WithParamInterface<StartMethod> {
 protected:
  void SetUp() override {
    set_start_method(GetParam(), true);
    static bool warm = false;
    if (!warm) {  // what a program that starts processes keeps to its end
      Process first([] {});
      first.start();
      first.join();
      warm = true;
    }
    end_forkserver();
    LeakCheck::SetUp();
  }
  void TearDown() override {
    end_forkserver();
    LeakCheck::TearDown();
  }
};

inline std::string name_of_method(const ::testing::TestParamInfo<StartMethod>& info) { return name_of(info.param); }
inline const auto kAllMethods = ::testing::Values(StartMethod::fork, StartMethod::forkserver, StartMethod::spawn);

/** Whether the process is there and no zombie. */
inline bool runs(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto paren = text.rfind(')');
  return paren != std::string::npos && text.size() > paren + 2 && text[paren + 2] != 'Z' && text[paren + 2] != 'X';
}
/** Returns when it is true; the test's watchdog is the limit. */
template <class Ready>
void wait_until(Ready ready) {
  while (!ready()) std::this_thread::sleep_for(std::chrono::microseconds(200));
}

}  // namespace cadre::testing
