#include <cadre/shm/npy_file.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <cadre/shm/arena.hpp>
#include <cadre/shm/memory.hpp>
#include <cadre/shm/npy.hpp>

namespace cadre {
namespace {

/* A descriptor that is closed with its scope. */
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

const char* kind_of(mode_t mode) {
  return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : S_ISCHR(mode) ? "a character device" : "a block device";
}

[[noreturn]] void throw_unreachable(const std::string& path, int error) {
  struct stat status{};
  if (error == ENOENT && lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) throw Error(path + ": is a link to a file that does not exist");
  if (error == ENOENT) throw Error(path + ": there is no such file");
  if (error == ELOOP) throw Error(path + ": is a link that leads in a circle");
  if (error == EACCES) throw Error(path + ": may not be read (permission denied)");
  throw_errno("open " + path, error);
}

/* Nothing but a regular file is ever opened: opening alone can block (FIFO) or act (tape). */
Descriptor open_regular(const std::string& path, struct stat& status) {
  if (path.size() != std::strlen(path.c_str())) throw Error("a file name with a NUL in it: " + std::string(path.c_str()) + "...");
  const auto require_regular = [&] {
    if (!S_ISREG(status.st_mode)) throw Error(path + ": is " + kind_of(status.st_mode) + ", not a file that can be mapped");
  };
  if (stat(path.c_str(), &status) != 0) throw_unreachable(path, errno);
  require_regular();
  Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) throw_unreachable(path, errno);
  if (fstat(fd.get(), &status) != 0) throw_errno("look at " + path, errno);
  require_regular();  // it may have been exchanged in between
  return fd;
}

struct Opened {
  Descriptor fd;
  struct stat status;
  NpyHeader header;
  std::uint64_t data_bytes, surplus;
};

Opened open_with_header(const std::string& path) {
  Opened it;
  it.fd = open_regular(path, it.status);
  std::vector<std::byte> head(64 * 1024);
  std::size_t got = 0;
  while (got < head.size()) {
    const ssize_t n = pread(it.fd.get(), head.data() + got, head.size() - got, static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read " + path, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  it.header = parse_npy_header({head.data(), got}, path);
  it.data_bytes = elements_of(it.header.shape, size_of(it.header.type)) * size_of(it.header.type);
  const std::uint64_t size = static_cast<std::uint64_t>(it.status.st_size), there = size > it.header.data_offset ? size - it.header.data_offset : 0;
  if (there < it.data_bytes)
    throw Error(path + ": is truncated: the shape " + to_string(it.header.shape) + " of " + name_of(it.header.type) + " needs " + std::to_string(it.data_bytes) +
                " bytes of data, the file has " + std::to_string(there));
  it.surplus = there - it.data_bytes;
  return it;
}

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

/* A file from its first byte, mapped into the arena's file region. Keeps the descriptor open for the workers. */
class FileStorage final : public Storage {
 public:
  FileStorage(Descriptor fd, const std::string& path, std::size_t bytes, bool writable) : Storage(nullptr, bytes), fd_(std::move(fd)) {
    Arena& arena = Arena::instance();
    try {
      data_ = arena.allocate_file_range(bytes);
    } catch (const Error& error) {
      throw Error(path + ": " + error.what());
    }
    if (mmap(data_, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd_.get(), 0) == MAP_FAILED) {
      const int error = errno;
      arena.release_file_range(data_);
      throw_errno("map " + path, error);
    }
    madvise(data_, bytes, MADV_DONTDUMP);
    file_ = {fd_.get(), next_serial(), writable, path};
  }
  ~FileStorage() override { Arena::instance().release_file_range(data_); }
  const File* file() const noexcept override { return &file_; }

 private:
  Descriptor fd_;
  File file_;
};

AnyArray map_file(Descriptor fd, const std::string& path, DType type, const Shape& shape, std::size_t offset, bool writable) {
  const std::size_t bytes = elements_of(shape, size_of(type)) * size_of(type);
  if (bytes == 0) return {std::make_shared<Storage>(nullptr, 0), nullptr, type, shape, writable};
  auto storage = std::make_shared<FileStorage>(std::move(fd), path, offset + bytes, writable);
  std::byte* const data = storage->data() + offset;
  return {std::move(storage), data, type, shape, writable};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/* What a path that is to be written stands for: links are followed, as every other program does. */
std::string writable_target(const std::string& path) {
  if (path.empty() || path.size() != std::strlen(path.c_str())) throw Error("the name of an output file must not be empty nor contain a NUL");
  std::string target = path;
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) {
    if (stat(path.c_str(), &status) != 0) throw_unreachable(path, errno);
    if (!S_ISREG(status.st_mode)) throw Error(path + ": is " + kind_of(status.st_mode) + "; an output must be a regular file or a new name");
    if (faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) throw Error(path + ": is there and may not be written: " + std::strerror(errno));
    if (char* real = realpath(path.c_str(), nullptr)) {
      target = real;
      std::free(real);
    }
  } else if (errno != ENOENT) {
    throw_errno("write " + path, errno);
  }
  if (target.back() == '/') throw Error(path + ": names a directory; an output needs a file name");
  const std::string directory = directory_of(target);
  if (stat(directory.c_str(), &status) != 0) throw Error(path + ": the directory " + directory + " does not exist");
  if (!S_ISDIR(status.st_mode)) throw Error(path + ": " + directory + " is not a directory");
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) throw Error(path + ": no file can be made in " + directory + ": " + std::strerror(errno));
  return target;
}

/* A file in the making. Where the file system can, it has no name until it is whole, so that not even SIGKILL leaves one behind. */
class Temporary {
 public:
  explicit Temporary(const std::string& path) : path_(path), target_(writable_target(path)) {
    Arena::instance();  // has made file size limits an errno instead of a signal
    fd_ = Descriptor(open(directory_of(target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
    if (fd_.get() >= 0) return;
    with_new_name([&] {
      fd_ = Descriptor(open(name_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666));
      return fd_.get() >= 0;
    });
  }
  /* Kept: with a name that stays when the program ends before it is whole. */
  Temporary(const std::string& path, const std::string& tag, bool again) : path_(path), target_(writable_target(path)), kept_(true) {
    Arena::instance();
    name_ = beside(target_, tag);
    const int make = again ? 0 : O_CREAT | O_TRUNC;
    fd_ = Descriptor(open(name_.c_str(), make | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (fd_.get() >= 0) return;
    const int error = errno;
    const std::string name = std::exchange(name_, "");
    if (again) throw_errno(path_ + ": open what was made of it so far, " + name, error, error == ENOENT ? Error::Kind::damaged : Error::Kind::usage);
    throw_errno("make a temporary file for " + path_ + ", " + name, error);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!kept_) discard();
  }
  void discard() {
    if (!name_.empty()) unlink(name_.c_str());
    name_.clear();
  }
  static std::string beside(const std::string& target, const std::string& tag) {
    const std::size_t slash = target.rfind('/');
    const std::string directory = slash == std::string::npos ? "" : target.substr(0, slash + 1);
    return directory + "." + target.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 200) + "." + tag + ".tmp";
  }
  const std::string& name() const { return name_; }
  void sync() {
    if (fsync(fd()) != 0) throw_errno("put " + path_ + " onto the disk", errno, Error::Kind::failed);
  }

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  /* Blocks for the whole file, so that a full disk is an error now and not a SIGBUS later. */
  void reserve(std::uint64_t bytes) {
    require_file_space(fd(), bytes, path_);  // an allocation that fails half way has filled the disk for everybody else in the meantime
    int error;
    do error = posix_fallocate(fd(), 0, static_cast<off_t>(bytes));
    while (error == EINTR);
    if (error) throw_errno("reserve " + human_bytes(bytes) + " for " + path_, error);
  }
  void write(const void* data, std::uint64_t bytes, std::uint64_t at) {
    const char* from = static_cast<const char*>(data);
    while (bytes) {
      const ssize_t n = pwrite(fd(), from, bytes, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw_errno("write " + path_, n < 0 ? errno : ENOSPC);
      from += n, at += static_cast<std::uint64_t>(n), bytes -= static_cast<std::uint64_t>(n);
    }
  }
  void commit() {
    struct stat before{};
    if (stat(target_.c_str(), &before) == 0 && fchmod(fd(), before.st_mode & 07777) != 0) throw_errno("keep the permissions of " + path_, errno, Error::Kind::failed);
    if (name_.empty()) {
      const std::string self = "/proc/self/fd/" + std::to_string(fd());
      with_new_name([&] { return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW) == 0; });
    }
    if (rename(name_.c_str(), target_.c_str()) != 0) throw_errno("give " + path_ + " its name", errno, Error::Kind::failed);
    name_.clear();
  }
  /* For the storage, which keeps it open as long as the array lives. */
  Descriptor duplicate() const {
    Descriptor copy(fcntl(fd(), F_DUPFD_CLOEXEC, 0));
    if (copy.get() < 0) throw_errno("open " + path_ + " again", errno);
    return copy;
  }

 private:
  /* Tries names beside the target, ".NAME.PID.tmp" and then numbered, until `make` succeeds or fails for another reason than the name. */
  template <class Make>
  void with_new_name(Make make) {
    for (int i = 0;; ++i) {
      name_ = beside(target_, std::to_string(getpid()) + (i ? "." + std::to_string(i) : ""));
      if (make()) return;
      const int error = errno;
      if (error == EEXIST && i < 1000) continue;
      name_.clear();  // not ours to remove
      throw_errno("make a temporary file for " + path_ + " in " + directory_of(target_), error);
    }
  }

  std::string path_, target_;
  std::string name_;  // empty while the file has none
  bool kept_ = false;
  Descriptor fd_;
};

}  // namespace

NpyInfo inspect_npy(const std::string& path) {
  Opened it = open_with_header(path);
  return {it.header.type, std::move(it.header.shape), it.header.fortran_order, it.status.st_dev, it.status.st_ino};
}

AnyArray open_npy(const std::string& path) {
  Opened it = open_with_header(path);
  if (it.header.fortran_order)
    throw Error(path + ": is in Fortran order with the shape " + to_string(it.header.shape) + "; C order is needed: save numpy.ascontiguousarray(x)");
  if (it.surplus)
    std::fprintf(stderr, "cadre: warning: %s: %llu bytes follow the data that the header speaks of; they are ignored\n", path.c_str(),
                 static_cast<unsigned long long>(it.surplus));
  return map_file(std::move(it.fd), path, it.header.type, it.header.shape, it.header.data_offset, false);
}

struct NpyOutput::Impl {
  explicit Impl(const std::string& path) : temporary(path) {}
  Impl(const std::string& path, const std::string& tag, bool again) : temporary(path, tag, again) {}
  Temporary temporary;
  AnyArray array;
};

NpyOutput::NpyOutput(const std::string& path, DType type, const Shape& shape) : impl_(std::make_unique<Impl>(path)) {
  const std::string header = make_npy_header(type, shape);
  const std::uint64_t bytes = header.size() + elements_of(shape, size_of(type)) * size_of(type);
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) throw Error(path + ": a file of " + human_bytes(bytes) + " can not be");
  impl_->temporary.reserve(bytes);
  impl_->temporary.write(header.data(), header.size(), 0);
  impl_->array = map_file(impl_->temporary.duplicate(), path, type, shape, header.size(), true);
}

NpyOutput::NpyOutput(const std::string& path, DType type, const Shape& shape, const std::string& tag, bool again)
    : impl_(std::make_unique<Impl>(path, tag, again)) {
  const std::string header = make_npy_header(type, shape);
  const std::uint64_t bytes = header.size() + elements_of(shape, size_of(type)) * size_of(type);
  if (again) {
    struct stat status {};
    if (fstat(impl_->temporary.fd(), &status) != 0) throw_errno("look at " + impl_->temporary.name(), errno);
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != bytes)
      throw Error(impl_->temporary.name() + ": is not what was made of " + path + " so far: it has " + std::to_string(status.st_size) +
                  " bytes instead of " + std::to_string(bytes), Error::Kind::damaged);
  } else {
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
      throw Error(path + ": a file of " + human_bytes(bytes) + " can not be");
    impl_->temporary.reserve(bytes);
    impl_->temporary.write(header.data(), header.size(), 0);
  }
  impl_->array = map_file(impl_->temporary.duplicate(), path, type, shape, header.size(), true);
}

NpyOutput NpyOutput::written(const std::string& path, DType type, const Shape& shape, const void* data, const std::string& tag) {
  auto impl = tag.empty() ? std::make_unique<Impl>(path) : std::make_unique<Impl>(path, tag, false);
  const std::string header = make_npy_header(type, shape);
  impl->temporary.write(header.data(), header.size(), 0);
  impl->temporary.write(data, elements_of(shape, size_of(type)) * size_of(type), header.size());
  return NpyOutput(std::move(impl));
}

NpyOutput::NpyOutput(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NpyOutput::NpyOutput(NpyOutput&&) noexcept = default;
NpyOutput::~NpyOutput() = default;

KeptFile NpyOutput::kept() const {
  struct stat status {};
  if (fstat(impl_->temporary.fd(), &status) != 0) throw_errno("look at " + impl_->temporary.name(), errno);
  return {impl_->temporary.path(), impl_->temporary.name(), status.st_dev, status.st_ino};
}

void NpyOutput::sync() { impl_->temporary.sync(); }

void NpyOutput::discard() noexcept { impl_->temporary.discard(); }

const AnyArray& NpyOutput::array() const { return impl_->array; }

void NpyOutput::check(const std::string& path) { writable_target(path); }

void NpyOutput::commit() { impl_->temporary.commit(); }

void commit_kept(const KeptFile& file) {
  struct stat status {};
  if (lstat(file.temporary.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == file.inode &&
      status.st_dev == file.device) {
    const std::size_t end = file.temporary.size() - 4, dot = file.temporary.rfind('.', end - 1);  // ".NAME.TAG.tmp"
    Temporary temporary(file.path, file.temporary.substr(dot + 1, end - dot - 1), true);
    temporary.sync();
    temporary.commit();
    return;
  }
  if (stat(file.path.c_str(), &status) == 0 && status.st_ino == file.inode && status.st_dev == file.device) return;
  throw Error(file.path + ": the finished file is gone: neither it nor " + file.temporary + " is what the journal tells of",
              Error::Kind::damaged);
}

void write_npy(const std::string& path, DType type, const Shape& shape, const void* data) {
  NpyOutput::written(path, type, shape, data).commit();
}

}  // namespace cadre
