#include <cadre/compare/contestant.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <thread>

#include <nlohmann/json.hpp>

#include <cadre/engine/engine.hpp>
#include <cadre/engine/executor.hpp>
#include <cadre/pool/pool.hpp>
#include <cadre/compare/clock.hpp>
#include <cadre/compare/subject.hpp>
#include <cadre/shm/npy_file.hpp>

extern char** environ;

namespace cadre::compare {
namespace {

using Json = nlohmann::json;

/* ---- what is said ---- */

Json to_json(const Options& o) {
  return {{"backend", o.backend},     {"workers", o.workers},     {"start", o.start},   {"isa", o.isa},         {"pin", o.pin},        {"retries", o.retries},
          {"timeout", o.timeout},     {"on_poison", o.on_poison}, {"max_skipped", o.max_skipped}, {"strict", o.strict}, {"verify", o.verify_fraction},
          {"max_chunks", o.max_chunks_per_worker}, {"max_memory", o.max_memory_per_worker}, {"plugins", o.plugins}, {"sandbox", o.sandbox}, {"private_copies", o.private_copies}};
}

Options options_from(const Json& j) {
  Options o;
  o.backend = j["backend"].get<Backend>();
  o.workers = j["workers"];
  o.start = j["start"].get<StartMethod>();
  o.isa = j["isa"].get<Isa>();
  o.pin = j["pin"];
  o.retries = j["retries"];
  o.timeout = j["timeout"];
  o.on_poison = j["on_poison"].get<OnPoison>();
  o.max_skipped = j["max_skipped"];
  o.strict = j["strict"];
  o.verify_fraction = j["verify"];
  o.max_chunks_per_worker = j["max_chunks"];
  o.max_memory_per_worker = j["max_memory"];
  o.plugins = j["plugins"].get<std::vector<std::string>>();
  o.sandbox = j["sandbox"];
  o.private_copies = j["private_copies"];
  return o;
}

Json to_json(const Job& job) {
  Json steps = Json::array();
  for (const Step& s : job.steps) {
    Json params = Json::array();
    for (const auto& [name, value] : s.params) params.push_back(std::holds_alternative<double>(value) ? Json{name, std::get<double>(value)} : Json{name, std::get<std::int64_t>(value)});
    steps.push_back({{"kernel", s.kernel}, {"in", s.in}, {"out", s.out}, {"params", params}, {"where", s.where}});
  }
  return {{"name", job.name}, {"files", job.files}, {"steps", steps}, {"chunk", job.chunk}};
}

Job job_from(const Json& j) {
  Job job;
  job.name = j["name"];
  job.files = j["files"].get<std::map<std::string, std::string>>();
  job.chunk = j["chunk"];
  for (const Json& s : j["steps"]) {
    Step step{.kernel = s["kernel"], .where = s["where"]};
    step.in = s["in"].get<std::vector<std::pair<std::string, std::string>>>();
    step.out = s["out"].get<std::vector<std::pair<std::string, std::string>>>();
    for (const Json& p : s["params"]) step.params.emplace_back(p[0], p[1].is_number_float() ? Param(p[1].get<double>()) : Param(p[1].get<std::int64_t>()));
    job.steps.push_back(std::move(step));
  }
  return job;
}

Json to_json(const std::vector<WorkerUsage>& workers) {
  Json all = Json::array();
  for (const WorkerUsage& w : workers) all.push_back({w.task, w.usage.cpu, w.usage.wait, w.usage.minor, w.usage.major, w.usage.voluntary, w.usage.involuntary, w.usage.counters});
  return all;
}

std::vector<WorkerUsage> workers_from(const Json& all) {
  std::vector<WorkerUsage> workers;
  for (const Json& w : all) workers.push_back({w[0], {w[1], w[2], w[3], w[4], w[5], w[6], w[7].get<std::array<std::uint64_t, kCounters>>()}});
  return workers;
}

Json to_json(const std::vector<PassTrace>& traces) {
  Json all = Json::array();
  for (const PassTrace& t : traces) {
    Json chunks = Json::array();
    for (const ChunkTrace& c : t.chunks) chunks.push_back({c.chunk, c.slot, c.begin, c.computed, c.end, c.waited});
    all.push_back({{"kernel", t.kernel}, {"seconds", t.seconds}, {"chunks", std::move(chunks)}, {"waits", t.segment_waits}});
  }
  return all;
}

std::vector<PassTrace> traces_from(const Json& all) {
  std::vector<PassTrace> traces;
  for (const Json& t : all) {
    PassTrace trace{.kernel = t["kernel"], .seconds = t["seconds"]};
    for (const Json& c : t["chunks"]) trace.chunks.push_back({c[0], c[1], c[2], c[3], c[4], c[5]});
    trace.segment_waits = t["waits"].get<std::vector<double>>();
    traces.push_back(std::move(trace));
  }
  return traces;
}

enum class Came { line, nothing, too_late };

/** A line of what comes, if it comes in time; nothing: the other side has gone. */
Came read_line(int fd, std::string& unread, std::string& line, double patience = std::numeric_limits<double>::infinity()) {
  const auto begin = Clock::now();
  for (;;) {
    if (const std::size_t end = unread.find('\n'); end != std::string::npos) {
      line = unread.substr(0, end);
      unread.erase(0, end + 1);
      return Came::line;
    }
    if (std::isfinite(patience)) {
      const double left = patience - seconds_since(begin);
      if (left <= 0) return Came::too_late;
      pollfd ready{fd, POLLIN, 0};
      if (poll(&ready, 1, static_cast<int>(std::min(left * 1e3 + 1, 1e9))) <= 0) continue;
    }
    char buffer[65536];
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Came::nothing;
    unread.append(buffer, static_cast<std::size_t>(got));
  }
}

bool write_line(int fd, std::string line) {
  line += '\n';
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t put = send(fd, line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += static_cast<std::size_t>(put);
  }
  return true;
}

/* ---- the contestant's side ---- */

constexpr double kShort = 50e-3;  // seconds of a run that the scheduler's choice at its beginning would distort

class Server {
 public:
  explicit Server(const Json& plan) : job_(job_from(plan["job"])), copy_(plan["copy"]), began_(Clock::now()), engine_(options_from(plan["options"])) {
    engine_seconds_ = seconds_since(began_);
    // The first result: every worker has been there, or could have been.
    auto x = engine_.array<double>(64 * static_cast<std::size_t>(engine_.options().workers));
    engine_.map(x, x, [](double v) { return v + 1; });
    start_up_ = seconds_since(began_);
    await_workers();
    observer_.emplace(engine_.pids().workers);
    observer_->begin();  // opens the counters
    observer_->end(engine_.pids().workers);
  }

