#include "plugin_check.hpp"

#include <fcntl.h>
#include <fenv.h>
#include <immintrin.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include <cadre/compare/clock.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/pool/fork.hpp>
#include <cadre/pool/pool.hpp>
#include <cadre/shm/error.hpp>

#include "kernel_bench.hpp"
#include "output.hpp"

namespace cadre::cli {
namespace {

using compare::Clock;
using compare::seconds_since;
constexpr int kPatienceMs = 30'000;

/** A third of the rows from a third on: neither the first nor the last. */
struct Part {
  std::uint64_t first, count;
  explicit Part(std::uint64_t rows) : first(rows / 3), count(std::max<std::uint64_t>(rows / 3, 1)) {}
};

double number_at(const std::byte* data, cadre_dtype type, std::uint64_t i) {
  const auto read = [&]<class T>(T value) {
    std::memcpy(&value, data + i * sizeof(T), sizeof value);
    return static_cast<double>(value);
  };
  switch (to_dtype(type)) {
    case DType::f64: return read(double{});
    case DType::f32: return read(float{});
    case DType::i8: return read(std::int8_t{});
    case DType::i16: return read(std::int16_t{});
    case DType::i32: return read(std::int32_t{});
    case DType::i64: return read(std::int64_t{});
    case DType::u8: return read(std::uint8_t{});
    case DType::u16: return read(std::uint16_t{});
    case DType::u32: return read(std::uint32_t{});
    default: return read(std::uint64_t{});
  }
}

void put_number(std::vector<std::byte>& to, DType type, double value) {
  const auto put = [&](auto v) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&v);
    to.insert(to.end(), bytes, bytes + sizeof v);
  };
  switch (type) {
    case DType::f64: return put(value);
    case DType::f32: return put(static_cast<float>(value));
    case DType::i8: return put(static_cast<std::int8_t>(value));
    case DType::i16: return put(static_cast<std::int16_t>(value));
    case DType::i32: return put(static_cast<std::int32_t>(value));
    case DType::i64: return put(static_cast<std::int64_t>(value));
    case DType::u8: return put(static_cast<std::uint8_t>(value));
    case DType::u16: return put(static_cast<std::uint16_t>(value));
    case DType::u32: return put(static_cast<std::uint32_t>(value));
    case DType::u64: return put(static_cast<std::uint64_t>(value));
  }
}

/** The same values in another type. */
Sample converted(const Sample& sample, DType type) {
  Sample other{type, sample.shape, {}};
  const std::uint64_t n = elements_of(sample.shape);
  for (std::uint64_t i = 0; i < n; ++i) put_number(other.bytes, type, number_at(sample.bytes.data(), to_cadre(sample.type), i));
  return other;
}

bool is_whole(DType type) { return type != DType::f64 && type != DType::f32; }

/** The bench of the question that is being asked, for the handler of a crash. */
const KernelBench* benched = nullptr;
struct OnBench : KernelBench {
  explicit OnBench(const Subject& subject) : KernelBench(subject) { benched = this; }
  ~OnBench() { benched = nullptr; }
};

/* ---- the questions: each throws std::runtime_error with what is wrong, and returns what is good ---- */

