#pragma once
/* Descriptors of this process alone, unless they are passed on: a process that is forked would otherwise have all those of its parent, and nobody on their other ends would
   ever be told that the parent is gone. (Under forkserver and spawn it has none to begin with.) */

namespace cadre::detail {

/** Owns a descriptor. In a Process that is forked while it is open, and is not given it, it is closed. */
class Descriptor {
 public:
  explicit Descriptor(int fd);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  /** -1 once it is closed. */
  int get() const noexcept { return fd_; }
  void close() noexcept;

 private:
  friend struct OpenDescriptors;
  int fd_;
};

}  // namespace cadre::detail
