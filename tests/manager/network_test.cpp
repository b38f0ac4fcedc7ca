/* Who is let in over a network, and what those who are not, or who misbehave, can do to the others: nothing. The server is a thread of the test. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include <cadre/manager/certificates.hpp>
#include <cadre/manager/client.hpp>
#include <cadre/manager/encoding.hpp>
#include <cadre/manager/grpc_stream.hpp>
#include <cadre/manager/server.hpp>
#include <cadre/manager/transport.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"
#include "../support/temp_dir.hpp"

namespace cadre {
namespace {

using namespace std::chrono_literals;
using detail::GrpcStream;
using detail::TlsContext;
using detail::Transport;
using testing::error_of;
using testing::TempDir;
using List = Data::List;

/** Serves until it goes. */
class Served {
 public:
  explicit Served(ServerOptions options) : server_(options) {
    if (pipe(ends_) != 0) throw_errno("pipe", errno);
    thread_ = std::thread([this] { server_.run(ends_[0]); });
  }
  ~Served() {
    close(ends_[1]);
    thread_.join();
    close(ends_[0]);
  }
  const std::string& address() const { return server_.address(); }

 private:
  ManagerServer server_;
  int ends_[2];
  std::thread thread_;
};

int connect_to(const std::string& address) {
  int fd;
  if (address.find('/') != address.npos) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.copy(name.sun_path, sizeof name.sun_path - 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) throw_errno("connect", errno);
  } else {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) throw_errno("connect", errno);
  }
  const timeval limit{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}
/** What the other side sends until it closes the connection. */
std::string rest_of(int fd) {
  std::string all;
  char room[4096];
  for (ssize_t n; (n = recv(fd, room, sizeof room, 0)) > 0;) all.append(room, static_cast<std::size_t>(n));
  close(fd);
  return all;
}
void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // it does not want more
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

/** A client by hand, which can say what none says. */
class Rough {
 public:
  explicit Rough(const std::string& address) : fd_(connect_to(address)) {}
  ~Rough() {
    if (fd_ >= 0) close(fd_);
  }
  void say(std::string message) {
    stream_.send(std::move(message));
    flush();
  }
  void flush() {
    std::string out;
    while (stream_.output(out)) continue;
    send_all(fd_, out);
  }
  /** The next message; "" when the connection was closed. */
  std::string hear() {
    char room[4096];
    while (stream_.messages().empty()) {
      const ssize_t n = recv(fd_, room, sizeof room, 0);
      if (n <= 0 || stream_.ended()) return "";
      stream_.receive({room, static_cast<std::size_t>(n)});
      flush();
    }
    std::string message = std::move(stream_.messages().front());
    stream_.messages().pop_front();
    return message;
  }
  void hello() {
    std::string message;
    detail::encode(message, List{1, 1, nullptr, List{}, "hello", List{1, nullptr}});
    say(message);
    ASSERT_TRUE(detail::decode(hear()).list().at(1).boolean());
  }
  int fd() const { return fd_; }
  GrpcStream& stream() { return stream_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
  GrpcStream stream_{GrpcStream::Side::client, 1 << 30};
};

class Network : public testing::LeakCheck {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    LeakCheck::SetUp();
  }
  TempDir folder_;
  std::string certificates(const std::string& name, const CertificateOptions& options = {}) {
    write_certificates(folder_ / name, options);
    return folder_ / name;
  }
};

