#include <cadre/pool/process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <typeinfo>

#include <cadre/pool/cpus.hpp>
#include <cadre/pool/fork.hpp>
#include <cadre/pool/forkserver.hpp>
#include <cadre/pool/lifeline.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/shm/futex.hpp>
#include <cadre/sync/participant.hpp>

namespace cadre {

namespace detail {

ProcessHooks process_hooks;

struct ProcessRecord {
  std::string name;
  bool daemon = false;
  std::optional<StartMethod> method;
  std::vector<std::uint32_t> identity;  // of the n-th process made by the m-th one of the first: {m, n}
  pid_t maker = getpid();
  std::shared_ptr<Target> target;
  bool sliced = true;                   // no target: only a derived class's run() can know what to do

  std::mutex mutex;                     // of all below
  bool started = false, closed = false;
  pid_t pid = 0;
  int pidfd = -1, status_fd = -1;
  std::optional<int> exitcode;

  ~ProcessRecord() { close_descriptors(); }
  void close_descriptors() {
    for (int* fd : {&pidfd, &status_fd}) {
      if (*fd >= 0) ::close(*fd);
      *fd = -1;
    }
  }
};

}  // namespace detail

namespace {

using detail::ProcessRecord;
using RecordPtr = std::shared_ptr<ProcessRecord>;
constexpr std::chrono::seconds kPatience{5};  // with daemonic processes that do not heed SIGTERM

/* What this process knows of itself and of its children. */
struct Self {
  RecordPtr record;
  std::optional<ParentProcess> parent;
  std::optional<StartMethod> method;  // set_start_method's
  std::atomic<std::uint32_t> made{0};
  std::mutex mutex;
  std::vector<RecordPtr> children;    // started, not yet reaped
};

Self* make_self() {
  auto* self = new Self;
  self->record = std::make_shared<ProcessRecord>();
  self->record->name = "MainProcess";
  self->record->pid = getpid();
  self->record->started = true;
  return self;
}

Self* the_self = nullptr;

// A forked child is its parent's copy, but has no children. Locks may be held by threads that are not here: nothing of the old one is touched but what is constant.
void start_anew() {
  auto* self = new Self;
  self->record = the_self->record;
  self->parent = the_self->parent;
  self->method = the_self->method;
  the_self = self;
}

Self& self() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (!the_self) the_self = make_self();
    pthread_atfork(nullptr, nullptr, start_anew);
  });
  return *the_self;
}

std::atomic<bool> is_child{false};

struct ExitRequest {
  int code;
};

std::string numbered(const std::vector<std::uint32_t>& identity) {
  std::string name = "Process-";
  for (std::size_t i = 0; i < identity.size(); ++i) name += (i ? ":" : "") + std::to_string(identity[i]);
  return name;
}

void tell(const std::string& event) {
  if (detail::process_hooks.tell) detail::process_hooks.tell(event);
}

/** Waits for one of them to be readable. False: time is up. */
bool poll_until(std::vector<pollfd>& fds, std::optional<std::chrono::nanoseconds> timeout) {
  const std::uint64_t begin = monotonic_ns();
  const std::uint64_t most = timeout ? static_cast<std::uint64_t>(std::max<std::int64_t>(timeout->count(), 0)) : 0;
  for (;;) {
    timespec left{};
    if (timeout) {
      const std::uint64_t gone = monotonic_ns() - begin, rest = gone < most ? most - gone : 0;
      left = {static_cast<time_t>(rest / 1'000'000'000), static_cast<long>(rest % 1'000'000'000)};
    }
    const int ready = ppoll(fds.data(), fds.size(), timeout ? &left : nullptr, nullptr);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) throw_errno("wait for processes", errno, Error::Kind::failed);
    if (ready == 0) return false;
  }
}

