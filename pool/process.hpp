#pragma once
/* Processes, as Python's multiprocessing names them:

     void work(int n, cadre::SharedValue<double> sum);
     cadre::Process p(work, 3, sum);                       // a function or lambda, and its arguments
     p.start();
     p.join();
     p.exitcode();                                         // 0 fine, 1 uncaught exception (its text is on stderr), -N killed by signal N

   or a class with a run() of its own, which tells how it is made again in a process that is not forked:

     class Greeter : public cadre::Process {
      public:
       explicit Greeter(std::string whom) : Process(this, whom), whom_(whom) {}
       void run() override { std::puts(whom_.c_str()); }
     };

   What may be passed: numbers and trivially copyable structs, shared arrays, values and locks, strings, vectors of these (shm/parcel.hpp). What is
   different from a thread: the process has copies. What ends when: a process whose parent ends in order is joined first, a daemonic one is
   terminated; when the parent is killed, the kernel kills its processes, daemonic or not, at once (Python leaves them behind).

   Under fork the child has the caller's memory, but of its threads only the one that called start(). All members are for the process that made the
   object; any thread of it. */
#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <sys/types.h>

#include <cadre/pool/program.hpp>
#include <cadre/pool/start_method.hpp>
#include <cadre/shm/parcel.hpp>

namespace cadre {

class Process;

namespace detail {

struct ProcessRecord;

/** What a process is to run, and how that reaches one that is not forked. */
class Target {
 public:
  virtual ~Target() = default;
  virtual void run() = 0;
  virtual Entry entry() const = 0;  // unpacks what pack() packed, and runs it
  virtual void pack(Parcel& parcel) const = 0;
};

template <class T>
struct Kept {
  using type = std::decay_t<T>;
};
template <class T>
  requires(std::is_same_v<std::decay_t<T>, char*> || std::is_same_v<std::decay_t<T>, const char*>)
struct Kept<T> {
  using type = std::string;
};
/** As what an argument is kept: a copy; text as a std::string. */
template <class T>
using KeptAs = typename Kept<T>::type;

template <class F, class... Args>
constexpr void require_travels() {
  static_assert(can_travel<F>,
                "the target of a Process must be a function, or a lambda that captures nothing but trivially copyable values and no pointers: pass everything else as an argument");
  // (GCC 12 takes std::mutex, whose copying is deleted, for trivially copyable.)
  static_assert(((can_travel<Args> && std::is_copy_constructible_v<Args>) && ...),
                "an argument of a Process must be trivially copyable, a shared handle (array, value, lock ...), a std::string, or a std::vector, pair or tuple of these: a process that is "
                "not forked gets nothing else");
}

template <class F, class... Args>
class FunctionTarget final : public Target {
 public:
  explicit FunctionTarget(F f, Args... args) : call_(std::move(f), std::move(args)...) {}
  void run() override {
    std::apply([](F& f, Args&... args) { std::invoke(f, args...); }, call_);
  }
  Entry entry() const override { return &enter; }
  void pack(Parcel& parcel) const override { Travel<std::tuple<F, Args...>>::pack(parcel, call_); }

 private:
  static void enter(ParcelReader& reader) {
    auto call = Travel<std::tuple<F, Args...>>::unpack(reader);
    std::apply([](F& f, Args&... args) { std::invoke(f, args...); }, call);
  }
  std::tuple<F, Args...> call_;
};

/** A derived class, made again by its constructor. */
template <class Derived, class... Args>
class Recipe final : public Target {
 public:
  explicit Recipe(Args... args) : args_(std::move(args)...) {}
  void run() override {}
  Entry entry() const override { return &enter; }
  void pack(Parcel& parcel) const override { Travel<std::tuple<Args...>>::pack(parcel, args_); }

 private:
  static void enter(ParcelReader& reader) {
    auto args = Travel<std::tuple<Args...>>::unpack(reader);
    std::apply([](Args&... each) { Derived(each...).run_again(); }, args);
  }
  std::tuple<Args...> args_;
};

}  // namespace detail

struct ProcessOptions {
  std::string name = {};                  // "": Process-1 and so on
  std::optional<bool> daemon = {};        // nothing: as the process that makes it
  std::optional<StartMethod> start = {};  // nothing: set_start_method's
};

class Process {
 public:
  /** `f(args...)` in a process of its own, once started. Arguments are copied; text becomes std::string. */
  template <class F, class... Args>
    requires(!std::derived_from<std::remove_pointer_t<std::remove_cvref_t<F>>, Process> && !std::same_as<std::remove_cvref_t<F>, ProcessOptions> && !std::same_as<std::remove_cvref_t<F>, std::shared_ptr<detail::ProcessRecord>>)
  explicit Process(F&& f, Args&&... args) : Process(ProcessOptions{}, std::forward<F>(f), std::forward<Args>(args)...) {}
  template <class F, class... Args>
    requires(!std::derived_from<std::remove_pointer_t<std::remove_cvref_t<F>>, Process>)
  Process(const ProcessOptions& options, F&& f, Args&&... args) : Process(options) {
    detail::require_travels<std::decay_t<F>, detail::KeptAs<Args>...>();
    static_assert(std::is_invocable_v<std::decay_t<F>&, detail::KeptAs<Args>&...>, "the target of a Process can not be called with these arguments (each is a copy; text is a std::string)");
    set_target(std::make_shared<detail::FunctionTarget<std::decay_t<F>, detail::KeptAs<Args>...>>(std::forward<F>(f), std::forward<Args>(args)...));
  }
  virtual ~Process();
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;

