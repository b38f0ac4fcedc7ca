/* A POSIX message queue, which has a name, priorities, and outlives its processes, between two of Cadre's: for talking with programs that know nothing of it. Argument:
   fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <fcntl.h>
#include <mqueue.h>
#include <cerrno>
#include <cstdio>
#include <string>

class MessageQueue {
 public:
  static constexpr long kMessageBytes = 64;
  MessageQueue(const std::string& name, int flags) {
    mq_attr attributes{};
    attributes.mq_maxmsg = 4;
    attributes.mq_msgsize = kMessageBytes;
    queue_ = mq_open(name.c_str(), flags, 0600, &attributes);
    if (queue_ < 0) cadre::throw_errno("open the message queue " + name, errno);
  }
  ~MessageQueue() { mq_close(queue_); }
  MessageQueue(const MessageQueue&) = delete;
  MessageQueue& operator=(const MessageQueue&) = delete;
  void send(const std::string& text, unsigned priority) {
    if (mq_send(queue_, text.data(), text.size(), priority) != 0) cadre::throw_errno("send a message", errno);
  }
  std::string receive(unsigned& priority) {
    std::string text(kMessageBytes, '\0');
    const ssize_t n = mq_receive(queue_, text.data(), text.size(), &priority);
    if (n < 0) cadre::throw_errno("receive a message", errno);
    text.resize(static_cast<std::size_t>(n));
    return text;
  }

 private:
  mqd_t queue_;
};

void say(const std::string& name) {
  MessageQueue queue(name, O_WRONLY);
  queue.send("tea at five", 1);
  queue.send("the kitchen is on fire", 9);
  queue.send("mind the step", 5);
}

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  const std::string name = "/cadre-example-" + std::to_string(getpid());
  MessageQueue queue(name, O_RDONLY | O_CREAT | O_EXCL);
  cadre::Process p(say, name);
  p.start();
  p.join();
  mq_unlink(name.c_str());
  for (int i = 0; i < 3; ++i) {
    unsigned priority = 0;
    const std::string text = queue.receive(priority);
    std::printf("%u %s\n", priority, text.c_str());
  }
}
