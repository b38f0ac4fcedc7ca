#include <cadre/engine/checkpoint.hpp>

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <iterator>
#include <map>

#include <nlohmann/json.hpp>

namespace cadre {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic = "cadre journal ";

std::string checksum(std::string_view body, std::uint32_t version) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(body.data(), body.size(), version));
  std::string hex;
  for (const unsigned char b : canonical.digest) {
    hex += "0123456789abcdef"[b >> 4];
    hex += "0123456789abcdef"[b & 15];
  }
  return hex;
}

// ---- to JSON ----

// Bytes that need not be UTF-8 (file names) are kept as numbers.
Json text(const std::string& s) {
  Json j = s;
  try {
    (void)j.dump();
    return j;
  } catch (const Json::exception&) {
    Json bytes = Json::array();
    for (const char c : s) bytes.push_back(static_cast<unsigned char>(c));
    return bytes;
  }
}

Json facts(const std::vector<Fact>& all) {
  Json j = Json::array();
  for (const Fact& f : all) j.push_back({text(f.what), text(f.is)});
  return j;
}

Json array(const KeptArray& a) {
  return {{"name", text(a.name)},    {"type", name_of(a.type)}, {"shape", a.shape},  {"address", a.extent.address},
          {"bytes", a.extent.bytes}, {"offset", a.offset},      {"output", a.output}};
}

Json arrays(const std::vector<KeptArray>& all) {
  Json j = Json::array();
  for (const KeptArray& a : all) j.push_back(array(a));
  return j;
}

// Floating-point values by their bits: JSON has no NaN.
Json small_results(const std::vector<SmallResult>& all) {
  Json j = Json::array();
  for (const SmallResult& r : all) {
    Json values = Json::array();
    if (const auto* reals = std::get_if<std::vector<double>>(&r.values))
      for (const double v : *reals) values.push_back(std::bit_cast<std::uint64_t>(v));
    else
      std::visit([&](const auto& v) { values = v; }, r.values);
    j.push_back({{"name", r.name}, {"shape", r.shape}, {"type", r.values.index()}, {"values", std::move(values)}});
  }
  return j;
}

Json step(const StepReport& s) {
  return {
      {"kernel", s.kernel}, {"elements", s.elements}, {"chunks", s.chunks}, {"seconds", s.seconds}, {"result", small_results(s.result)}};
}

Json report(const Report& r) {
  Json j = {{"job", text(r.job)},   {"backend", name_of(r.backend)}, {"start", name_of(r.start)},
            {"workers", r.workers}, {"isa", name_of(r.isa)},         {"elements", r.elements},
            {"chunks", r.chunks},   {"seconds", r.seconds},          {"bytes_per_second", r.bytes_per_second},
            {"digest", r.digest},   {"exit_code", r.exit_code}};
  j["steps"] = Json::array();
  for (const StepReport& s : r.steps) j["steps"].push_back(step(s));
  j["outputs"] = Json::array();
  for (const auto& [name, file] : r.outputs) j["outputs"].push_back({name, text(file)});
  j["crashes"] = r.faults.crashes;
  j["timeouts"] = r.faults.timeouts;
  j["retries"] = r.faults.retries;
  j["resumed_chunks"] = r.faults.resumed_chunks;
  j["poison"] = Json::array();
  for (const Poison& p : r.faults.poison)
    j["poison"].push_back({{"index", p.index},
                           {"value", text(p.value)},
                           {"signal", text(p.signal)},
                           {"what", text(p.what)},
                           {"exit", p.exit},
                           {"attempts", p.attempts},
                           {"peak_rss", p.peak_rss},
                           {"stack", p.stack}});
  return j;
}

constexpr const char* kStates[] = {"running", "committing", "finished"};

// ---- from JSON; a Json::exception means that something is missing or of another type ----

template <class T>
T whole(const Json& j) {
  if (!j.is_number_integer()) throw Error("a number is not whole");
  // The library casts without a look.
  if (j.is_number_unsigned() ? !std::in_range<T>(j.get<std::uint64_t>()) : !std::in_range<T>(j.get<std::int64_t>()))
    throw Error("a number is out of range");
  return j.get<T>();
}
double real(const Json& j) { return j.is_null() ? 0 : j.get<double>(); }

std::string text_of(const Json& j) {
  if (j.is_string()) return j.get<std::string>();
  std::string s;
  for (const auto& b : j) s += static_cast<char>(whole<unsigned char>(b));
  return s;
}

template <class Enum>
Enum choice(const Json& j, std::initializer_list<Enum> all) {
  for (const Enum e : all)
    if (j.get<std::string>() == name_of(e)) return e;
  throw Error("an unknown word: " + j.get<std::string>().substr(0, 40));
}

