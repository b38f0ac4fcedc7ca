#include <cadre/engine/journal.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include <xxhash.h>

#include <cadre/engine/kernel_table.hpp>

namespace cadre {

namespace {

constexpr int kOrphansMs = 10'000;  // for processes of a caller that was killed

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string line_of(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string hash_of_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0) throw_errno("read " + path, errno);
  if (status.st_size == 0) return "empty";
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* at = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (at == MAP_FAILED) throw_errno("read " + path, errno);
  const std::uint64_t hash = XXH3_64bits(at, bytes);
  munmap(at, bytes);
  return hex(hash);
}

std::vector<std::byte> bytes_of_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  struct stat status {};
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0) throw_errno("read the journal " + path, errno);
  if (!S_ISREG(status.st_mode)) throw Error(path + ": is not a file");
  std::vector<std::byte> bytes;
  bytes.resize(std::min<std::size_t>(static_cast<std::size_t>(status.st_size), kMostJournalBytes + 1));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read the journal " + path, errno);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  bytes.resize(have);
  return bytes;
}

}  // namespace

std::vector<Fact> machine_facts(const Options& options) {
  struct utsname name {};
  uname(&name);
  std::vector<Fact> facts = {{"the machine type", name.machine},
                             {"the page size", std::to_string(sysconf(_SC_PAGESIZE))},
                             {"--isa", name_of(resolve_isa(options.isa))},
                             {"the program's build", hash_of_file("/proc/self/exe")}};
  for (const std::string& file : options.plugins)
    facts.push_back({"the plug-in " + std::filesystem::weakly_canonical(file).string(), hash_of_file(file)});
  return facts;
}

Journal::Journal(const Options& options)
    : directory_(options.journal), machine_(machine_facts(options)), boot_(line_of("/proc/sys/kernel/random/boot_id")) {
  std::error_code error;
  made_directory_ = std::filesystem::create_directories(directory_, error);
  if (error) throw Error("--journal " + directory_ + ": the directory can not be made: " + error.message());
  directory_ = std::filesystem::canonical(directory_, error).string();
  if (error || !std::filesystem::is_directory(directory_)) throw Error("--journal " + options.journal + ": is not a directory");
  try {
    lock();
    read(options.resume);
  } catch (...) {
    if (lock_ >= 0) ::close(lock_);
    throw;
  }
}

bool Journal::is_computed(const std::string& directory) noexcept {
  try {
    const std::string path = directory + "/journal";
    return parse_journal(bytes_of_file(path), path).checkpoint.state != Checkpoint::State::running;
  } catch (const std::exception&) {
    return false;  // whoever opens it says why
  }
}

// Two locks on one file: the caller's own, which tells who it is and ends with it, and one that all its processes hold: as long as a worker of
// a killed caller is there it may still write.
void Journal::lock() {
  lock_ = ::open(file("journal.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) throw_errno("--journal " + directory_ + ": make journal.lock", errno);
  struct flock mine {};
  mine.l_type = F_WRLCK;
  if (fcntl(lock_, F_SETLK, &mine) != 0) {
    const int error = errno;
    if (error != EACCES && error != EAGAIN) throw_errno("lock " + file("journal.lock"), error);
    fcntl(lock_, F_GETLK, &mine);
    throw Error("the journal in " + directory_ + " is in use" +
                (mine.l_type != F_UNLCK && mine.l_pid > 0 ? " by process " + std::to_string(mine.l_pid) : "") +
                ": wait until it is done, or end it");
  }
  for (int waited = 0; flock(lock_, LOCK_EX | LOCK_NB) != 0; waited += 10) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw_errno("lock " + file("journal.lock"), errno);
    if (waited >= kOrphansMs)
      throw Error("the journal in " + directory_ + " is in use by processes that a killed program has left: end them");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void Journal::read(bool resume) {
  const std::string path = file("journal");
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) throw_errno("look at " + path, errno);
    std::uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) != sizeof id) throw_errno("make a name for the journal", errno);
    text_.id = hex(id);
    return;
  }
  if (!resume) throw Error("there is a journal in " + directory_ + " already: carry on with it by --resume, or name another directory");
  text_ = parse_journal(bytes_of_file(path), path);
  resumed_ = true;
  if (const std::string other = difference(text_.machine, machine_); !other.empty())
    throw Error("the journal in " + directory_ + " can not be carried on with here: " + other);
  if (!text_.closed && text_.boot != boot_)
    throw Error("the journal in " + directory_ +
                " was not closed before the machine was started again: what reached the disk of it may be of any moment. Begin the job "
                "anew in another directory");
  if (finished()) unlink(file("journal.arena").c_str());  // its program may have been killed before it did
  if (!finished() && lstat(file("journal.arena").c_str(), &status) != 0)
    throw_errno("the journal's memory " + file("journal.arena"), errno, errno == ENOENT ? Error::Kind::damaged : Error::Kind::usage);
}

