#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>

// toml++ 3.3 takes some bad syntax for a broken assertion of its own (a line break after the [ of a table's head), and with NDEBUG for
// undefined behaviour: here an assertion is an exception in every build.
namespace {
struct ParserGaveUp {};
[[noreturn]] void parser_gave_up() { throw ParserGaveUp{}; }
}  // namespace
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : parser_gave_up())
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <cadre/engine/flags.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr int kMaxNesting = 64;

[[noreturn]] void fail(const std::string& path, std::size_t line, const std::string& what) {
  throw Error(path + ":" + std::to_string(line) + ": " + what);
}

std::string read_text(const std::string& path) {
  // Non-blocking, so that opening a FIFO returns and can be refused.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) throw_errno("read the job file " + path, errno);
  struct Close {
    int fd;
    ~Close() { ::close(fd); }
  } close{fd};
  struct stat st {};
  if (::fstat(fd, &st) != 0) throw_errno("read the job file " + path, errno);
  if (!S_ISREG(st.st_mode)) throw Error(path + ": not a regular file; a job file is a TOML text");
  std::string text(kMaxBytes + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    ssize_t n = ::read(fd, text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read the job file " + path, errno);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  if (have > kMaxBytes) throw Error(path + ": larger than 1 MiB, the most that a job file may have");
  text.resize(have);
  return text;
}

/** Length of the UTF-8 sequence at s[i], 0 if it is none (overlong forms, surrogates and beyond U+10FFFF included). */
std::size_t utf8_length(std::string_view s, std::size_t i) {
  auto byte = [&](std::size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0u; };
  const unsigned a = byte(i);
  if (a < 0x80) return 1;
  const std::size_t n = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;
  if (a < 0xc2 || a > 0xf4) return 0;
  for (std::size_t k = 1; k < n; ++k)
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
  if ((a == 0xe0 && byte(i + 1) < 0xa0) || (a == 0xed && byte(i + 1) > 0x9f) || (a == 0xf0 && byte(i + 1) < 0x90) || (a == 0xf4 && byte(i + 1) > 0x8f)) return 0;
  return n;
}

/** Refuses bytes that are not UTF-8 and nesting that would exhaust the parser's stack: brackets and dotted keys, outside strings and comments. */
void scan(const std::string& path, std::string_view s) {
  std::size_t line = 1;
  int depth = 0, dots = 0;
  char quote = 0;        // the string that i is in: its quote, 0 outside
  bool multi = false;    // a string of three quotes
  bool comment = false;
  for (std::size_t i = 0; i < s.size();) {
    const std::size_t n = utf8_length(s, i);
    if (n == 0) fail(path, line, "not UTF-8 text");
    // toml++ 3.3 takes it for a place that can not be reached.
    if (i > 0 && s.compare(i, n, "\xef\xbb\xbf") == 0) fail(path, line, "a byte order mark (U+FEFF) in the middle of the file");
    const char c = s[i];
    const std::size_t at = i;
    i += n;
    if (c == '\n') {
      ++line;
      dots = 0;
      comment = false;
      if (!multi) quote = 0;  // an unclosed string, which the parser refuses
    } else if (comment) {
      continue;
    } else if (quote) {
      if (c == '\\' && quote == '"') {
        if (i < s.size() && s[i] != '\n') i += std::max<std::size_t>(utf8_length(s, i), 1);
      } else if (c == quote && !multi) {
        quote = 0;
      } else if (c == quote && s.substr(at, 3) == std::string(3, quote)) {
        i = at + 3;
        while (i < s.size() && s[i] == quote) ++i;  // up to two quotes may stand before the closing three
        quote = 0;
        multi = false;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      multi = s.substr(at, 3) == std::string(3, c);
      if (multi) i = at + 3;
    } else if (c == '#') {
      comment = true;
    } else if (c == '[' || c == '{') {
      dots = 0;
      if (++depth > kMaxNesting) fail(path, line, "nested more than " + std::to_string(kMaxNesting) + " deep");
    } else if (c == ']' || c == '}') {
      dots = 0;
      depth = std::max(depth - 1, 0);
    } else if (c == '=' || c == ',') {
      dots = 0;
    } else if (c == '.' && ++dots > kMaxNesting) {
      fail(path, line, "a key of more than " + std::to_string(kMaxNesting) + " parts");
    }
  }
}

bool names_a_file(const std::string& name) { return name.ends_with(".npy") || name.find('/') != std::string::npos; }

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), folder_(std::filesystem::path(path).parent_path()) {}

  JobFile read(const std::string& text) {
    scan(path_, text);
    toml::table root;
    try {
      root = toml::parse(std::string_view(text), std::string_view(path_));
    } catch (const toml::parse_error& e) {
      fail(path_, e.source().begin.line, std::string(e.description()));
    } catch (const ParserGaveUp&) {
      throw Error(path_ + ": bad syntax, on a line that the parser does not tell (a line break within [ ... ] of a table's head, for example)");
    }
    file_.job.name = std::filesystem::path(path_).stem();
    for (auto&& [key, node] : root) top_level(key, node);
    if (file_.job.steps.empty()) throw Error(path_ + ": no [[steps]]: a job has at least one, with kernel = \"...\" and in = [...]");
    return std::move(file_);
  }

 private:
  static std::size_t line_of(const toml::key& key) { return key.source().begin.line; }

  [[noreturn]] void unknown(const toml::key& key, const std::string& kind, const std::vector<std::string>& known) {
    std::string nearest = nearest_name(std::string(key.str()), known);
    fail(path_, line_of(key), "unknown " + kind + " " + std::string(key.str()) + (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }

  std::string text_of(const toml::key& key, const toml::node& node, const std::string& what) {
    auto text = node.value_exact<std::string>();
    if (!text || text->empty()) fail(path_, line_of(key), what);
    return *text;
  }

  std::string resolved(const std::string& file) const { return (folder_ / file).string(); }

  void top_level(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    if (name == "name") {
      file_.job.name = text_of(key, node, "name is a text: name = \"fares\"");
    } else if (name == "arrays") {
      if (!node.is_table()) fail(path_, line_of(key), "arrays is a table: [arrays], then name = \"file.npy\" on lines of their own");
      for (auto&& [array, file] : *node.as_table()) declare_array(array, file);
    } else if (name == "steps") {
      if (!node.is_array_of_tables()) fail(path_, line_of(key), "each step is a table of its own, headed [[steps]]");
      for (auto&& step : *node.as_array()) file_.job.steps.push_back(read_step(*step.as_table()));
    } else {
      option(key, node);
    }
  }

  void declare_array(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    if (name.empty() || names_a_file(name) || name.find('=') != std::string::npos)
      fail(path_, line_of(key), "\"" + name + "\" can not name an array: names have no '/' and no '=' and do not end in .npy");
    file_.job.files[name] = resolved(text_of(key, node, "array " + name + " is given by a file: " + name + " = \"file.npy\""));
  }

  void option(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    std::vector<std::string> known{"name", "arrays", "steps"};
    const Flag* flag = nullptr;
    for (const Flag& f : run_flags()) {
      known.push_back(f.name);
      if (name == f.name) flag = &f;
    }
    if (!flag) unknown(key, "key", known);
    std::string text;
    if (name == "plugin" && node.is_array()) {
      for (auto&& file : *node.as_array()) text += (text.empty() ? "" : "\n") + resolved(text_of(key, file, "plugin is a file or a list of files"));
    } else if (name == "plugin" || name == "journal") {
      text = resolved(text_of(key, node, name + " is a file name"));
    } else if (auto s = node.value_exact<std::string>()) {
      text = *s;
    } else if (auto b = node.value_exact<bool>()) {
      text = *b ? "true" : "false";
    } else if (auto i = node.value_exact<std::int64_t>()) {
      text = std::to_string(*i);
    } else if (auto d = node.value_exact<double>()) {
      char buffer[32];
      text.assign(buffer, std::to_chars(buffer, buffer + sizeof buffer, *d).ptr);
    } else {
      fail(path_, line_of(key), name + " is a single value, as after --" + name);
    }
    file_.options[name] = text;
    file_.option_lines[name] = static_cast<int>(line_of(key));
  }

  Step read_step(const toml::table& table) {
    Step step;
    std::size_t line = table.source().begin.line;
    for (auto&& [key, node] : table) {
      if (key == "kernel") {
        step.kernel = text_of(key, node, "kernel is a text: kernel = \"histogram\"");
        line = line_of(key);
      } else if (key == "in" || key == "out") {
        (key == "in" ? step.in : step.out) = bindings(key, node);
      } else if (key == "params") {
        if (!node.is_table()) fail(path_, line_of(key), "params is a table: params = { bins = 100 }");
        for (auto&& [name, value] : *node.as_table()) step.params.emplace_back(std::string(name.str()), param(name, value));
      } else {
        unknown(key, "key of a step", {"kernel", "in", "out", "params"});
      }
    }
    if (step.kernel.empty()) fail(path_, line, "the step names no kernel: kernel = \"sum\"");
    step.where = path_ + ":" + std::to_string(line);
    return step;
  }

  std::vector<std::pair<std::string, std::string>> bindings(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    const std::string what = name + " is a list of array names or files: " + name + " = [\"x\", \"y=other.npy\"]";
    if (!node.is_array()) fail(path_, line_of(key), what);
    std::vector<std::pair<std::string, std::string>> all;
    for (auto&& item : *node.as_array()) {
      auto binding = parse_binding(text_of(key, item, what));
      if (binding.second.empty()) fail(path_, line_of(key), what);
      if (names_a_file(binding.second)) binding.second = resolved(binding.second);
      all.push_back(std::move(binding));
    }
    return all;
  }

  Param param(const toml::key& key, const toml::node& node) {
    if (auto i = node.value_exact<std::int64_t>()) return *i;
    if (auto d = node.value_exact<double>()) return *d;
    fail(path_, line_of(key), "parameter " + std::string(key.str()) + " is not a number");
  }

  std::string path_;
  std::filesystem::path folder_;
  JobFile file_;
};

}  // namespace

JobFile read_job_file(const std::string& path) { return parse_job_text(read_text(path), path); }
JobFile parse_job_text(const std::string& text, const std::string& path) { return Reader(path).read(text); }

}  // namespace cadre