Shape shape_of(const Json& j) {
  if (j.size() > 64) throw Error("an array of too many dimensions");
  Shape shape;
  for (const auto& extent : j) shape.push_back(whole<std::int64_t>(extent));
  return shape;
}

std::vector<Fact> facts_of(const Json& j) {
  std::vector<Fact> all;
  for (const auto& f : j) all.push_back({text_of(f.at(0)), text_of(f.at(1))});
  return all;
}

KeptArray array_of(const Json& j) {
  KeptArray a;
  a.name = text_of(j.at("name"));
  a.type = choice(j.at("type"),
                  {DType::f64, DType::f32, DType::i8, DType::i16, DType::i32, DType::i64, DType::u8, DType::u16, DType::u32, DType::u64});
  a.shape = shape_of(j.at("shape"));
  a.extent = {whole<std::uint64_t>(j.at("address")), whole<std::uint64_t>(j.at("bytes"))};
  a.offset = whole<std::uint64_t>(j.at("offset"));
  a.output = whole<std::uint32_t>(j.at("output"));
  return a;
}

std::vector<SmallResult> small_results_of(const Json& j) {
  std::vector<SmallResult> all;
  for (const auto& r : j) {
    SmallResult result{.name = r.at("name").get<std::string>(), .shape = shape_of(r.at("shape")), .values = std::vector<double>{}};
    const auto read = [&]<class T>(T) {
      std::vector<T> values;
      for (const auto& v : r.at("values")) values.push_back(whole<T>(v));
      result.values = std::move(values);
    };
    switch (whole<int>(r.at("type"))) {
      case 0: read(std::int64_t{}); break;
      case 1: read(std::uint64_t{}); break;
      case 2: {
        std::vector<double> values;
        for (const auto& v : r.at("values")) values.push_back(std::bit_cast<double>(whole<std::uint64_t>(v)));
        result.values = std::move(values);
        break;
      }
      default: throw Error("a result of an unknown type");
    }
    const std::size_t count = std::visit([](const auto& v) { return v.size(); }, result.values);
    if (result.shape.size() > 2 || elements_of(result.shape) != count) throw Error("a result whose shape is not that of its values");
    all.push_back(std::move(result));
  }
  return all;
}

StepReport step_of(const Json& j) {
  return {.kernel = j.at("kernel").get<std::string>(),
          .elements = whole<std::uint64_t>(j.at("elements")),
          .chunks = whole<std::uint64_t>(j.at("chunks")),
          .seconds = real(j.at("seconds")),
          .result = small_results_of(j.at("result"))};
}

Report report_of(const Json& j) {
  Report r;
  r.job = text_of(j.at("job"));
  r.backend = choice(j.at("backend"), {Backend::serial, Backend::threads, Backend::processes});
  r.start = choice(j.at("start"), {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn});
  r.workers = whole<int>(j.at("workers"));
  r.isa = choice(j.at("isa"), {Isa::automatic, Isa::v2, Isa::v3, Isa::v4});
  r.elements = whole<std::uint64_t>(j.at("elements"));
  r.chunks = whole<std::uint64_t>(j.at("chunks"));
  r.seconds = real(j.at("seconds"));
  r.bytes_per_second = real(j.at("bytes_per_second"));
  r.digest = j.at("digest").get<std::string>();
  r.exit_code = whole<int>(j.at("exit_code"));
  for (const auto& s : j.at("steps")) r.steps.push_back(step_of(s));
  for (const auto& o : j.at("outputs")) r.outputs.emplace_back(o.at(0).get<std::string>(), text_of(o.at(1)));
  r.faults.crashes = whole<std::uint64_t>(j.at("crashes"));
  r.faults.timeouts = whole<std::uint64_t>(j.at("timeouts"));
  r.faults.retries = whole<std::uint64_t>(j.at("retries"));
  r.faults.resumed_chunks = whole<std::uint64_t>(j.at("resumed_chunks"));
  for (const auto& p : j.at("poison")) {
    Poison one;
    one.index = whole<std::uint64_t>(p.at("index"));
    one.value = text_of(p.at("value"));
    one.signal = text_of(p.at("signal"));
    one.what = text_of(p.at("what"));
    one.exit = whole<int>(p.at("exit"));
    one.attempts = whole<int>(p.at("attempts"));
    one.peak_rss = whole<std::uint64_t>(p.at("peak_rss"));
    for (const auto& line : p.at("stack")) one.stack.push_back(line.get<std::string>());
    r.faults.poison.push_back(std::move(one));
  }
  return r;
}