std::string ask_rows(const Subject& subject) {
  const OnBench bench(subject);
  KernelBench::Worker worker(bench);
  const std::uint64_t rows = bench.rows();
  const Part part(rows);
  // Painted in two colours: a byte that keeps both was not written.
  std::vector<std::vector<std::byte>> first_colour;
  for (const unsigned char colour : {0xa5, 0x5a}) {
    worker.paint(colour);
    worker.run(part.first, part.count);
    for (std::uint32_t o = 0; o < worker.outputs().size(); ++o) {
      const std::uint64_t row = bench.row_bytes(o);
      const std::byte* data = worker.outputs()[o].data();
      for (std::uint64_t b = 0; b < rows * row; ++b) {
        const bool inside = b / row >= part.first && b / row < part.first + part.count;
        if (!inside && data[b] != static_cast<std::byte>(colour))
          throw std::runtime_error("for rows " + std::to_string(part.first) + " to " + std::to_string(part.first + part.count - 1) + " it writes to row " + std::to_string(b / row) + " of output " +
                                   bench.kernel().outputs[o].name + ": a write outside its chunk");
      }
      if (colour == 0xa5) {
        first_colour.emplace_back(data, data + rows * row);
        continue;
      }
      for (std::uint64_t b = part.first * row; b < (part.first + part.count) * row; ++b)
        if (first_colour[o][b] == std::byte{0xa5} && data[b] == std::byte{0x5a})
          throw std::runtime_error("it does not write all of row " + std::to_string(b / row) + " of output " + bench.kernel().outputs[o].name + " (byte " + std::to_string(b % row) + " of " + std::to_string(row) + ")");
    }
  }
  worker.run(0, rows);  // to the very end of inputs and outputs
  if (rows > 0) worker.run(rows - 1, 1);
  return "writes all of its rows and nothing else";
}

std::string ask_pure(const Subject& subject) {
  const OnBench bench(subject);
  KernelBench::Worker worker(bench);
  const std::uint64_t rows = bench.rows();
  const Part part(rows);
  const auto result = [&](KernelBench::Worker& w) {
    w.run(part.first, part.count);
    return w.yield(part.first, part.count);
  };
  worker.paint(0);
  const Yield alone = result(worker);
  if (result(worker) != alone) throw std::runtime_error("the same rows give another result when they are computed again");
  worker.run(part.first + part.count, rows - part.first - part.count);
  worker.run(0, part.first);
  if (result(worker) != alone) throw std::runtime_error("the same rows give another result after other rows have been computed");
  KernelBench::Worker fresh(bench, 1);
  fresh.paint(0xff);
  if (result(fresh) != alone) throw std::runtime_error("the same rows give another result in another worker, or depend on what its output held before");
  // Row by row and in halves: what is mapped does not depend on where chunks are cut.
  if (!worker.outputs().empty() && bench.plan().accumulator_bytes == 0 && alone.entries.empty()) {
    const std::uint64_t grain = std::max<std::uint64_t>(bench.plan().grain, 1), half = part.count / 2 / grain * grain;
    worker.paint(0);
    worker.run(part.first + half, part.count - half);
    if (half > 0) worker.run(part.first, half);
    if (worker.yield(part.first, part.count).outputs != alone.outputs) throw std::runtime_error("rows give another result when the chunk is cut elsewhere");
  }
  return "the same bits again, in another order, in another worker";
}

std::string ask_elementwise(const Subject& subject) {
  Subject reversed = subject;
  for (std::size_t i = 0; i < reversed.inputs.size(); ++i) {
    if (reversed.declared.inputs[i].role != CADRE_ROWS) continue;
    Sample& sample = reversed.inputs[i];
    const std::uint64_t rows = static_cast<std::uint64_t>(sample.shape[0]), row = rows ? sample.bytes.size() / rows : 0;
    for (std::uint64_t r = 0; r < rows; ++r) std::memcpy(sample.bytes.data() + r * row, subject.inputs[i].bytes.data() + (rows - 1 - r) * row, row);
  }
  const OnBench forwards(subject), backwards(reversed);
  KernelBench::Worker a(forwards), b(backwards);
  const std::uint64_t rows = forwards.rows();
  a.run(0, rows);
  b.run(0, rows);
  for (std::uint32_t o = 0; o < a.outputs().size(); ++o) {
    const std::uint64_t row = forwards.row_bytes(o);
    for (std::uint64_t r = 0; r < rows; ++r)
      if (std::memcmp(a.outputs()[o].data() + r * row, b.outputs()[o].data() + (rows - 1 - r) * row, row) != 0)
        throw std::runtime_error("it is declared elementwise, but row " + std::to_string(r) + " of output " + forwards.kernel().outputs[o].name + " depends on other rows or on its place");
  }
  return "each row depends on its own inputs alone";
}

