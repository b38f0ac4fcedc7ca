#include <cadre/pool/program.hpp>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <cadre/shm/arena.hpp>

extern char** environ;

namespace cadre {

namespace {

constexpr char kMark[] = "CADRE_STARTED_BY";  // environment of a copy: the pid of who started it
constexpr std::uint64_t kMagic = 0x3170637261646163;
constexpr int kArenaFd = 3, kParcelFd = 4;

bool initialised = false;
std::vector<char*> arguments;

struct Head {
  std::uint64_t magic = kMagic;
  ArenaSeat seat;
  CodeAddress entry;
  std::int32_t first_descriptor = 0, descriptors = 0;  // of the parcel
};

/* Descriptors of this scope, moved out of the way of those that a copy has fixed places for. */
class Moved {
 public:
  /** `places`: from there on nothing is fixed. */
  explicit Moved(int places) : places_(places) {}
  ~Moved() {
    for (const int fd : fds_) close(fd);
  }
  void add(int fd) {
    const int at = fcntl(fd, F_DUPFD_CLOEXEC, places_);
    if (at < 0) throw_errno("duplicate a descriptor for a new process", errno, Error::Kind::failed);
    fds_.push_back(at);
  }
  const std::vector<int>& fds() const { return fds_; }

 private:
  int places_;
  std::vector<int> fds_;
};

[[noreturn]] void run_as_copy() {
  unsetenv(kMark);  // programs that this one starts are none of ours
  try {
    for (int fd = kArenaFd; fcntl(fd, F_GETFD) >= 0; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
    const std::vector<std::byte> bytes = read_parcel(kParcelFd);
    ParcelReader reader(bytes);
    const Head head = reader.take<Head>();
    if (head.magic != kMagic) throw Error("the program was started with the environment variable " + std::string(kMark) + ", which Cadre sets for copies that it starts itself: unset it");
    Arena::attach(head.seat, kArenaFd);
    std::vector<int> descriptors;
    for (int i = 0; i < head.descriptors; ++i) descriptors.push_back(head.first_descriptor + i);
    reader.set_descriptors(descriptors);
    reinterpret_cast<Entry>(resolve_code(head.entry))(reader);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cadre: process %d, started as a copy of this program, can not begin: %s\n", static_cast<int>(getpid()), e.what());
    _exit(1);
  }
  _exit(0);
}

}  // namespace

void init(int argc, char** argv) {
  if (initialised) return;
  initialised = true;
  arguments.assign(argv, argv + argc);
  arguments.push_back(nullptr);
  if (std::getenv(kMark)) run_as_copy();
}

bool is_initialised() noexcept { return initialised; }

void require_init(const char* what) {
  if (!initialised)
    throw Error(std::string(what) + " starts copies of the program, which must know what they were started for: write cadre::init(argc, argv); as the first line of main");
}

int parcel_file(const Parcel& parcel) {
  const int fd = memfd_create("cadre-parcel", MFD_CLOEXEC);
  if (fd < 0) throw_errno("make a file for a new process's arguments", errno, Error::Kind::failed);
  const auto bytes = parcel.bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = pwrite(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = errno;
      close(fd);
      throw_errno("write a new process's arguments", error, Error::Kind::failed);
    }
    at += static_cast<std::size_t>(n);
  }
  return fd;
}

std::vector<std::byte> read_parcel(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) throw_errno("read what a new process was started for", errno, Error::Kind::failed);
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n = pread(fd, bytes.data() + got, bytes.size() - got, static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_errno("read what a new process was started for", n < 0 ? errno : EIO, Error::Kind::failed);
    got += static_cast<std::size_t>(n);
  }
  close(fd);
  return bytes;
}

pid_t exec_program(Entry entry, const Parcel& parcel, std::initializer_list<int> fds) {
  Parcel all;
  Arena& arena = Arena::instance();
  const auto own = static_cast<int>(fds.size()), more = static_cast<int>(parcel.descriptors().size());
  if (parcel.descriptors().size() > kMostDescriptors)
    throw Error("a process is to have " + std::to_string(more) + " connections: " + std::to_string(kMostDescriptors) + " can be passed");
  all.put(Head{.seat = arena.seat(), .entry = locate_code(entry), .first_descriptor = kFirstPassed + own, .descriptors = more});
  all.put(parcel.bytes().data(), parcel.bytes().size());
  Moved moved(kFirstPassed + own + more);
  moved.add(arena.fd());
  const int file = parcel_file(all);
  try {
    moved.add(file);
  } catch (...) {
    close(file);
    throw;
  }
  close(file);
  for (const int fd : fds) moved.add(fd);
  for (const int fd : parcel.descriptors()) moved.add(fd);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  int place = kArenaFd;
  for (const int fd : moved.fds()) posix_spawn_file_actions_adddup2(&actions, fd, place++);
  posix_spawn_file_actions_addclosefrom_np(&actions, place);
  std::vector<char*> environment;
  for (char** e = environ; *e; ++e) environment.push_back(*e);
  std::string mark = std::string(kMark) + "=" + std::to_string(getpid());
  environment.push_back(mark.data());
  environment.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error) throw_errno("start a copy of this program (/proc/self/exe)", error, Error::Kind::failed);
  return pid;
}

}  // namespace cadre