Journal::~Journal() {
  if (!begun_ && !resumed_) discard();
  ::close(lock_);
}

ArenaFile Journal::arena_file() const {
  const std::string path = file("journal.arena");
  if (!resumed_ && unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("remove what was never begun, " + path, errno);
  const int fd = ::open(path.c_str(), resumed_ ? O_RDWR | O_CLOEXEC | O_NOFOLLOW : O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno("open " + path, errno);
  ArenaFile arena{.fd = fd, .path = path};
  if (resumed_) {
    arena.base = text_.arena_base;
    arena.size = text_.arena_size;
    arena.extents = extents_of(text_.checkpoint);
  }
  return arena;
}

void Journal::begin(const std::vector<Fact>& job, const std::vector<Fact>& inputs) {
  if (begun_) throw Error("the journal in " + directory_ + " is that of a job that was run already: a journal is for one job");
  if (resumed_) {
    if (const std::string other = difference(text_.job, job); !other.empty())
      throw Error("the journal in " + directory_ + " is of another job: " + other);
    if (finished()) return;
    // From then on inputs are not read any more, and one of them may have become an output.
    if (text_.checkpoint.state == Checkpoint::State::running)
      if (const std::string other = difference(text_.inputs, inputs); !other.empty())
        throw Error("an input has changed since the journal in " + directory_ + " was begun: " + other + ": put it back as it was, or begin the job anew in another directory");
  } else {
    text_.job = job;
    text_.inputs = inputs;
    text_.machine = machine_;
    text_.arena_base = reinterpret_cast<std::uint64_t>(Arena::instance().base());
    text_.arena_size = Arena::instance().size();
    text_.checkpoint.generation = 1;
  }
  const bool was_closed = text_.closed;
  text_.boot = boot_;
  text_.closed = false;
  write(was_closed);  // a journal that was closed must not seem so after a power cut
  begun_ = true;
}

void Journal::save(Checkpoint checkpoint) {
  checkpoint.generation = text_.checkpoint.generation + 1;
  Checkpoint before = std::exchange(text_.checkpoint, std::move(checkpoint));
  try {
    write(false);
  } catch (...) {
    text_.checkpoint = std::move(before);
    throw;
  }
}

void Journal::close() {
  if (!begun_ || finished()) return;
  if (fsync(Arena::instance().fd()) != 0) throw_errno("put " + file("journal.arena") + " onto the disk", errno, Error::Kind::failed);
  text_.closed = true;
  try {
    write(true);
  } catch (...) {
    text_.closed = false;
    throw;
  }
}

void Journal::finish(Checkpoint checkpoint) {
  checkpoint.generation = text_.checkpoint.generation + 1;
  checkpoint.state = Checkpoint::State::finished;
  Checkpoint before = std::exchange(text_.checkpoint, std::move(checkpoint));
  text_.closed = true;
  try {
    write(true);
  } catch (...) {
    text_.checkpoint = std::move(before);
    text_.closed = false;
    throw;
  }
  unlink(file("journal.arena").c_str());
}

void Journal::discard() noexcept {
  for (const char* name : {"journal", "journal.new", "journal.arena", "journal.lock"}) unlink(file(name).c_str());
  if (made_directory_) rmdir(directory_.c_str());
  begun_ = resumed_ = false;
}

void Journal::write(bool sync) {
  const std::string path = file("journal"), fresh = file("journal.new"), text = to_text(text_);
  const auto failed = [&](const char* deed, int error) {
    unlink(fresh.c_str());
    throw_errno(std::string(deed) + " " + fresh, error, Error::Kind::failed);
  };
  {
    const Descriptor fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) failed("make", errno);
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::write(fd.get(), text.data() + at, text.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) failed("write", n < 0 ? errno : ENOSPC);
      at += static_cast<std::size_t>(n);
    }
    if (sync && fsync(fd.get()) != 0) failed("put onto the disk", errno);
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) failed("give its name to", errno);
  if (sync) sync_directory();
}

void Journal::sync_directory() const {
  const Descriptor fd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) throw_errno("put " + directory_ + " onto the disk", errno, Error::Kind::failed);
}

}  // namespace cadre
