#include <cadre/talk/descriptor.hpp>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>

#include <cadre/pool/process.hpp>

namespace cadre::detail {

/* All of this process; the mutex is held across a fork, so that the child finds them whole. */
struct OpenDescriptors {
  std::mutex mutex;
  std::set<Descriptor*> all;

  static OpenDescriptors& instance() {
    static OpenDescriptors* const open = [] {
      pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); }, [] { instance().mutex.unlock(); });
      return new OpenDescriptors;
    }();
    return *open;
  }
  static void keep_alone(std::span<const int> passed) {
    for (Descriptor* d : instance().all)
      if (std::find(passed.begin(), passed.end(), d->fd_) == passed.end()) d->close();
  }
};

namespace {
[[maybe_unused]] const bool hooked = (process_hooks.keep_alone = OpenDescriptors::keep_alone, true);
}

Descriptor::Descriptor(int fd) : fd_(fd) {
  OpenDescriptors& open = OpenDescriptors::instance();
  const std::lock_guard lock(open.mutex);
  open.all.insert(this);
}

Descriptor::~Descriptor() {
  OpenDescriptors& open = OpenDescriptors::instance();
  const std::lock_guard lock(open.mutex);
  open.all.erase(this);
  close();
}

void Descriptor::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace cadre::detail