/** Every declared element type is read as what it is: whole numbers, in this type and in float64 or int64, give one result. */
std::string ask_types(const Subject& subject) {
  std::string tried;
  Subject whole = subject;
  for (Sample& s : whole.inputs) {
    const std::uint64_t n = elements_of(s.shape);
    std::vector<std::byte> bytes;
    for (std::uint64_t i = 0; i < n; ++i) put_number(bytes, s.type, static_cast<double>(1 + i * 7 % 9));
    s.bytes = std::move(bytes);
  }
  const auto outputs_of = [&](Subject s) {
    for (std::size_t i = 0; i < s.inputs.size(); ++i) s.plan.inputs[i].dtype = to_cadre(s.inputs[i].type);
    const OnBench bench(s);
    KernelBench::Worker worker(bench);
    worker.run(0, bench.rows());
    std::vector<std::vector<double>> numbers;
    for (std::uint32_t o = 0; o < worker.outputs().size(); ++o) {
      const cadre_dtype type = bench.plan().outputs[o].dtype;
      std::vector<double>& list = numbers.emplace_back();
      for (std::uint64_t i = 0; i < worker.outputs()[o].bytes() / (type.bits / 8); ++i) list.push_back(number_at(worker.outputs()[o].data(), type, i));
    }
    return numbers;
  };
  const auto reference = outputs_of(whole);
  for (int t = 0; t < 10; ++t) {
    const DType type = static_cast<DType>(t);
    Subject other = whole;
    bool any = false;
    for (std::size_t i = 0; i < other.inputs.size(); ++i)
      if (other.declared.inputs[i].types >> t & 1) other.inputs[i] = converted(whole.inputs[i], type), any |= whole.inputs[i].type != type;
    if (!any) continue;
    const auto numbers = outputs_of(other);
    for (std::size_t o = 0; o < numbers.size(); ++o)
      for (std::size_t i = 0; i < numbers[o].size(); ++i) {
        const double a = reference[o][i], b = numbers[o][i];
        const bool near = a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= 1e-3 * std::max(std::fabs(a), std::fabs(b));
        if (!near)
          throw std::runtime_error(std::string("inputs are declared to be ") + name_of(type) + " too, but as such the same numbers give " + shortest(b) + " instead of " + shortest(a) + " (output " +
                                   subject.declared.outputs[o].name + ", number " + std::to_string(i) + ")");
      }
    tried += (tried.empty() ? "" : ", ") + std::string(name_of(type));
  }
  return tried.empty() ? "one type, nothing to compare" : tried + " are read as what they are";
}

std::string ask_threads(const Subject& subject) {
  constexpr unsigned kThreads = 4;
  constexpr double kSeconds = 0.5;
  const OnBench bench(subject);
  const std::uint64_t rows = bench.rows(), step = std::max<std::uint64_t>(rows / kThreads, 1);
  std::vector<Part> parts;
  for (unsigned t = 0; t < kThreads; ++t) {
    Part p(rows);
    p.first = std::min(t * step, rows > 0 ? rows - 1 : 0);
    p.count = std::min(step, rows - p.first);
    parts.push_back(p);
  }
  std::vector<Yield> expected;
  {
    KernelBench::Worker serial(bench);
    for (const Part& p : parts) {
      serial.run(p.first, p.count);
      expected.push_back(serial.yield(p.first, p.count));
    }
  }
  std::atomic<unsigned> ready{0}, wrong{kThreads};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> calls{0};
  std::string error[kThreads];
  std::vector<std::thread> threads;
  const Clock::time_point begin = Clock::now();
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      try {
        KernelBench::Worker worker(bench, t + 1);
        ++ready;
        while (ready.load() < kThreads && !stop) std::this_thread::yield();
        // Long parts and short ones, so that calls meet at every point.
        while (!stop && seconds_since(begin) < kSeconds) {
          worker.run(parts[t].first, parts[t].count);
          ++calls;
          if (worker.yield(parts[t].first, parts[t].count) != expected[t]) wrong = t, stop = true;
        }
      } catch (const std::exception& e) {
        error[t] = e.what();
        stop = true;
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::string& e : error)
    if (!e.empty()) throw std::runtime_error("on several threads at once: " + e);
  if (wrong < kThreads)
    throw std::runtime_error("on several threads at once rows " + std::to_string(parts[wrong].first) + " to " + std::to_string(parts[wrong].first + parts[wrong].count - 1) +
                             " give another result than alone: it shares state that it writes to (a static or global variable?); --backend processes is safe from that");
  return std::to_string(calls.load()) + " calls on 4 threads, the serial bits";
}

