#include <cadre/engine/flags.hpp>

#include <algorithm>
#include <charconv>
#include <vector>

#include <cadre/engine/poison.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {
namespace {

constexpr Flag kFlags[] = {
    {"backend", "serial|threads|processes", "what runs the chunks (default processes)", true},
    {"workers", "N", "1 to 1024 (default: the CPUs that this process may really use)", true},
    {"start", "fork|forkserver|spawn", "how worker processes are made (default fork)", true},
    {"isa", "auto|v2|v3|v4", "level of the built-in kernels' code (default auto: the highest the CPU has)", true},
    {"chunk", "N", "elements per chunk (default: the plan's)", true},
    {"no-pin", nullptr, "do not pin workers to CPUs", true},
    {"plugin", "FILE.so", "load further kernels; repeatable; also every .so in $CADRE_PLUGIN_PATH", true},
    {"retries", "N", "attempts per chunk after the first, 0 to 1000 (default 2)", true},
    {"no-digest", nullptr, "do not compute the digest of the result", true},
    {"json", nullptr, "one JSON object on stdout, nothing else there", true},
    {"no-progress", nullptr, "no progress bar", true},
    {"quiet", nullptr, "print the small results and nothing else", true},
    {"journal", "DIR", "keep the job there, so that it can be carried on with after any kill", true},
    {"resume", nullptr, "carry on with the job in the journal", true},
    {"sandbox", nullptr, "plug-ins without network, exec, new files", true},
    {"timeout", "SECONDS", "that a kernel may take for a chunk (processes only; default: any time)", true},
    {"strict", nullptr, "map outputs go through a worker's own memory: a stray write can not reach another chunk", true},
    {"on-poison", "fail|skip", "what comes of an element that fails every time (default fail)", true},
    {"max-skipped", "N", "elements that may be skipped before the job fails, 0 to 1000000 (default 100)", true},
    {"max-chunks-per-worker", "N", "replace a worker process after so many chunks", true},
    {"max-memory-per-worker", "BYTES", "replace a worker process that holds so much memory of its own (64M, 2G); looked at after each chunk", true},
    {"verify-fraction", "F", "run that share of the chunks, 0 to 1, twice and compare", true},
};

std::string typed(const std::string& name, const std::string& value, const std::string& where) {
  if (where.empty()) return value.empty() ? "--" + name : "--" + name + " " + value;
  return where + ": " + name + " = " + value;
}

template <class T>
bool parse_all(const std::string& text, T& value) {
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size();
}

std::int64_t whole(const std::string& label, const std::string& value, std::int64_t least, std::int64_t most) {
  std::int64_t n = 0;
  if (!parse_all(value, n) || n < least || n > most)
    throw Error(label + ": not a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return n;
}

double real(const std::string& label, const std::string& value, double least, double most, const char* what) {
  double x = 0;
  if (!parse_all(value, x) || !(x >= least && x <= most)) throw Error(label + ": not " + what);
  return x;
}

// 1048576, 64M, 2GiB.
std::uint64_t bytes_in(const std::string& label, const std::string& value) {
  const std::size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
  std::string unit = value.substr(digits);
  if (unit.size() > 1 && unit.back() == 'B') unit.pop_back();
  if (unit.size() > 1 && unit.back() == 'i') unit.pop_back();
  const std::string units = "KMGT";
  const std::size_t power = unit.empty() ? 0 : unit.size() == 1 && units.find(unit) != std::string::npos ? units.find(unit) + 1 : 9;
  std::uint64_t n = 0;
  if (power > 4 || !parse_all(value.substr(0, digits), n) || n == 0 || n > (std::uint64_t{1} << 60) >> (10 * power))
    throw Error(label + ": not a number of bytes; write it like 268435456, 256M or 2G");
  return n << (10 * power);
}

template <class E>
E choice(const std::string& label, const std::string& value, std::initializer_list<E> all) {
  std::string allowed;
  for (E e : all) {
    if (value == name_of(e)) return e;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name_of(e));
  }
  throw Error(label + ": not one of " + allowed);
}

bool on(const std::string& label, const std::string& value) {
  if (value == "true" || value == "false") return value == "true";
  throw Error(label + ": neither true nor false");
}

bool is_identifier(std::string_view s) {
  if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
  for (char c : s)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

}  // namespace

std::span<const Flag> run_flags() { return kFlags; }

void apply_flag(RunSettings& s, const std::string& name, const std::string& value, const std::string& where) {
  const Flag* flag = nullptr;
  for (const Flag& f : kFlags)
    if (name == f.name) flag = &f;
  const std::string prefix = where.empty() ? "--" : where + ": ";
  if (!flag) {
    std::vector<std::string> names;
    for (const Flag& f : kFlags) names.push_back(f.name);
    std::string nearest = nearest_name(name, names);
    throw Error(prefix + name + ": there is no such option" + (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  if (!flag->built) throw Error(prefix + name + " is not built yet");
  const std::string label = typed(name, where.empty() && !flag->value ? "" : value, where);

  if (name == "backend") {
    s.options.backend = choice(label, value, {Backend::serial, Backend::threads, Backend::processes});
  } else if (name == "start") {
    s.options.start = choice(label, value, {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn});
  } else if (name == "isa") {
    s.options.isa = choice(label, value, {Isa::automatic, Isa::v2, Isa::v3, Isa::v4});
  } else if (name == "workers") {
    s.options.workers = static_cast<int>(whole(label, value, 1, 1024));
  } else if (name == "chunk") {
    s.chunk = static_cast<std::uint64_t>(whole(label, value, 1, std::int64_t{1} << 40));
  } else if (name == "retries") {
    s.options.retries = static_cast<int>(whole(label, value, 0, 1000));
  } else if (name == "timeout") {
    s.options.timeout = real(label, value, 1e-3, 1e9, "a number of seconds from 0.001 to 1e9");
  } else if (name == "on-poison") {
    s.options.on_poison = choice(label, value, {OnPoison::fail, OnPoison::skip});
  } else if (name == "max-skipped") {
    s.options.max_skipped = static_cast<std::uint64_t>(whole(label, value, 0, kMostSkipped));
  } else if (name == "max-chunks-per-worker") {
    s.options.max_chunks_per_worker = static_cast<std::uint64_t>(whole(label, value, 1, std::int64_t{1} << 40));
  } else if (name == "max-memory-per-worker") {
    s.options.max_memory_per_worker = bytes_in(label, value);
  } else if (name == "verify-fraction") {
    s.options.verify_fraction = real(label, value, 0, 1, "a number from 0 to 1");
  } else if (name == "strict") {
    s.options.strict = on(label, value);
  } else if (name == "plugin") {
    for (std::size_t at = 0; at <= value.size();) {
      std::size_t end = std::min(value.find('\n', at), value.size());
      if (end == at) throw Error(label + ": no file is named");
      s.options.plugins.push_back(value.substr(at, end - at));
      at = end + 1;
    }
  } else if (name == "sandbox") {
    s.options.sandbox = on(label, value);
  } else if (name == "no-pin") {
    s.options.pin = !on(label, value);
  } else if (name == "no-digest") {
    s.digest = !on(label, value);
  } else if (name == "json") {
    s.json = on(label, value);
  } else if (name == "no-progress") {
    s.progress = !on(label, value);
  } else if (name == "journal") {
    if (value.empty()) throw Error(label + ": no directory is named");
    s.options.journal = value;
  } else if (name == "resume") {
    s.options.resume = on(label, value);
  } else if (name == "quiet") {
    s.quiet = on(label, value);
  }
}

std::pair<std::string, std::string> parse_binding(const std::string& text) {
  std::size_t equals = text.find('=');
  if (equals == std::string::npos || !is_identifier(std::string_view(text).substr(0, equals))) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::pair<std::string, Param> parse_param(const std::string& text) {
  auto [name, value] = parse_binding(text);
  if (name.empty()) throw Error("--param " + text + ": not NAME=VALUE");
  const bool plus = value.size() > 1 && value[0] == '+' && value[1] != '-' && value[1] != '+';  // from_chars takes no plus sign
  const std::string digits = plus ? value.substr(1) : value;
  std::int64_t whole_value = 0;
  if (parse_all(digits, whole_value)) return {name, whole_value};
  const bool only_digits = digits.find_first_not_of("-0123456789") == std::string::npos;
  double real = 0;
  if (only_digits && digits.find_first_of("0123456789") != std::string::npos && parse_all(digits, real))
    throw Error("--param " + text + ": whole numbers are from -2^63 to 2^63 - 1; write " + digits + ".0 for a real");
  if (!parse_all(digits, real))
    throw Error("--param " + text + ": the value is not a number that float64 can hold");
  return {name, real};
}

}  // namespace cadre
