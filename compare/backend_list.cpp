#include <cadre/compare/backend_list.hpp>

#include <charconv>
#include <optional>

#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

namespace cadre::compare {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(at, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

template <class E>
std::optional<E> named(const std::string& name, std::initializer_list<E> all) {
  for (const E e : all)
    if (name == name_of(e)) return e;
  return std::nullopt;
}

[[noreturn]] void refuse(const std::string& entry, const std::string& why) { throw Error("--backends: " + entry + ": " + why); }

void apply_setting(BackendSpec& spec, const std::string& setting) {
  const std::size_t equals = setting.find('=');
  const std::string name = setting.substr(0, equals), value = equals == std::string::npos ? "" : setting.substr(equals + 1);
  const auto only_for = [&](Backend backend) {
    if (spec.backend != backend) refuse(spec.text, name + "= is a setting of " + name_of(backend) + " alone");
  };
  const auto choose = [&](const char* first, const char* second) {
    if (value != first && value != second) refuse(spec.text, name + "= is " + first + " or " + second + ", not " + (value.empty() ? "nothing" : value));
    return value == second;
  };
  if (name == "start") {
    only_for(Backend::processes);
    const auto start = named(value, {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn});
    if (!start) refuse(spec.text, "start= is fork, forkserver or spawn, not " + (value.empty() ? "nothing" : value));
    spec.start = *start;
  } else if (name == "pages") {
    spec.small_pages = choose("huge", "4k");
  } else if (name == "pin") {
    only_for(Backend::processes);
    spec.pin = !choose("yes", "no");
  } else if (name == "combine") {
    only_for(Backend::threads);
    spec.private_copies = choose("segments", "private");
  } else {
    const std::string near = nearest_name(name, {"start", "pages", "pin", "combine"});
    refuse(spec.text, "there is no setting " + name + (near.empty() ? "; there are start, pages, pin and combine" : "; did you mean " + near + "?"));
  }
}

}  // namespace

std::vector<BackendSpec> parse_backends(const std::string& list, const Options& base) {
  std::vector<BackendSpec> specs;
  for (const std::string& entry : split(list, ',')) {
    const std::vector<std::string> parts = split(entry, ':');
    BackendSpec spec{.text = entry, .start = base.start, .pin = base.pin};
    const auto backend = named(parts[0], {Backend::serial, Backend::threads, Backend::processes});
    if (!backend) refuse(entry.empty() ? "an empty entry" : entry, "the backends are serial, threads and processes; write them like serial,threads,processes:pages=4k");
    spec.backend = *backend;
    for (std::size_t i = 1; i < parts.size(); ++i) apply_setting(spec, parts[i]);
    specs.push_back(std::move(spec));
  }
  if (specs.size() > 16) throw Error("--backends: " + std::to_string(specs.size()) + " entries; up to 16 are compared at once");
  return specs;
}

std::vector<std::uint64_t> parse_numbers(const std::string& flag, const std::string& list, std::uint64_t most, bool units) {
  std::vector<std::uint64_t> numbers;
  for (std::string entry : split(list, ',')) {
    const std::string typed = entry;
    int shift = 0;
    if (units && !entry.empty()) {
      const std::size_t unit = std::string("KMG").find(entry.back());
      if (unit != std::string::npos) {
        shift = 10 * (static_cast<int>(unit) + 1);
        entry.pop_back();
      }
    }
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), n);
    if (error != std::errc{} || end != entry.data() + entry.size() || n < 1 || n > most >> shift)
      throw Error(flag + " " + list + ": " + (typed.empty() ? "an empty entry" : typed) + " is not a whole number from 1 to " + std::to_string(most) + (units ? "; write sizes like 1000000, 1M or 256M" : ""));
    numbers.push_back(n << shift);
  }
  return numbers;
}

}  // namespace cadre::compare