int code_of(int status) { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

/** Whether the process has ended; if so it is reaped, and its exit code known. */
bool reap(ProcessRecord& r) {
  const std::lock_guard lock(r.mutex);
  if (!r.started || r.exitcode) return r.exitcode.has_value();
  pollfd ended{r.pidfd, POLLIN, 0};
  if (poll(&ended, 1, 0) <= 0) return false;
  int status = 0;
  if (r.status_fd >= 0) {
    ssize_t got;
    while ((got = read(r.status_fd, &status, sizeof status)) < 0 && errno == EINTR) continue;
    r.exitcode = got == static_cast<ssize_t>(sizeof status) ? code_of(status) : 255;
    close(r.status_fd);
    r.status_fd = -1;
  } else {
    pid_t got;
    while ((got = waitpid(r.pid, &status, 0)) < 0 && errno == EINTR) continue;
    r.exitcode = got == r.pid ? code_of(status) : 255;
  }
  r.target.reset();  // with it the handles that the process was given
  return true;
}

void forget(const ProcessRecord* r) {
  Self& me = self();
  const std::lock_guard lock(me.mutex);
  std::erase_if(me.children, [r](const RecordPtr& child) { return child.get() == r; });
}

std::vector<RecordPtr> living_children() {
  Self& me = self();
  std::vector<RecordPtr> all;
  {
    const std::lock_guard lock(me.mutex);
    all = me.children;
  }
  std::erase_if(all, [](const RecordPtr& child) {
    if (!reap(*child)) return false;
    forget(child.get());
    return true;
  });
  return all;
}

void send(ProcessRecord& r, int signal) {
  const std::lock_guard lock(r.mutex);
  if (r.exitcode) return;
  if (syscall(SYS_pidfd_send_signal, r.pidfd, signal, nullptr, 0) != 0 && errno != ESRCH) throw_errno("send a signal to " + r.name, errno, Error::Kind::failed);
}

bool join_record(ProcessRecord& r, std::optional<std::chrono::nanoseconds> timeout) {
  int fd;
  {
    const std::lock_guard lock(r.mutex);
    if (r.exitcode) return true;
    fd = r.pidfd;
  }
  std::vector<pollfd> fds{{fd, POLLIN, 0}};
  if (!poll_until(fds, timeout)) return false;
  (void)reap(r);
  forget(&r);
  return true;
}

/** As a process ends in order: daemonic children are terminated, the others waited for. */
void end_children() noexcept {
  try {
    std::vector<RecordPtr> children = living_children();
    for (const RecordPtr& child : children)
      if (child->daemon) {
        tell("terminating daemonic " + child->name);
        send(*child, SIGTERM);
      }
    for (const RecordPtr& child : children)
      if (child->daemon && !join_record(*child, kPatience)) send(*child, SIGKILL);
    for (const RecordPtr& child : children) {
      tell("joining " + child->name);
      join_record(*child, std::nullopt);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cadre: at the end of process %d: %s\n", static_cast<int>(getpid()), e.what());
  }
}

// The program's first process, which leaves by exit or by the end of main. A forked child that calls std::exit comes here too, and has no children of that process.
void at_end_of_program() { end_children(); }

[[noreturn]] void end_process(int code) {
  end_children();
  tell("process exiting with exitcode " + std::to_string(code & 0xff));
  std::cout.flush();
  std::clog.flush();
  std::fflush(nullptr);
  leave_participants();
  _exit(code);
}

/** The life of a child, from here to its end. */
template <class Body>
[[noreturn]] void live(Body body) {
  is_child.store(true);
  if (const int null = open("/dev/null", O_RDONLY | O_CLOEXEC); null >= 0) {  // several can not read one terminal
    dup2(null, STDIN_FILENO);
    close(null);
  }
  int code = 1;
  try {
    tell("child process calling run()");
    body();
    code = 0;
  } catch (const ExitRequest& request) {
    code = request.code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "Process %s (pid %d): uncaught exception: %s\n", self().record->name.c_str(), static_cast<int>(getpid()), e.what());
  } catch (...) {
    std::fprintf(stderr, "Process %s (pid %d): uncaught exception that is not a std::exception\n", self().record->name.c_str(), static_cast<int>(getpid()));
  }
  end_process(code);
}

/** The record of this process as it was made by its parent. */
RecordPtr own_record(std::string name, bool daemon, std::vector<std::uint32_t> identity, std::optional<StartMethod> method) {
  auto r = std::make_shared<ProcessRecord>();
  r->name = std::move(name);
  r->daemon = daemon;
  r->identity = std::move(identity);
  r->method = method;
  r->pid = getpid();
  r->started = true;
  return r;
}

// What it was not given it does not have, as under the other start methods. Where it can not be told what was given, all stay.
void keep_own_descriptors(const ProcessRecord& r) noexcept {
  if (!detail::process_hooks.keep_alone || !r.target) return;
  try {
    Parcel given(Parcel::Keep::descriptors);
    r.target->pack(given);
    detail::process_hooks.keep_alone(given.descriptors());
  } catch (const std::exception&) {
  }
}

struct ForkedChild {
  Process* process;
  ProcessRecord* record;
  int lifeline;
  pid_t parent;
};

void forked_child(void* context) {
  const ForkedChild& child = *static_cast<ForkedChild*>(context);
  hold_on_to(child.lifeline);
  Self& me = self();
  me.parent.emplace(me.record->name, child.parent);
  me.record = own_record(child.record->name, child.record->daemon, child.record->identity, child.record->method);
  keep_own_descriptors(*child.record);
  live([&] { child.process->run(); });
}

Parcel parcel_of(const ProcessRecord& r) {
  if (!r.target)
    throw Error(r.name + ": the class does not say how it is made again in a process that is not forked: have its constructor pass `this` and its arguments to Process(this, ...)");
  const Self& me = self();
  Parcel parcel;
  parcel.put(locate_code(r.target->entry()));
  Travel<std::string>::pack(parcel, r.name);
  parcel.put(r.daemon);
  Travel<std::vector<std::uint32_t>>::pack(parcel, r.identity);
  parcel.put(*r.method);
  Travel<std::string>::pack(parcel, me.record->name);
  parcel.put(getpid());
  parcel.put(detail::process_hooks.pack != nullptr);
  if (detail::process_hooks.pack) detail::process_hooks.pack(parcel);
  r.target->pack(parcel);
  return parcel;
}

void begin(ParcelReader& reader) {
  const auto entry = reinterpret_cast<Entry>(resolve_code(reader.take<CodeAddress>()));
  auto name = Travel<std::string>::unpack(reader);
  const bool daemon = reader.take<bool>();
  auto identity = Travel<std::vector<std::uint32_t>>::unpack(reader);
  const auto method = reader.take<StartMethod>();
  auto parent = Travel<std::string>::unpack(reader);
  Self& me = self();
  me.parent.emplace(std::move(parent), reader.take<pid_t>());
  me.record = own_record(std::move(name), daemon, std::move(identity), method);
  me.method = method;
  if (reader.take<bool>() && detail::process_hooks.unpack) detail::process_hooks.unpack(reader);
  live([&] { entry(reader); });
}

void begin_spawned(ParcelReader& reader) {
  hold_on_to(kFirstPassed);
  begin(reader);
}

}  // namespace

