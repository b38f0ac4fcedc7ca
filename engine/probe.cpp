#include <cadre/engine/probe.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>

#include <cadre/engine/sandbox.hpp>
#include <cadre/kernels/declaration.hpp>
#include <cadre/kernels/loaded_plugin.hpp>
#include <cadre/pool/fork.hpp>
#include <cadre/pool/pool.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

constexpr std::size_t kPaperBytes = 4u << 20;
constexpr int kProbeMs = 10'000;

/** What the probe writes on and the caller reads: memory that both map. */
class Paper {
 public:
  Paper() : bytes_(static_cast<std::byte*>(mmap(nullptr, kPaperBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (bytes_ == MAP_FAILED) throw_errno("map memory for a probe", errno, Error::Kind::failed);
  }
  Paper(const Paper&) = delete;
  ~Paper() { munmap(bytes_, kPaperBytes); }

  void put(const void* data, std::size_t n) {
    if (at_ + n > kPaperBytes) throw Error("it declares more than fits into 4 MiB");
    std::memcpy(bytes_ + at_, data, n);
    at_ += n;
  }
  void get(void* data, std::size_t n) {
    if (at_ + n > kPaperBytes) throw Error("its probe told nonsense");
    std::memcpy(data, bytes_ + at_, n);
    at_ += n;
  }
  template <class T>
  void put(const T& value) { put(&value, sizeof value); }
  template <class T>
  T get() {
    T value;
    get(&value, sizeof value);
    return value;
  }
  void put_text(const char* text) {
    const std::string s = text ? text : "";
    put<std::uint64_t>(s.size());
    put(s.data(), s.size());
  }
  std::string get_text() {
    const auto n = get<std::uint64_t>();
    if (n > kPaperBytes) throw Error("its probe told nonsense");
    std::string s(n, 0);
    get(s.data(), n);
    return s;
  }
  void rewind() { at_ = 0; }

 private:
  std::byte* bytes_;
  std::size_t at_ = 0;
};

struct Probe {
  const std::function<void()>* body;
  Paper* paper;
  bool sandbox;

  static void violated(void* context, const char* call) {
    Paper& paper = *static_cast<Probe*>(context)->paper;
    paper.rewind();
    paper.put<std::uint32_t>(0);
    char text[128];
    std::snprintf(text, sizeof text, "the sandbox does not allow the system call %s", call);
    const std::uint64_t length = std::strlen(text);
    paper.put(length);
    paper.put(text, length);
    _exit(0);
  }

  static void run(void* context) {
    auto& self = *static_cast<Probe*>(context);
    // What a library prints while it is loaded is not a result.
    if (const int null = open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0) dup2(null, STDOUT_FILENO);
    std::string refusal;
    try {
      if (self.sandbox) enter_sandbox(&Probe::violated, &self);
      (*self.body)();
    } catch (const std::exception& e) {
      refusal = e.what();
      if (refusal.empty()) refusal = "it can not be loaded";
    } catch (...) {
      refusal = "it throws an exception while being loaded";
    }
    if (!refusal.empty()) {
      self.paper->rewind();
      self.paper->put<std::uint32_t>(0);
      self.paper->put_text(refusal.c_str());
    }
    _exit(0);
  }
};

// Runs `body` in a process of its own; afterwards the paper is at its beginning, behind the word that says whether all was well.
void probe(const std::string& path, const char* doing, Paper& paper, bool sandbox, const std::function<void()>& body) {
  Probe p{&body, &paper, sandbox};
  const pid_t pid = fork_child(&Probe::run, &p, Orphan::killed);
  if (pid < 0) throw_errno(path + ": fork a process that examines it", errno, Error::Kind::failed);
  pollfd watch{open_pidfd(pid), POLLIN, 0};
  int ready;
  do
    ready = poll(&watch, 1, kProbeMs);
  while (ready < 0 && errno == EINTR);
  if (ready == 0) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (watch.fd >= 0) close(watch.fd);
  if (ready == 0) throw Error(path + ": it does not finish " + doing + " within 10 s");
  if (WIFSIGNALED(status)) throw Error(path + ": it crashes while " + doing + " (" + signal_name(WTERMSIG(status)) + ")");
  if (WEXITSTATUS(status) != 0) throw Error(path + ": it ends the process while " + doing + " (exit code " + std::to_string(WEXITSTATUS(status)) + ")");
  paper.rewind();
  if (paper.get<std::uint32_t>() != 1) {
    const std::string why = paper.get_text();
    if (why.empty()) throw Error(path + ": it ends the process while " + doing + " (exit code 0)");
    throw Error(why.starts_with(path) ? why : path + ": " + why);
  }
}

}  // namespace

struct PluginDeclarations::Copies {
  std::deque<std::string> texts;
  std::deque<std::vector<cadre_input>> inputs;
  std::deque<std::vector<cadre_output>> outputs;
  std::deque<std::vector<cadre_param>> params;
  std::deque<std::vector<cadre_result>> results;
  std::deque<cadre_kernel> kernels;