  Json hello() const {
    return {{"seconds", start_up_}, {"engine", engine_seconds_}, {"workers", engine_.options().workers}, {"isa", name_of(engine_.options().isa)}, {"missing", observer_->missing()}};
  }

  Json answer(const Json& question) {
    const std::string what = question["do"];
    if (what == "load") return load();
    if (what == "memory") return memory();
    if (what == "traced") return traced();
    if (what == name_of(RunKind::warm)) settle();
    const Json told = run(what == name_of(RunKind::cold) ? job_ : warm_, question["digest"]);
    seconds_ = told["wall"];
    return told;
  }

 private:
  /** The first result may be there before the last worker is (spawned ones take their time); the runs are of all of them. */
  void await_workers() const {
    const auto begin = Clock::now();
    const auto missing = [&] {
      const auto pids = engine_.pids().workers;
      return std::find(pids.begin(), pids.end(), 0) != pids.end();
    };
    while (missing() && seconds_since(begin) < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  /** The backend before left its traces in the scheduler: a thread may wake on the CPU of its waker and stay in the queue there for a millisecond or two. A short run would show
      that instead of what this backend is like at work, so that one which is not counted comes before. */
  void settle() {
    if (seconds_ > kShort) return;
    run(warm_, false);
    std::this_thread::sleep_for(kSettle);
  }

  Json run(const Job& given, bool digest) {
    Job job = given;
    job.digest = digest;
    observer_->begin();
    const auto begin = Clock::now();
    const Report r = engine_.run(job);
    const double wall = seconds_since(begin);
    const auto workers = observer_->end(engine_.pids().workers);
    return {{"seconds", r.seconds}, {"wall", wall}, {"digest", r.digest}, {"error", r.error}, {"exit", r.exit_code}, {"crashes", r.faults.crashes}, {"retries", r.faults.retries},
            {"elements", r.elements}, {"chunks", r.chunks}, {"rate", r.bytes_per_second}, {"operations", r.operations}, {"workers", to_json(workers)}};
  }

  Json load() {
    warm_ = job_;
    for (const auto& [name, file] : Subject::input_files(job_)) {
      AnyArray array = open_npy(file);
      if (copy_ && array.bytes() > 0) {
        auto storage = allocate_storage(array.bytes(), false);
        std::memcpy(storage->data(), array.data, array.bytes());
        array = AnyArray(storage, storage->data(), array.type, array.shape, true);
      }
      warm_.arrays[name] = array;
    }
    return Json::object();
  }

  Json traced() {
    settle();
    Job job = warm_;
    job.digest = false;
    job.trace = true;
    const Report r = engine_.run(job);
    return {{"error", r.error}, {"trace", to_json(r.trace)}};
  }

  Json memory() const {
    Json all = Json::array();
    const auto add = [&](const std::string& who, pid_t pid) {
      const MemoryUse m = memory_of(pid);
      all.push_back({who, m.pss, m.private_bytes, m.page_tables});
    };
    const auto workers = engine_.pids().workers;
    for (std::size_t i = 0; i < workers.size(); ++i)
      if (workers[i] > 0) add("worker " + std::to_string(i + 1), workers[i]);
    add(workers.empty() ? "the process" : "caller", getpid());
    return {{"memory", all}};
  }

  const Job job_;
  Job warm_;
  const bool copy_;
  const Clock::time_point began_;
  Engine engine_;
  double engine_seconds_ = 0, start_up_ = 0;
  double seconds_ = 0;  // of the last run
  std::optional<Observer> observer_;
};

}  // namespace

const char* name_of(RunKind kind) { return kind == RunKind::cold ? "cold" : kind == RunKind::first ? "first" : "warm"; }

int serve_contestant(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a kernel that hangs reads no end of the stream
  const rlimit no_core{};  // the arrays would be in it
  setrlimit(RLIMIT_CORE, &no_core);
  std::string unread, line;
  if (read_line(fd, unread, line) != Came::line) return 1;
  try {
    Server server(Json::parse(line));
    if (!write_line(fd, server.hello().dump())) return 1;
    while (read_line(fd, unread, line) == Came::line)
      if (!write_line(fd, server.answer(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace))) return 1;
    return 0;
  } catch (const std::exception& e) {
    write_line(fd, Json{{"failed", e.what()}}.dump(-1, ' ', false, Json::error_handler_t::replace));
    return 1;
  }
}

Contestant::Contestant(const ContestantPlan& plan) : plan_(plan) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("make a pair of sockets for a backend's process", errno, Error::Kind::failed);
  fd_ = ends[0];
  constexpr int kItsEnd = 3;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kItsEnd);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (plan.silent) posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);  // what plug-ins print is no result
  std::vector<std::string> variables;
  for (char** v = environ; *v; ++v)
    if (!plan.spec.small_pages || std::strncmp(*v, "CADRE_PAGES=", 12) != 0) variables.emplace_back(*v);
  if (plan.spec.small_pages) variables.emplace_back("CADRE_PAGES=4k");
  std::vector<char*> environment;
  for (std::string& v : variables) environment.push_back(v.data());
  environment.push_back(nullptr);
  std::string words[] = {"cadre", kContestantFlag, std::to_string(kItsEnd)};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error) {
    close(fd_);
    throw_errno("start a process for the backend " + plan.spec.text, error, Error::Kind::failed);
  }
}