Process::Process(const ProcessOptions& options) : record_(std::make_shared<ProcessRecord>()) {
  Self& me = self();
  ProcessRecord& r = *record_;
  r.identity = me.record->identity;
  r.identity.push_back(++me.made);
  r.name = options.name.empty() ? numbered(r.identity) : options.name;
  r.daemon = options.daemon.value_or(me.record->daemon);
  r.method = options.start;
}

Process::~Process() = default;
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;

void Process::set_target(std::shared_ptr<detail::Target> target) { record_->target = std::move(target); }

void Process::run() {
  if (record_ && record_->target) record_->target->run();
}

void Process::run_again() {
  record_ = self().record;
  run();
}

ProcessRecord& Process::record() const {
  if (!record_) throw Error("this Process was moved from: use the one that it was moved to");
  if (record_->closed) throw Error(record_->name + " is closed");
  return *record_;
}

// For what only the parent of a started process may do.
ProcessRecord& Process::child_record(const char* deed) const {
  ProcessRecord& r = record();
  if (r.maker != getpid() || &r == self().record.get()) throw Error(std::string("can only ") + deed + " a child process");
  if (!r.started) throw Error(std::string("can only ") + deed + " a started process: " + r.name + " is not");
  return r;
}

void Process::start() {
  ProcessRecord& r = record();
  Self& me = self();
  if (r.maker != getpid()) throw Error("can only start a process object that this process has made");
  if (r.started) throw Error("cannot start a process twice: " + r.name);
  if (me.record->daemon) throw Error("daemonic processes are not allowed to have children");
  if (!r.target && typeid(*this) == typeid(Process)) throw Error(r.name + " has lost its class: start the object of the derived class itself");
  if (!r.method) r.method = get_start_method();
  if (*r.method != StartMethod::fork) require_init(("the start method " + std::string(cadre::name_of(*r.method))).c_str());
  (void)living_children();  // reaps
  Arena::instance();        // before the fork: what is shared later must be in the same place
  static std::once_flag once;
  std::call_once(once, [] { std::atexit(at_end_of_program); });
  // What the streams still hold would be written twice.
  std::cout.flush();
  std::clog.flush();
  std::fflush(nullptr);

  if (*r.method == StartMethod::forkserver) {
    const ServedProcess served = ask_forkserver(begin, parcel_of(r));
    r.pid = served.pid;
    r.pidfd = served.pidfd;
    r.status_fd = served.status_fd;
  } else {
    if (*r.method == StartMethod::spawn) {
      r.pid = exec_program(begin_spawned, parcel_of(r), {lifeline()});
    } else {
      ForkedChild child{this, &r, lifeline(), getpid()};
      r.pid = fork_process(forked_child, &child);
      if (r.pid < 0) {
        r.pid = 0;
        throw_errno("fork " + r.name, errno, Error::Kind::failed);
      }
    }
    r.pidfd = open_pidfd(r.pid);
    if (r.pidfd < 0) {
      const int error = errno;
      ::kill(r.pid, SIGKILL);
      while (waitpid(r.pid, nullptr, 0) < 0 && errno == EINTR) continue;
      r.pid = 0;
      throw_errno("open a pidfd of " + r.name, error, Error::Kind::failed);
    }
  }
  fcntl(r.pidfd, F_SETFD, FD_CLOEXEC);
  const std::lock_guard lock(me.mutex);
  r.started = true;
  me.children.push_back(record_);
}