TEST_F(Network, WhoHasACertificateOfTheAuthorityIsLetInAndNobodyElse) {
  const std::string ours = certificates("ours"), others = certificates("others"), expired = certificates("expired", {.valid = std::chrono::hours(-1)});
  const Served server({.address = "127.0.0.1:0", .certificates = ours});
  const ManagerClient good(server.address(), ours);
  good["n"] = 1;

  const auto told = [&](const std::string& with) { return error_of([&] { ManagerClient m(server.address(), with); }); };
  EXPECT_NE(told(others).find("certificate"), std::string::npos) << told(others);
  // Signed by the right authority, and expired; and by another, of a client that believes this server.
  const auto mixed = [&](const std::string& name, const std::string& client, const std::string& ca) {
    std::filesystem::create_directory(folder_ / name);
    for (const char* file : {"client.pem", "client.key"}) std::filesystem::copy(client + "/" + file, folder_ / name);
    std::filesystem::copy(ca + "/ca.pem", folder_ / name);
    return folder_ / name;
  };
  EXPECT_NE(told(mixed("stranger", others, ours)).find("connect to the manager at " + server.address()), std::string::npos);
  EXPECT_NE(told(mixed("stranger2", others, ours)).find("alert"), std::string::npos) << told(folder_ / "stranger2");
  // A server's certificate does not make a client.
  std::filesystem::create_directory(folder_ / "server");
  for (const char* kind : {"pem", "key"}) std::filesystem::copy(ours + "/server." + kind, (folder_ / "server/client.") + kind);
  std::filesystem::copy(ours + "/ca.pem", folder_ / "server");
  EXPECT_NE(told(folder_ / "server").find("alert"), std::string::npos) << told(folder_ / "server");
  {
    const Served old({.address = "127.0.0.1:0", .certificates = expired});
    const std::string why = error_of([&] { ManagerClient m(old.address(), expired); });
    EXPECT_NE(why.find("expired"), std::string::npos) << why;
  }
  EXPECT_NE(told(folder_ / "nothing").find("`cadre manager init` writes certificates"), std::string::npos);
  // A name that is not the server's.
  const std::string elsewhere = certificates("elsewhere", {.hosts = {"gauss.example.org"}});
  const Served named({.address = "127.0.0.1:0", .certificates = elsewhere});
  EXPECT_NE(error_of([&] { ManagerClient m(named.address(), elsewhere); }).find("IP address mismatch"), std::string::npos);
  EXPECT_EQ(good["n"].as<int>(), 1);
}

TEST_F(Network, AClientWithoutACertificateOrThatExpiredIsToldWhy) {
  const std::string ours = certificates("ours");
  const Served server({.address = "127.0.0.1:0", .certificates = ours});
  const std::string port = server.address().substr(server.address().rfind(':') + 1);
  const auto openssl = [&](const std::string& arguments) {
    std::string said;
    char room[4096];
    FILE* out = popen(("printf '' | timeout 10 openssl s_client -ign_eof -alpn h2 -connect 127.0.0.1:" + port + " " + arguments + " 2>&1").c_str(), "r");
    while (out && fgets(room, sizeof room, out)) said += room;
    if (out) pclose(out);
    return said;
  };
  EXPECT_NE(openssl("").find("certificate required"), std::string::npos) << openssl("");
  EXPECT_NE(openssl("-tls1_2").find("alert protocol version"), std::string::npos);
  // The authority's key, with a certificate whose time is over.
  write_certificates(folder_ / "late", {.valid = std::chrono::hours(-1)});
  const std::string make = "cd " + folder_.path() + " && openssl x509 -in late/client.pem -force_pubkey late/client.pem -out x.csr 2>/dev/null; openssl req -new -key late/client.key -subj /CN=late -out c.csr 2>/dev/null && "
                           "openssl x509 -req -in c.csr -CA ours/ca.pem -CAkey ours/ca.key -CAcreateserial -days -1 -out late/client.pem 2>/dev/null";
  if (std::system(make.c_str()) == 0) {
    const std::string said = openssl("-cert " + (folder_ / "late/client.pem") + " -key " + (folder_ / "late/client.key"));
    EXPECT_NE(said.find("certificate expired"), std::string::npos) << said;
  }
}