  /** What the process does: the target, unless a derived class does something else. */
  virtual void run();

  /** Throws Error: started before, made by another process, in a daemonic one, no process to be had, init missing, an argument that does not travel. */
  void start();
  /** Waits until it has ended; with a timeout, at most as long: whether it has. Throws Error: not started, not this process's child. */
  void join();
  bool join(std::chrono::nanoseconds timeout);
  bool is_alive() const;
  /** Nothing while it runs, or before. 255 when its end can not be known (its server was killed, or somebody else has waited for it). */
  std::optional<int> exitcode() const;
  const std::string& name() const;
  void set_name(std::string name);
  /** 0 before it is started. */
  pid_t pid() const;
  bool daemon() const;
  /** Before it is started. */
  void set_daemon(bool daemon);
  StartMethod start_method() const;
  void set_start_method(StartMethod method);
  /** A descriptor that polls readable when the process has ended; valid as long as this object, until close(). */
  int sentinel() const;
  /** SIGTERM, SIGKILL. Nothing when it has ended. */
  void terminate();
  void kill();
  /** Gives back what this object holds; nothing else can be done with it then. Throws Error while the process runs. */
  void close();

  /** In a process that was not forked: takes the place of the object that was started. Not for users. */
  void run_again();

 protected:
  /** For derived classes that run under fork alone. */
  Process() : Process(ProcessOptions{}) {}
  explicit Process(const ProcessOptions& options);
  /** For derived classes: `this`, and the arguments with which its constructor makes the same object in a process that is not forked. */
  template <class Derived, class... Args>
    requires(std::derived_from<Derived, Process>)
  explicit Process(Derived* self, Args&&... args) : Process(ProcessOptions{}, self, std::forward<Args>(args)...) {}
  template <class Derived, class... Args>
    requires(std::derived_from<Derived, Process>)
  Process(const ProcessOptions& options, Derived*, Args&&... args) : Process(options) {
    detail::require_travels<int, detail::KeptAs<Args>...>();
    set_target(std::make_shared<detail::Recipe<Derived, detail::KeptAs<Args>...>>(std::forward<Args>(args)...));
  }

 private:
  friend Process current_process();
  friend std::vector<Process> active_children();
  explicit Process(std::shared_ptr<detail::ProcessRecord> record) : record_(std::move(record)) {}
  void set_target(std::shared_ptr<detail::Target> target);
  detail::ProcessRecord& record() const;
  detail::ProcessRecord& child_record(const char* deed) const;
  std::shared_ptr<detail::ProcessRecord> record_;
};

/** The process that runs this: "MainProcess", or as it was named when it was started. */
Process current_process();
/** The children of this process that still run; the others are reaped. */
std::vector<Process> active_children();
/** CPUs that this process may really use: affinity and cgroup quota, not the machine's. */
int cpu_count();

/** The process that started this one. */
class ParentProcess {
 public:
  ParentProcess(std::string name, pid_t pid) : name_(std::move(name)), pid_(pid) {}
  const std::string& name() const noexcept { return name_; }
  pid_t pid() const noexcept { return pid_; }
  bool is_alive() const;

 private:
  std::string name_;
  pid_t pid_;
};
/** Nothing in the program's first process. */
std::optional<ParentProcess> parent_process();

/** Those of the sentinels that are ready: waits for one at least, at most `timeout`. */
std::vector<int> wait(std::span<const int> sentinels, std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
/** Those of the processes that have ended: waits for one at least, at most `timeout`. */
std::vector<Process*> wait(std::span<Process* const> processes, std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
inline std::vector<Process*> wait(std::span<Process> processes, std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
  std::vector<Process*> all;
  for (Process& p : processes) all.push_back(&p);
  return wait(std::span<Process* const>(all), timeout);
}

/** Ends this process with that exit code. In a child the stack is unwound first, from its main thread (so do not swallow what is thrown by catch (...)). */
[[noreturn]] void exit(int code = 0);

/** The start method of processes that name none. Once in a program, before the first is started, unless forced. Throws Error. */
void set_start_method(StartMethod method, bool force = false);
void set_start_method(std::string_view name, bool force = false);
StartMethod get_start_method();

/** Processes of one start method, whatever the program's is: auto spawn = cadre::get_context("spawn"); spawn.process(f, 1).start(); */
class Context {
 public:
  explicit Context(StartMethod method) : method_(method) {}
  template <class... Args>
  cadre::Process process(Args&&... args) const {
    return cadre::Process(ProcessOptions{.start = method_}, std::forward<Args>(args)...);
  }
  StartMethod start_method() const noexcept { return method_; }
  int cpu_count() const { return cadre::cpu_count(); }

 private:
  StartMethod method_;
};
/** "fork", "forkserver", "spawn"; "": the program's. Throws Error. */
Context get_context(std::string_view name = "");

namespace detail {
/** What a component wants to be told of processes, and to have carried to those that are not forked. Set before main, by its own file. */
struct ProcessHooks {
  void (*tell)(const std::string& event) = nullptr;
  void (*pack)(Parcel&) = nullptr;
  void (*unpack)(ParcelReader&) = nullptr;
  void (*keep_alone)(std::span<const int> descriptors) = nullptr;  // in a forked child: of those that a component keeps, these are the child's
};
extern ProcessHooks process_hooks;
}  // namespace detail

}  // namespace cadre