Contestant::~Contestant() {
  if (fd_ >= 0) close(fd_);
  while (pid_ > 0 && waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Contestant::tell_end() {
  int status = 0;
  pid_t waited;
  while ((waited = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (waited > 0 && WIFSIGNALED(status)) throw ContestantEnded("its process died of " + signal_name(WTERMSIG(status)));
  throw ContestantEnded("its process ended with exit code " + std::to_string(waited > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1));
}

std::string Contestant::ask(const std::string& what) {
  std::string line;
  if (!write_line(fd_, what)) tell_end();
  switch (read_line(fd_, unread_, line, patience_)) {
    case Came::line: return line;
    case Came::nothing: tell_end();
    case Came::too_late: break;
  }
  kill(pid_, SIGKILL);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3g s", patience_);
  throw ContestantEnded(std::string("no answer came within ") + seconds + ": its kernel hangs, or one run needs a greater --max-time");
}

namespace {

Json parsed(const std::string& line) {
  Json answer = Json::parse(line);
  if (answer.contains("failed")) throw ContestantEnded(answer["failed"].get<std::string>());
  return answer;
}

}  // namespace

StartUp Contestant::start() {
  const Json j = parsed(ask(Json{{"job", to_json(plan_.job)}, {"options", to_json(plan_.options)}, {"copy", plan_.copy_inputs}}.dump()));
  return {j["seconds"], j["engine"], j["workers"], j["isa"], j["missing"].get<std::array<std::string, kCounters>>()};
}

Run Contestant::run(RunKind kind, bool digest) {
  const Json j = parsed(ask(Json{{"do", kind == RunKind::cold ? "cold" : "warm"}, {"digest", digest}}.dump()));
  return {.kind = kind, .seconds = j["seconds"], .wall = j["wall"], .digest = j["digest"], .error = j["error"], .exit_code = j["exit"], .elements = j["elements"], .chunks = j["chunks"],
          .bytes = std::round(j["rate"].get<double>() * j["seconds"].get<double>()), .operations = j["operations"], .crashes = j["crashes"], .retries = j["retries"], .workers = workers_from(j["workers"])};
}

void Contestant::load() { parsed(ask(R"({"do":"load"})")); }

std::vector<PassTrace> Contestant::trace() { return traces_from(parsed(ask(R"({"do":"traced"})"))["trace"]); }

std::vector<WorkerMemory> Contestant::memory() {
  std::vector<WorkerMemory> all;
  const Json answer = parsed(ask(R"({"do":"memory"})"));
  for (const Json& m : answer["memory"]) all.push_back({m[0], {m[1], m[2], m[3]}});
  return all;
}

}  // namespace cadre::compare