/** What a kernel leaves changed around it. Cadre puts it back or is not hurt by it, but the kernel's author wants to know. */
std::string ask_surroundings(const Subject& subject) {
  char before[4096] = "", after[4096] = "";
  if (!getcwd(before, sizeof before)) before[0] = 0;
  sigset_t mask{}, mask_after{};  // the kernel and sigemptyset fill in 64 bits of 1,024
  sigemptyset(&mask);
  sigemptyset(&mask_after);
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  fenv_t environment;
  fegetenv(&environment);
  const unsigned mode = _mm_getcsr() & ~0x3fu;
  const int rounding = fegetround();
  const int marker = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int out[2];
  if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
  dup2(out[1], STDOUT_FILENO);
  {
    const OnBench bench(subject);
    KernelBench::Worker worker(bench);
    worker.run(0, bench.rows());
    std::fflush(stdout);
  }
  std::string changed;
  const auto note = [&](bool is, const char* what) {
    if (is) changed += (changed.empty() ? "" : ", ") + std::string(what);
  };
  note((_mm_getcsr() & ~0x3fu) != mode || fegetround() != rounding, "the floating-point mode");
  fesetenv(&environment);
  pthread_sigmask(SIG_SETMASK, nullptr, &mask_after);
  note(std::memcmp(&mask, &mask_after, sizeof mask) != 0, "the signal mask");
  note(!getcwd(after, sizeof after) || std::strcmp(before, after) != 0, "the working directory");
  note(fcntl(marker, F_GETFD) < 0, "descriptors that are not its own (it closes them)");
  char printed;
  note(read(out[0], &printed, 1) == 1, "stdout (it prints)");
  if (!changed.empty()) throw std::runtime_error("a call changes " + changed);
  return "floating-point mode, signals, folder, descriptors, stdout as before";
}

std::string ask_speed(const Subject& subject) {
  const OnBench bench(subject);
  KernelBench::Worker worker(bench);
  const std::uint64_t rows = std::max<std::uint64_t>(bench.rows(), 1);
  worker.run(0, bench.rows());
  double best = 1e300;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point from = Clock::now();
    worker.run(0, bench.rows());
    best = std::min(best, seconds_since(from));
  } while (seconds_since(begin) < 0.1);
  return shortest(best / static_cast<double>(rows) * 1e9);
}

/* ---- a child for each ---- */

int answer_fd = -1;

struct Question {
  const Subject* subject;
  std::string (*ask)(const Subject&);
  int fd;
};

void say(char verdict, const char* words) {
  (void)!write(answer_fd, &verdict, 1);
  (void)!write(answer_fd, words, std::strlen(words));
}

