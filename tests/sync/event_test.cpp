#include <cadre/sync/event.hpp>

#include <cadre/sync/value.hpp>

#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;

class EventTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, EventTest, testing::kAllMethods, testing::name_of_method);

TEST_P(EventTest, WaitersGoOnWhenItIsSet) {
  Event event;
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait(5ms));
  std::vector<Process> all;
  for (int i = 0; i < 4; ++i) all.emplace_back([](Event& e) { cadre::exit(e.wait() ? 0 : 1); }, event);
  for (Process& p : all) p.start();
  EXPECT_FALSE(all[0].join(5ms));
  event.set();
  for (Process& p : all) p.join();
  for (Process& p : all) EXPECT_EQ(p.exitcode(), 0);
  EXPECT_TRUE(event.is_set());
  EXPECT_TRUE(event.wait(0ms));
  event.set();
  event.clear();
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait(0ms));
}

TEST_P(EventTest, ASetThatIsClearedAtOnceStillWakesWhoWaited) {
  Event event, ready;
  SharedValue<int> woken(0);
  Process p(
      [](Event& e, Event& r, SharedValue<int>& w) {
        std::thread announce([&] {
          usleep(20'000);
          r.set();
        });
        w.value() = e.wait(20s);
        announce.join();
      },
      event, ready, woken);
  p.start();
  ready.wait();
  event.set();
  event.clear();
  p.join();
  EXPECT_EQ(woken.value(), 1);
}

TEST_P(EventTest, AKilledWaiterTakesNothingWithIt) {
  Event event;
  Process a([](Event& e) { e.wait(); }, event), b([](Event& e) { e.wait(); }, event);
  a.start();
  b.start();
  a.kill();
  a.join();
  event.set();
  b.join();
  EXPECT_EQ(b.exitcode(), 0);
}

}  // namespace
}  // namespace cadre