void Process::join() { (void)join_record(child_record("join"), std::nullopt); }
bool Process::join(std::chrono::nanoseconds timeout) { return join_record(child_record("join"), timeout); }

bool Process::is_alive() const {
  ProcessRecord& r = record();
  if (record_ == self().record) return true;
  if (r.maker != getpid()) throw Error("can only ask about a child process");
  if (!r.started) return false;
  if (!reap(r)) return true;
  forget(&r);
  return false;
}

std::optional<int> Process::exitcode() const {
  ProcessRecord& r = record();
  if (record_ == self().record || !r.started) return std::nullopt;
  if (r.maker == getpid() && reap(r)) forget(&r);
  const std::lock_guard lock(r.mutex);
  return r.exitcode;
}

const std::string& Process::name() const { return record().name; }
void Process::set_name(std::string name) { record().name = std::move(name); }
pid_t Process::pid() const { return record_ == self().record ? getpid() : record().pid; }
bool Process::daemon() const { return record().daemon; }
void Process::set_daemon(bool daemon) {
  if (record().started) throw Error("process has already started: whether " + record().name + " is daemonic is said before");
  record().daemon = daemon;
}
StartMethod Process::start_method() const { return record().method.value_or(get_start_method()); }
void Process::set_start_method(StartMethod method) {
  if (record().started) throw Error("process has already started: how " + record().name + " is started is said before");
  record().method = method;
}
int Process::sentinel() const {
  if (!record().started) throw Error("process not started: " + record().name + " has no sentinel yet");
  return child_record("wait for").pidfd;
}
void Process::terminate() { send(child_record("terminate"), SIGTERM); }
void Process::kill() { send(child_record("kill"), SIGKILL); }

void Process::close() {
  if (record_ && record_->closed) return;
  ProcessRecord& r = record();
  if (r.started && is_alive()) throw Error("cannot close " + r.name + " while it is still running: join() or kill() it first");
  const std::lock_guard lock(r.mutex);
  r.close_descriptors();
  r.closed = true;
}

Process current_process() { return Process(self().record); }

std::vector<Process> active_children() {
  std::vector<Process> children;
  for (RecordPtr& child : living_children()) children.push_back(Process(std::move(child)));
  return children;
}

int cpu_count() { return usable_cpu_count(); }

std::optional<ParentProcess> parent_process() { return self().parent; }

bool ParentProcess::is_alive() const { return ::kill(pid_, 0) == 0 || errno == EPERM; }

std::vector<int> wait(std::span<const int> sentinels, std::optional<std::chrono::nanoseconds> timeout) {
  std::vector<pollfd> fds;
  for (const int fd : sentinels) fds.push_back({fd, POLLIN, 0});
  std::vector<int> ready;
  if (fds.empty() || !poll_until(fds, timeout)) return ready;
  for (const pollfd& fd : fds)
    if (fd.revents) ready.push_back(fd.fd);
  return ready;
}

std::vector<Process*> wait(std::span<Process* const> processes, std::optional<std::chrono::nanoseconds> timeout) {
  std::vector<int> sentinels;
  for (const Process* p : processes) sentinels.push_back(p->sentinel());
  const std::vector<int> ready = wait(std::span<const int>(sentinels), timeout);
  std::vector<Process*> ended;
  for (std::size_t i = 0; i < sentinels.size(); ++i)
    if (std::find(ready.begin(), ready.end(), sentinels[i]) != ready.end()) ended.push_back(processes[i]);
  return ended;
}

void exit(int code) {
  if (!is_child.load()) std::exit(code);
  if (gettid() == getpid()) throw ExitRequest{code};
  end_process(code);
}

void set_start_method(StartMethod method, bool force) {
  Self& me = self();
  if (me.method && !force) throw Error(std::string("the start method is ") + name_of(*me.method) + " already: it is set once, before the first process is started");
  if (method != StartMethod::fork) require_init(("the start method " + std::string(name_of(method))).c_str());
  me.method = method;
}
void set_start_method(std::string_view name, bool force) { set_start_method(start_method_named(name), force); }

StartMethod get_start_method() {
  Self& me = self();
  if (!me.method) me.method = StartMethod::fork;
  return *me.method;
}

Context get_context(std::string_view name) { return Context(name.empty() ? get_start_method() : start_method_named(name)); }

}  // namespace cadre
