/* Listeners and clients between processes of every start method, over Unix and TCP sockets, with the right key and with wrong ones; and Python's own on the other side. */
#include <cadre/sockets/listener.hpp>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <thread>

#include "../support/child.hpp"
#include "../support/methods.hpp"
#include "../support/temp_dir.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using testing::error_of;

class ListenerTest : public testing::OnMethods {};
INSTANTIATE_TEST_SUITE_P(Methods, ListenerTest, testing::kAllMethods, testing::name_of_method);

/** A client that says what became of it: 0 it got an answer, 3 it was refused. */
void visit(const std::string& address, const std::string& key) {
  try {
    Client c = key.empty() ? Client(address) : Client(address, key);
    c.send("hello");
    if (c.recv<std::string>() != "hello, too") cadre::exit(4);
  } catch (const AuthenticationError&) {
    cadre::exit(3);
  } catch (const ConnectionClosed&) {
    cadre::exit(5);
  }
}
void answer(Connection c) {
  EXPECT_EQ(c.recv<std::string>(), "hello");
  c.send("hello, too");
}

TEST_P(ListenerTest, WhoHasTheKeyGetsInOverUnixAndTcp) {
  testing::TempDir folder;
  for (const std::string& address : {folder.path() + "/socket", std::string("127.0.0.1:0"), std::string("localhost:0")}) {
    Listener listener(address, "the key");
    Process p(visit, listener.address(), "the key");
    p.start();
    answer(listener.accept());
    p.join();
    EXPECT_EQ(p.exitcode(), 0) << address;
    EXPECT_EQ(listener.last_accepted().empty(), address[0] == '/');
  }
}

TEST_P(ListenerTest, WhoHasAnotherKeyOrNoneDoesNotGetInAndTheListenerGoesOn) {
  testing::TempDir folder;
  Listener listener(folder.path() + "/socket", "the key");
  Process wrong(visit, listener.address(), "another key"), none(visit, listener.address(), "");
  wrong.start();
  EXPECT_NE(error_of([&] { (void)listener.accept(); }).find("does not have the key"), std::string::npos);
  wrong.join();
  EXPECT_EQ(wrong.exitcode(), 3);
  none.start();  // takes the challenge for a message
  EXPECT_THROW((void)listener.accept(), Error);
  none.kill();
  none.join();
  Process right(visit, listener.address(), "the key");
  right.start();
  answer(listener.accept());
  right.join();
  EXPECT_EQ(right.exitcode(), 0);
}

TEST_P(ListenerTest, AListenerThatDoesNotHaveTheKeyIsRefusedByTheClient) {
  testing::TempDir folder;
  Listener listener(folder.path() + "/socket");
  Process p(visit, listener.address(), "the key");
  p.start();
  Connection c = listener.accept();
  c.send_bytes("#CHALLENGE#{sha256}" + std::string(40, 'x'));
  EXPECT_TRUE(c.recv_text().starts_with("{sha256}"));
  c.send_bytes("#WELCOME#");
  EXPECT_TRUE(c.recv_text().starts_with("#CHALLENGE#{sha256}"));
  c.send_bytes("{sha256}" + std::string(32, 'y'));
  EXPECT_EQ(c.recv_text(), "#FAILURE#");
  p.join();
  EXPECT_EQ(p.exitcode(), 3);
}

TEST_P(ListenerTest, AClientKilledInTheMiddleOfTheChallengeHoldsNobodyUp) {
  testing::TempDir folder;
  Listener listener(folder.path() + "/socket", "the key");
  Process p(
      [](const std::string& address) {
        Client c(address);
        (void)c.recv_bytes();
        raise(SIGKILL);
      },
      listener.address());
  p.start();
  EXPECT_THROW((void)listener.accept(), ConnectionClosed);
  p.join();
  Process right(visit, listener.address(), "the key");
  right.start();
  answer(listener.accept());
  right.join();
}

TEST(Listener, AnswersAsTheStandardSaysHmacSha256) {
  auto [here, there] = Pipe();
  const std::string message = "{sha256}" + std::string(40, 'm');
  there.send_bytes("#CHALLENGE#" + message);
  there.send_bytes("#WELCOME#");
  answer_challenge(here, "Jefe");
  unsigned char digest[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), "Jefe", 4, reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
  EXPECT_EQ(there.recv_text(), "{sha256}" + std::string(reinterpret_cast<char*>(digest), size));
  there.send_bytes("#CHALLENGE#" + std::string(20, 'm'));  // Python before 3.12, with MD5
  EXPECT_NE(error_of([&, h = here]() mutable { answer_challenge(h, "Jefe"); }).find("Python has it from 3.12 on"), std::string::npos);
  there.send_bytes("#CHALLENGE#{sha256}short");
  EXPECT_NE(error_of([&, h = here]() mutable { answer_challenge(h, "Jefe"); }).find("too short"), std::string::npos);
}

TEST(Listener, SpeaksWithPython) {
  testing::TempDir folder;
  Listener listener(folder.path() + "/socket");
  const std::string program =
      "from multiprocessing.connection import Client\n"
      "c = Client('" + listener.address() + "', 'AF_UNIX')\n"
      "for _ in range(3): c.send_bytes(c.recv_bytes()[::-1])\n";
  FILE* python = popen((CADRE_PYTHON " -c \"" + program + "\"").c_str(), "r");
  Connection c = listener.accept();
  for (const std::size_t size : {3, 20'000, 2'000'000}) {
    std::string text(size, 'x'), back;
    text[0] = 'a';
    c.send_bytes(text);
    back = c.recv_text();
    EXPECT_EQ(back, std::string(text.rbegin(), text.rend()));
  }
  EXPECT_EQ(pclose(python), 0);
}

TEST(Listener, SaysWhatIsWrong) {
  testing::TempDir folder;
  const std::string path = folder.path() + "/socket";
  EXPECT_NE(error_of([] { Listener l("nowhere"); }).find("write host:port"), std::string::npos);
  EXPECT_NE(error_of([&] { Listener l(folder.path() + "/" + std::string(200, 'x')); }).find("may have up to 107 bytes"), std::string::npos);
  EXPECT_NE(error_of([&] { Listener l(path, ""); }).find("keeps nobody out"), std::string::npos);
  EXPECT_NE(error_of([&] { Client c(path); }).find("connect to " + path + ": No such file"), std::string::npos);
  {
    Listener l(path);
    EXPECT_NE(error_of([&] { Listener again(path); }).find("the path exists already"), std::string::npos);
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  Listener l("127.0.0.1:0");
  l.close();
  EXPECT_NE(error_of([&] { (void)l.accept(); }).find("the listener is closed"), std::string::npos);
}

}  // namespace
}  // namespace cadre