Checkpoint checkpoint_of(const Json& j) {
  Checkpoint c;
  const auto state = j.at("state").get<std::string>();
  const auto at = std::find(std::begin(kStates), std::end(kStates), state);
  if (at == std::end(kStates)) throw Error("an unknown state: " + state.substr(0, 40));
  c.state = static_cast<Checkpoint::State>(at - std::begin(kStates));
  c.generation = whole<std::uint64_t>(j.at("generation"));
  c.step = whole<std::uint32_t>(j.at("step"));
  c.pass = whole<std::uint32_t>(j.at("pass"));
  c.bytes = whole<std::uint64_t>(j.at("bytes"));
  c.chunks = whole<std::uint64_t>(j.at("chunks"));
  for (const auto& o : j.at("outputs")) {
    KeptOutput output;
    output.file = {text_of(o.at("path")), text_of(o.at("temporary")), whole<std::uint64_t>(o.at("device")),
                   whole<std::uint64_t>(o.at("inode"))};
    output.mapped = o.at("mapped").get<bool>();
    output.array = array_of(o.at("array"));
    c.outputs.push_back(std::move(output));
  }
  for (const auto& a : j.at("arrays")) c.arrays.push_back(array_of(a));
  for (const auto& a : j.at("digested")) c.digested.push_back(array_of(a));
  if (!j.at("previous").is_null()) c.previous = array_of(j.at("previous"));
  c.report = report_of(j.at("report"));
  c.told = step_of(j.at("told"));
  return c;
}

void check_array(const JournalText& t, const KeptArray& a) {
  const std::uint64_t bytes = elements_of(a.shape, size_of(a.type)) * size_of(a.type);
  if (a.extent.bytes == 0) {
    if (a.output >= t.checkpoint.outputs.size() || !t.checkpoint.outputs[a.output].mapped)
      throw Error("an array of an output that is not there");
    const KeptArray& whole = t.checkpoint.outputs[a.output].array;
    if (whole.type != a.type || whole.shape != a.shape) throw Error("an array that is not as its output");
    return;
  }
  if (a.extent.address < t.arena_base || a.extent.address - t.arena_base >= t.arena_size ||
      a.extent.bytes > t.arena_size - (a.extent.address - t.arena_base) || a.extent.address % kGrain != 0)
    throw Error("an array outside its memory");
  if (a.offset > a.extent.bytes || bytes > a.extent.bytes - a.offset || a.offset % size_of(a.type) != 0)
    throw Error("an array that reaches beyond its memory");
}

void check(const JournalText& t) {
  if (t.id.size() != 16 || t.id.find_first_not_of("0123456789abcdef") != std::string::npos) throw Error("an id that is none");
  if (t.arena_base % kGrain != 0 || t.arena_size % kGrain != 0 || t.arena_size == 0 || t.arena_base >> 47 ||
      t.arena_size > (std::uint64_t{1} << 46))
    throw Error("memory where none can be");
  const Checkpoint& c = t.checkpoint;
  for (const auto* list : {&c.arrays, &c.digested})
    for (const KeptArray& a : *list) check_array(t, a);
  if (c.previous) check_array(t, *c.previous);
  for (const KeptOutput& o : c.outputs) {
    elements_of(o.array.shape, size_of(o.array.type));
    if (o.file.path.empty() || o.file.path.find('\0') != std::string::npos || o.file.temporary.find('\0') != std::string::npos)
      throw Error("an output without a name");
    if (!o.file.temporary.empty() && !o.file.temporary.ends_with("." + t.id + ".tmp"))
      throw Error("an output whose temporary is not this journal's");
    if (!o.mapped && o.file.temporary.empty()) check_array(t, o.array);
  }
}

}  // namespace

std::string to_text(const JournalText& t) {
  const Checkpoint& c = t.checkpoint;
  Json outputs = Json::array();
  for (const KeptOutput& o : c.outputs)
    outputs.push_back({{"path", text(o.file.path)},
                       {"temporary", text(o.file.temporary)},
                       {"device", o.file.device},
                       {"inode", o.file.inode},
                       {"mapped", o.mapped},
                       {"array", array(o.array)}});
  const Json j = {{"id", t.id},
                  {"boot", t.boot},
                  {"closed", t.closed},
                  {"arena", {t.arena_base, t.arena_size}},
                  {"machine", facts(t.machine)},
                  {"job", facts(t.job)},
                  {"inputs", facts(t.inputs)},
                  {"checkpoint",
                   {{"state", kStates[static_cast<int>(c.state)]},
                    {"generation", c.generation},
                    {"step", c.step},
                    {"pass", c.pass},
                    {"bytes", c.bytes},
                    {"chunks", c.chunks},
                    {"arrays", arrays(c.arrays)},
                    {"digested", arrays(c.digested)},
                    {"previous", c.previous ? array(*c.previous) : Json(nullptr)},
                    {"outputs", std::move(outputs)},
                    {"report", report(c.report)},
                    {"told", step(c.told)}}}};
  const std::string body = j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  return std::string(kMagic) + std::to_string(kJournalVersion) + " " + std::to_string(body.size()) + " " + checksum(body, kJournalVersion) +
         "\n" + body;
}