  const char* text(Paper& paper) { return texts.emplace_back(paper.get_text()).c_str(); }
  const char* text_or_null(Paper& paper) {
    const char* t = text(paper);
    return *t ? t : nullptr;
  }

  // Declarations are plain structs whose first two fields are texts.
  template <class T>
  const T* list(Paper& paper, std::uint32_t n, std::deque<std::vector<T>>& lists) {
    auto& all = lists.emplace_back(n);
    for (T& one : all) {
      paper.get(&one, sizeof one);
      one.name = text(paper);
      one.doc = text(paper);
    }
    return all.data();
  }
};

namespace {

template <class T>
void put_list(Paper& paper, const T* list, std::uint32_t n) {
  for (std::uint32_t i = 0; i < n; ++i) {
    paper.put(list[i]);
    paper.put_text(list[i].name);
    paper.put_text(list[i].doc);
  }
}

}  // namespace

PluginDeclarations probe_plugin(const std::string& path, bool sandbox) {
  Paper paper;
  probe(path, "being loaded", paper, sandbox, [&] {
    const Plugin plugin(path);
    const cadre_library& library = plugin.library();
    paper.put<std::uint32_t>(1);
    paper.put(library.count);
    for (std::uint32_t i = 0; i < library.count; ++i) {
      const cadre_kernel& k = *library.kernels[i];
      paper.put(complete(k));
      for (const char* text : {k.name, k.doc, k.accuracy, k.example}) paper.put_text(text);
      put_list(paper, k.inputs, k.n_inputs);
      put_list(paper, k.outputs, k.n_outputs);
      put_list(paper, k.params, k.n_params);
      put_list(paper, k.results, k.n_results);
    }
    _exit(0);  // without the library's destructors
  });
  PluginDeclarations declared;
  declared.path_ = path;
  auto copies = std::make_shared<PluginDeclarations::Copies>();
  const auto count = paper.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) {
    cadre_kernel& k = copies->kernels.emplace_back(paper.get<cadre_kernel>());
    k.name = copies->text(paper);
    k.doc = copies->text(paper);
    k.accuracy = copies->text_or_null(paper);
    k.example = copies->text_or_null(paper);
    k.inputs = copies->list(paper, k.n_inputs, copies->inputs);
    k.outputs = copies->list(paper, k.n_outputs, copies->outputs);
    k.params = copies->list(paper, k.n_params, copies->params);
    k.results = copies->list(paper, k.n_results, copies->results);
    // Whether a function is there matters (identity: a fold); where it is does not.
    declared.kernels_.push_back(&k);
  }
  declared.copies_ = std::move(copies);
  return declared;
}

int probe_plan(const std::string& path, std::uint32_t index, cadre_plan& plan, bool sandbox) {
  Paper paper;
  const cadre_plan given = plan;
  probe(path, "planning", paper, sandbox, [&] {
    const Plugin plugin(path);
    if (index >= plugin.library().count) throw Error("it has changed since it was examined");
    cadre_plan told = given;
    const int outcome = plugin.library().kernels[index]->plan(&told);
    paper.put<std::uint32_t>(1);
    paper.put(outcome);
    paper.put(told);
    _exit(0);
  });
  const int outcome = paper.get<int>();
  plan = paper.get<cadre_plan>();
  plan.previous = given.previous;
  return outcome;
}

}  // namespace cadre
