/* Pipes between processes of every start method: what Python's documentation says of connections, and what becomes of one end when the other is killed. */
#include <cadre/talk/connection.hpp>

#include <signal.h>
#include <sys/socket.h>

#include <numeric>
#include <thread>

#include <cadre/talk/queue.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;

class ConnectionTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ConnectionTest, testing::kAllMethods, testing::name_of_method);

/** A process has a copy of its end; what is the other's alone is closed on this side. */
Process start_with(Connection& there, void (*f)(Connection&)) {
  Process p(f, there);
  p.start();
  there.close();
  return p;
}

std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
  return bytes;
}

TEST_P(ConnectionTest, MessagesAreWholeWhateverTheirSize) {
  auto [here, there] = Pipe();
  Process p(
      [](Connection& c) {
        for (;;) {
          const std::vector<std::byte> message = c.recv_bytes();
          c.send_bytes(message);
          if (message.empty()) return;
        }
      },
      there);
  p.start();
  for (const std::size_t size : {1, 3, 4, 5, 1000, 65'536, 3'000'000, 0}) {
    const auto bytes = pattern(size);
    here.send_bytes(bytes);
    ASSERT_EQ(here.recv_bytes(), bytes) << size;
  }
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST_P(ConnectionTest, ValuesOfAnyTypeThatTravelsAreSent) {
  auto [here, there] = Pipe();
  Process p(
      [](Connection& c) {
        const auto text = c.recv<std::string>();
        const auto numbers = c.recv<std::vector<int>>();
        c.send(std::pair<std::string, long>{text + text, std::accumulate(numbers.begin(), numbers.end(), 0L)});
        auto q = c.recv<Queue<int>>();
        q.put(c.recv<int>());
      },
      there);
  p.start();
  Queue<int> q;
  here.send("ab");
  here.send(std::vector<int>{1, 2, 3});
  EXPECT_EQ((here.recv<std::pair<std::string, long>>()), (std::pair<std::string, long>{"abab", 6}));
  here.send(q);
  here.send(17);
  EXPECT_EQ(q.get(), 17);
  p.join();
  here.send(1.5);
  EXPECT_NE(error_of([&there = there] { (void)there.recv<std::string>(); }).find("shorter than it should be"), std::string::npos);
  here.send(1.5);
  EXPECT_NE(error_of([&there = there] { (void)there.recv<float>(); }).find("both sides must name the same type"), std::string::npos);
  EXPECT_NE(error_of([&here = here, &there = there] { here.send(there); }).find("pass it to the process as an argument"), std::string::npos);
}

TEST_P(ConnectionTest, TheCallersBufferIsFilledOrTheMessageComesWithTheError) {
  auto [here, there] = Pipe();
  Process p = start_with(there, [](Connection& c) {
    c.send_bytes("four");
    c.send_bytes("too long");
    c.send_bytes("end");
  });
  char room[6] = "-----";
  EXPECT_EQ(here.recv_bytes_into(std::as_writable_bytes(std::span(room))), 4u);
  EXPECT_STREQ(room, "four-");
  try {
    (void)here.recv_bytes_into(std::as_writable_bytes(std::span(room)));
    FAIL() << "nothing was thrown";
  } catch (const BufferTooShort& e) {
    EXPECT_EQ(e.message().size(), 8u);
  }
  EXPECT_EQ(here.recv_text(), "end");
  p.join();
}

TEST_P(ConnectionTest, WhatIsLongerThanAllowedClosesTheConnection) {
  auto [here, there] = Pipe();
  Process p = start_with(there, [](Connection& c) { c.send_bytes("far too long"); });
  EXPECT_NE(error_of([&here = here] { (void)here.recv_bytes(5); }).find("the connection is closed"), std::string::npos);
  EXPECT_TRUE(here.closed());
  p.join();
}

TEST_P(ConnectionTest, PollSaysWhetherSomethingCanBeReceived) {
  auto [here, there] = Pipe();
  EXPECT_FALSE(here.poll());
  EXPECT_FALSE(here.poll(10ms));
  Process p = start_with(there, [](Connection& c) {
    c.send(1);
    (void)c.recv<int>();
  });
  EXPECT_TRUE(here.poll(1h));
  EXPECT_EQ(here.recv<int>(), 1);
  EXPECT_FALSE(here.poll());
  here.send(2);
  EXPECT_TRUE(here.poll(1h));  // the end
  EXPECT_THROW((void)here.recv<int>(), ConnectionClosed);
  p.join();
}

TEST_P(ConnectionTest, WaitOnManySaysWhichAreReady) {
  std::vector<Pipe> pipes(3);
  std::vector<Connection*> here;
  for (Pipe& pipe : pipes) here.push_back(&pipe.first);
  EXPECT_TRUE(wait(std::span<Connection* const>(here), 5ms).empty());
  Process p([](Connection& c) { c.send(5); }, pipes[1].second);
  p.start();
  EXPECT_EQ(wait(std::span<Connection* const>(here)), std::vector<Connection*>{here[1]});
  const int fds[] = {p.sentinel(), here[0]->fileno()};  // connections and sentinels together
  EXPECT_EQ(wait(fds), std::vector<int>{p.sentinel()});
  EXPECT_EQ(here[1]->recv<int>(), 5);
  p.join();
}

TEST_P(ConnectionTest, APipeThatIsNotDuplexHasAnEndThatReceivesAndOneThatSends) {
  auto [receives, sends] = Pipe(false);
  EXPECT_TRUE(receives.readable() && !receives.writable() && !sends.readable() && sends.writable());
  Process p = start_with(sends, [](Connection& c) { c.send_bytes("one way"); });
  EXPECT_EQ(receives.recv_text(), "one way");
  EXPECT_NE(error_of([&, r = receives]() mutable { r.send(1); }).find("this end of the pipe only receives"), std::string::npos);
  p.join();
  Pipe other(false);
  EXPECT_NE(error_of([&] { (void)other.second.recv<int>(); }).find("this end of the pipe only sends"), std::string::npos);
}

TEST_P(ConnectionTest, TheEndIsToldWhenTheOtherSideIsClosedOrKilled) {
  {
    auto [here, there] = Pipe();
    there.send(3);
    there.close();
    EXPECT_EQ(here.recv<int>(), 3);  // what was sent before is there
    EXPECT_THROW((void)here.recv<int>(), ConnectionClosed);
    EXPECT_THROW(here.send(1), ConnectionClosed);
    EXPECT_NE(error_of([&, t = there]() mutable { t.send(1); }).find("closed on this side"), std::string::npos);
  }
  auto [here, there] = Pipe();
  Process p = start_with(there, [](Connection& c) {
    c.send(4);
    for (;;) pause();
  });
  EXPECT_EQ(here.recv<int>(), 4);
  p.kill();
  EXPECT_THROW((void)here.recv<int>(), ConnectionClosed);
  p.join();
}

TEST_P(ConnectionTest, AProcessHasTheConnectionsThatItWasGivenAndNoOthers) {
  auto [here, there] = Pipe();
  Process other([] { (void)pause(); }), p = start_with(there, [](Connection& c) {
    try {
      (void)c.recv<int>();
    } catch (const ConnectionClosed&) {
      cadre::exit(7);  // under fork too, whose memory holds the parent's end
    }
  });
  other.start();
  here.close();
  p.join();
  EXPECT_EQ(p.exitcode(), 7);
  other.kill();
  other.join();
}

TEST_P(ConnectionTest, AMessageWhoseSenderIsKilledInTheMiddleIsAnErrorNotAMessage) {
  auto [here, there] = Pipe();
  Process p = start_with(there, [](Connection& c) { c.send_bytes(pattern(50'000'000)); });  // more than the kernel takes at once
  EXPECT_TRUE(here.poll(1h));
  p.kill();
  p.join();
  const std::string said = error_of([&here = here] { (void)here.recv_bytes(); });
  EXPECT_NE(said.find("in the middle of a message"), std::string::npos) << said;
}

TEST_P(ConnectionTest, ManyConnectionsTravelToOneProcess) {
  std::vector<Connection> here, there;
  for (int i = 0; i < 100; ++i) {
    Pipe pipe;
    here.push_back(pipe.first);
    there.push_back(pipe.second);
  }
  Process p(
      [](std::vector<Connection>& all) {
        for (std::size_t i = 0; i < all.size(); ++i) all[i].send(i);
      },
      there);
  p.start();
  for (Connection& c : there) c.close();
  for (std::size_t i = 0; i < here.size(); ++i) EXPECT_EQ(here[i].recv<std::size_t>(), i);
  p.join();
  EXPECT_THROW((void)here[99].recv<int>(), ConnectionClosed);
}

TEST_P(ConnectionTest, WhatIsNoMessageIsRefused) {
  auto [here, there] = Pipe();
  const unsigned char size[] = {0x80, 0, 0, 1};
  ASSERT_EQ(::send(there.fileno(), size, sizeof size, 0), 4);
  EXPECT_NE(error_of([&, h = here]() mutable { (void)h.recv_bytes(); }).find("its size is impossible"), std::string::npos);
  EXPECT_TRUE(here.closed());
}

TEST(ConnectionThreads, SendAndReceiveInOneProcess) {
  auto [here, there] = Pipe();
  std::thread other([c = there]() mutable {
    for (int i = 0; i < 1000; ++i) c.send(c.recv<int>() + 1);
  });
  for (int i = 0; i < 1000; ++i) {
    here.send(i);
    ASSERT_EQ(here.recv<int>(), i + 1);
  }
  other.join();
}

}  // namespace
}  // namespace cadre