void on_crash(int signal, siginfo_t* info, void*) {
  char text[512];
  const int used = std::snprintf(text, sizeof text, "it dies of %s", signal_name(signal).c_str());
  if (signal == SIGSEGV || signal == SIGBUS) {
    std::snprintf(text + used, sizeof text - static_cast<std::size_t>(used), ": ");
    if (benched) benched->describe(info->si_addr, text + used + 2, sizeof text - static_cast<std::size_t>(used) - 2);
  }
  say('B', text);
  _exit(0);
}

void ask_in_child(void* context) {
  auto& q = *static_cast<Question*>(context);
  answer_fd = q.fd;
  alignas(16) static char stack[1 << 16];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) {
    struct sigaction action{};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
  if (const int null = open("/dev/null", O_WRONLY | O_CLOEXEC); null >= 0) dup2(null, STDOUT_FILENO);
  try {
    say('G', q.ask(*q.subject).c_str());
  } catch (const std::exception& e) {
    say('B', e.what());
  } catch (...) {
    say('B', "it throws something that is not a std::exception");
  }
  _exit(0);
}

Answer put(const char* question, const Subject& subject, std::string (*ask)(const Subject&)) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) throw_errno("make a pipe", errno, Error::Kind::failed);
  Question q{&subject, ask, fds[1]};
  const pid_t pid = fork_child(&ask_in_child, &q, Orphan::killed);
  const int error = errno;
  close(fds[1]);
  if (pid < 0) {
    close(fds[0]);
    throw_errno("fork a process for the examination", error, Error::Kind::failed);
  }
  std::string told;
  const Clock::time_point begin = Clock::now();
  bool late = false;
  for (;;) {
    pollfd source{fds[0], POLLIN, 0};
    const int left = kPatienceMs - static_cast<int>(seconds_since(begin) * 1000);
    const int ready = left > 0 ? poll(&source, 1, left) : 0;
    if (ready < 0 && errno == EINTR) continue;
    char buffer[4096];
    const ssize_t n = ready > 0 ? read(fds[0], buffer, sizeof buffer) : 0;
    if (ready == 0) late = true;
    if (n <= 0) break;
    told.append(buffer, static_cast<std::size_t>(n));
  }
  close(fds[0]);
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return {question, false, "it does not come to an end within 30 s"};
  if (told.empty()) return {question, false, WIFSIGNALED(status) ? "it dies of " + signal_name(WTERMSIG(status)) : "it ends the process (exit code " + std::to_string(WEXITSTATUS(status)) + ")"};
  return {question, told[0] == 'G', told.substr(1)};
}

}  // namespace

Sample make_sample(const cadre_input& declared, DType type, std::uint64_t rows) {
  Sample sample{type, {}, {}};
  const bool cut = declared.role == CADRE_ROWS;
  for (std::uint32_t d = 0; d < declared.min_ndim; ++d)
    sample.shape.push_back(d == 0 && cut ? static_cast<std::int64_t>(rows) : declared.min_ndim == 1 ? 64 : 3);
  const std::uint64_t n = elements_of(sample.shape);
  std::uint64_t state = 0x9e3779b97f4a7c15u;
  for (std::uint64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    put_number(sample.bytes, type, is_whole(type) ? static_cast<double>(1 + (state >> 33) % 9) : 0.0625 + static_cast<double>((state >> 40) % 14336) / 16384);
  }
  return sample;
}

std::vector<Answer> examine(const Subject& subject, double& ns) {
  std::vector<Answer> answers;
  answers.push_back(put("rows", subject, ask_rows));
  answers.push_back(put("pure", subject, ask_pure));
  if (subject.declared.flags & CADRE_ELEMENTWISE) answers.push_back(put("elementwise", subject, ask_elementwise));
  answers.push_back(put("types", subject, ask_types));
  answers.push_back(put("threads", subject, ask_threads));
  answers.push_back(put("surroundings", subject, ask_surroundings));
  const Answer speed = put("speed", subject, ask_speed);
  ns = speed.good ? std::strtod(speed.words.c_str(), nullptr) : -1;
  return answers;
}

}  // namespace cadre::cli