JournalText parse_journal_body(std::string_view body, const std::string& path) {
  try {
    const Json j = Json::parse(body);
    JournalText t;
    t.id = j.at("id").get<std::string>();
    t.boot = j.at("boot").get<std::string>();
    t.closed = j.at("closed").get<bool>();
    t.arena_base = whole<std::uint64_t>(j.at("arena").at(0));
    t.arena_size = whole<std::uint64_t>(j.at("arena").at(1));
    t.machine = facts_of(j.at("machine"));
    t.job = facts_of(j.at("job"));
    t.inputs = facts_of(j.at("inputs"));
    t.checkpoint = checkpoint_of(j.at("checkpoint"));
    check(t);
    return t;
  } catch (const Json::exception& e) {
    throw Error(path + ": the journal is damaged: " + std::string(e.what()).substr(0, 200), Error::Kind::damaged);
  } catch (const Error& e) {
    throw Error(path + ": the journal is damaged: " + e.what(), Error::Kind::damaged);
  }
}

JournalText parse_journal(std::span<const std::byte> bytes, const std::string& path) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!all.starts_with(kMagic)) throw Error(path + ": is not a journal of cadre, or its first bytes are damaged", Error::Kind::damaged);
  if (all.size() > kMostJournalBytes)
    throw Error(path + ": the journal is damaged: larger than " + std::to_string(kMostJournalBytes) + " bytes", Error::Kind::damaged);
  const std::size_t end = all.substr(0, 128).find('\n');
  const auto number = [&](const char*& at, const char* last, std::uint64_t& value) {
    const auto [next, failure] = std::from_chars(at, last, value);
    if (failure != std::errc{} || next == last || *next != ' ') return false;
    at = next + 1;
    return true;
  };
  const char* at = all.data() + kMagic.size();
  const char* last = all.data() + (end == std::string_view::npos ? all.size() : end);
  std::uint64_t version = 0, length = 0;
  if (!number(at, last, version)) throw Error(path + ": the journal is truncated or damaged: its first line is no head", Error::Kind::damaged);
  if (version != kJournalVersion)
    throw Error(path + ": the journal is of version " + std::to_string(version) + "; this program reads version " +
                std::to_string(kJournalVersion) + ": carry on with the program that began it");
  if (!number(at, last, length) || end == std::string_view::npos || last - at != 32)
    throw Error(path + ": the journal is truncated or damaged: its first line is no head", Error::Kind::damaged);
  const std::string_view body = all.substr(end + 1);
  if (body.size() < length)
    throw Error(path + ": the journal is truncated: it has " + std::to_string(body.size()) + " bytes of " + std::to_string(length), Error::Kind::damaged);
  if (body.size() > length || std::string_view(at, 32) != checksum(body, kJournalVersion))
    throw Error(path + ": the journal is damaged: its checksum is not that of its text", Error::Kind::damaged);
  return parse_journal_body(body, path);
}

std::vector<ArenaExtent> extents_of(const Checkpoint& c) {
  std::map<std::uint64_t, std::uint64_t> unique;
  const auto add = [&](const KeptArray& a) {
    if (a.extent.bytes > 0) unique[a.extent.address] = std::max(unique[a.extent.address], a.extent.bytes);
  };
  for (const auto* list : {&c.arrays, &c.digested})
    for (const KeptArray& a : *list) add(a);
  if (c.previous) add(*c.previous);
  for (const KeptOutput& o : c.outputs)
    if (!o.mapped && o.file.temporary.empty()) add(o.array);
  std::vector<ArenaExtent> all;
  for (const auto& [address, bytes] : unique) all.push_back({address, bytes});
  return all;
}

std::string difference(const std::vector<Fact>& was, const std::vector<Fact>& is) {
  for (std::size_t i = 0; i < std::max(was.size(), is.size()); ++i) {
    if (i >= was.size()) return is[i].what + " (" + is[i].is + ") was not there";
    if (i >= is.size()) return was[i].what + " (" + was[i].is + ") is missing";
    if (was[i].what != is[i].what) return was[i].what + " (" + was[i].is + ") is now " + is[i].what + " (" + is[i].is + ")";
    if (was[i].is != is[i].is) return was[i].what + " was " + was[i].is + " and is now " + is[i].is;
  }
  return "";
}

}  // namespace cadre