TEST_F(Network, PlaintextToTheTlsPortIsRefusedUnread) {
  const std::string ours = certificates("ours");
  const Served server({.address = "127.0.0.1:0", .certificates = ours});
  for (const std::string_view bytes : {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\xff", "x"}) {
    const int fd = connect_to(server.address());
    send_all(fd, bytes);
    shutdown(fd, SHUT_WR);
    EXPECT_LE(rest_of(fd).size(), 7u) << bytes;  // an alert of TLS at most
  }
  EXPECT_TRUE(ManagerClient(server.address(), ours)["x"].exists() == false);
}

TEST_F(Network, ConnectionsThatSayNothingMakeRoomForThoseThatDo) {
  const std::string ours = certificates("ours");
  const Served server({.address = "127.0.0.1:0", .certificates = ours, .most_connections = 100, .patience = 3000ms});
  const ManagerClient before(server.address(), ours);
  before["n"] = 0;
  std::vector<int> silent;
  for (int i = 0; i < 600; ++i) {
    silent.push_back(connect_to(server.address()));
    if (i % 50 == 0) before["n"].add(1);
    if (i % 200 != 199) continue;
    EXPECT_EQ(ManagerClient(server.address(), ours)["n"].as<int>(), i / 50 + 1);
  }
  EXPECT_LE(before.stats().dict().at("connections").integer(), 100);
  for (const int fd : silent) {  // those that were not dropped for others are dropped when their time is up
    pollfd gone{fd, POLLIN, 0};
    EXPECT_EQ(poll(&gone, 1, 20'000), 1);
    close(fd);
  }
  EXPECT_EQ(before.stats().dict().at("strangers").integer(), 0);
}

TEST_F(Network, ASocketsPathIsItsOwnersAndGoesWithIt) {
  const std::string path = folder_ / "socket";
  {
    const Served server({.address = path});
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const ManagerClient client(path);
    client["x"] = 1;
    EXPECT_EQ(ManagerClient(path)["x"].as<int>(), 1);
    EXPECT_NE(error_of([&] { ManagerServer again({.address = path}); }).find("the path exists already"), std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_NE(error_of([&] { ManagerClient m(path); }).find("it has not been started, or it has ended"), std::string::npos);
  EXPECT_NE(error_of([] { ManagerServer s({.address = "127.0.0.1:0"}); }).find("needs certificates"), std::string::npos);
}

TEST_F(Network, HalfFramesAndSilenceHarmNobody) {
  const Served server({.address = folder_ / "socket", .patience = 1500ms});
  const ManagerClient good(server.address());
  good["n"] = 0;
  Rough half(server.address());
  half.hello();
  std::string message;
  detail::encode(message, List{2, 1, 0, List{"n"}, "assign", List{99}});
  half.stream().send(message);
  std::string out;
  while (half.stream().output(out)) continue;
  send_all(half.fd(), std::string_view(out).substr(0, out.size() - 1));
  good["n"].add(1);
  EXPECT_EQ(good["n"].as<int>(), 1);
  send_all(half.fd(), std::string_view(out).substr(out.size() - 1));
  EXPECT_TRUE(detail::decode(half.hear()).list().at(1).boolean());
  EXPECT_EQ(good["n"].as<int>(), 99);
  Rough gone(server.address());
  gone.hello();
  gone.stream().send(message);
  out.clear();
  while (gone.stream().output(out)) continue;
  send_all(gone.fd(), std::string_view(out).substr(0, out.size() / 2));
  close(gone.release());
  Rough mute(server.address());
  mute.flush();  // begins a call, says no hello, and is dropped
  EXPECT_EQ(mute.hear(), "");
  EXPECT_EQ(good["n"].as<int>(), 99);
}

TEST_F(Network, AMessageThatIsTooLargeEndsItsSenderAlone) {
  const Served server({.address = folder_ / "socket", .most_message = 100'000});
  const ManagerClient good(server.address());
  const std::string told = error_of([&] { good["big"] = std::string(200'000, 'x'); });
  EXPECT_NE(told.find("which takes messages of 100000: send it in pieces"), std::string::npos) << told;
  good["list"] = List(9000, 1);
  for (int i = 0; i < 4; ++i) good["list"].extend(List(20'000, 1));
  EXPECT_NE(error_of([&] { (void)good["list"].value(); }).find("read it in slices"), std::string::npos);
  EXPECT_EQ(good["list"].slice(0, 10).list().size(), 10u);
  Rough liar(server.address());
  liar.hello();
  liar.stream().send("");  // whose size is then said to be 4 GiB
  std::string out;
  while (liar.stream().output(out)) continue;
  const std::size_t at = out.rfind(std::string(5, '\0'));
  ASSERT_NE(at, std::string::npos);
  out.replace(at + 1, 4, "\xff\xff\xff\xff");
  send_all(liar.fd(), out);
  EXPECT_EQ(liar.hear(), "");
  EXPECT_EQ(good["list"].size(), 89'000u);
}

TEST_F(Network, AClientThatDoesNotReadIsNotReadFrom) {
  const Served server({.address = folder_ / "socket"});
  const ManagerClient good(server.address());
  good["text"] = std::string(500'000, 'x');
  Rough greedy(server.address());
  greedy.hello();
  std::string message;
  detail::encode(message, List{2, 1, 0, List{"text"}, "value", List{}});
  std::string out;
  for (int i = 0; i < 5000; ++i) greedy.stream().send(message);
  while (greedy.stream().output(out)) continue;
  const timeval soon{0, 200'000};
  setsockopt(greedy.fd(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
  send_all(greedy.fd(), out);
  for (int i = 0; i < 100; ++i) good["n"].add(1, 0);
  EXPECT_LT(good.stats().dict().at("calls").integer(), 1000);  // not 5,000: they wait where they came from
}

TEST_F(Network, GarbageIsRefusedAndOthersAreServed) {
  const Served server({.address = folder_ / "socket"});
  const ManagerClient good(server.address());
  good["n"] = 0;
  std::mt19937_64 random(42);
  // Bytes that are no HTTP/2; and the beginnings of what is, with some changed.
  std::string opening;
  {
    GrpcStream stream(GrpcStream::Side::client, 1000);
    std::string hello;
    detail::encode(hello, List{1, 1, nullptr, List{}, "hello", List{1, nullptr}});
    for (int i = 0; i < 3; ++i) stream.send(hello);
    while (stream.output(opening)) continue;
  }
  for (int i = 0; i < 400; ++i) {
    const int fd = connect_to(server.address());
    std::string bytes = opening;
    if (i % 4 == 0)
      for (char& c : bytes) c = static_cast<char>(random());
    else
      for (int k = 0; k <= i % 7; ++k) bytes[(i % 4 == 1 ? 24 : 0) + random() % (bytes.size() - 24)] = static_cast<char>(random());
    send_all(fd, bytes);
    shutdown(fd, SHUT_WR);
    (void)rest_of(fd);
    if (i % 40 == 0) good["n"].add(1);
  }
  // Messages that are gRPC, and nonsense within: each is answered, or ends its sender.
  std::vector<std::string> seeds(4);
  detail::encode(seeds[0], List{2, 1, 0, List{"a", 1}, "assign", List{Data(List{1, "x", 2.5})}});
  detail::encode(seeds[1], List{3, 1, nullptr, List{}, "make", List{"queue", nullptr, List{3}}});
  detail::encode(seeds[2], List{4, 1, nullptr, List{}, "transaction", List{Data(List{Data(List{0, List{"a"}, "add", List{1, 0}})})}});
  detail::encode(seeds[3], List{5, 1, 1, List{}, "acquire", List{0.001}});
  std::unique_ptr<Rough> rough;
  int answered = 0;
  const char* const wanted = std::getenv("CADRE_GARBAGE");  // messages, for long runs by hand
  const int messages = wanted ? std::atoi(wanted) : 5000;
  for (int i = 0; i < messages; ++i) {
    if (!rough) {
      rough = std::make_unique<Rough>(server.address());
      rough->hello();
    }
    std::string message = seeds[random() % 4];
    for (unsigned k = 0; k <= random() % 3; ++k) message[random() % message.size()] = static_cast<char>(random());
    if (random() % 8 == 0) message.resize(random() % message.size());
    rough->say(message);
    if (i % 16 == 0) {  // what was asked may wait for ever: so not after each
      std::string sentinel;
      detail::encode(sentinel, List{1'000'000 + i, 1, nullptr, List{}, "stats", List{}});
      rough->say(sentinel);
      for (;;) {
        const std::string heard = rough->hear();
        if (heard.empty()) {
          rough.reset();
          break;
        }
        ++answered;
        if (detail::decode(heard).list().at(0) == Data(1'000'000 + i)) break;
      }
      good["n"].add(1);
    }
  }
  EXPECT_GT(answered, 1000);
  rough.reset();
  EXPECT_GE(good["n"].as<int>(), 300);
}

TEST_F(Network, GrpcsOwnLibraryIsUnderstoodAndUnderstands) {
  const std::string ours = certificates("ours");
  const Served tcp({.address = "127.0.0.1:0", .certificates = ours});
  const ManagerClient client(tcp.address(), ours);
  client["from"] = List{1, 2.5, "C++"};
  const std::string program = std::string(CADRE_PYTHON " ") + CADRE_TESTS + "/grpc_client.py " + tcp.address() + " " + ours + " 2>&1";
  std::string said;
  char room[1000];
  FILE* out = popen(program.c_str(), "r");
  while (out && fgets(room, sizeof room, out)) said += room;
  EXPECT_EQ(pclose(out), 0) << said;
  EXPECT_EQ(said, "[1, 2.5, 'C++']\nUNIMPLEMENTED this server has one call: /cadre.Manager/Session\n");
  EXPECT_EQ(client["to"].as<std::string>(), "Python");
}

}  // namespace
}  // namespace cadre
