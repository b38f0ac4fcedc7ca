#include <nlohmann/json.hpp>

#include <cadre/engine/report.hpp>

namespace cadre {
namespace {

// Keys stay in the order in which they are set: that of the contract. NaN and infinities are written as null by the library.
using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& s) { return s.empty() ? Json(nullptr) : Json(s); }

template <class T>
Json nested(const std::vector<T>& values, const std::vector<std::int64_t>& shape) {
  if (shape.empty()) return values.empty() ? Json(nullptr) : Json(values[0]);
  if (shape.size() == 1) return Json(values);
  Json rows = Json::array();
  const auto columns = static_cast<std::size_t>(shape[1]);
  for (std::size_t row = 0; row < static_cast<std::size_t>(shape[0]); ++row) {
    Json line = Json::array();
    for (std::size_t column = 0; column < columns; ++column) line.push_back(values.at(row * columns + column));
    rows.push_back(std::move(line));
  }
  return rows;
}

Json results(const std::vector<SmallResult>& all) {
  Json object = Json::object();
  for (const SmallResult& r : all) object[r.name] = std::visit([&](const auto& values) { return nested(values, r.shape); }, r.values);
  return object;
}

Json poison(const Poison& p) {
  Json value = p.value.empty() ? Json(nullptr) : Json::parse(p.value, nullptr, false);
  if (value.is_discarded()) value = p.value;
  return {{"index", p.index},
          {"value", std::move(value)},
          {"signal", text_or_null(p.signal)},
          {"what", text_or_null(p.what)},
          {"exit", p.exit < 0 ? Json(nullptr) : Json(p.exit)},
          {"attempts", p.attempts},
          {"peak_rss", p.peak_rss},
          {"stack", p.stack}};
}

}  // namespace

std::string to_json(const Report& r) {
  Json j = {{"job", r.job},       {"backend", name_of(r.backend)}, {"start", name_of(r.start)}, {"workers", r.workers},
            {"isa", name_of(r.isa)}, {"elements", r.elements},        {"chunks", r.chunks},        {"seconds", r.seconds},
            {"bytes_per_second", r.bytes_per_second}};
  if (r.steps.size() > 1) {
    j["steps"] = Json::array();
    for (const StepReport& s : r.steps)
      j["steps"].push_back({{"kernel", s.kernel}, {"elements", s.elements}, {"chunks", s.chunks}, {"seconds", s.seconds}, {"result", results(s.result)}});
  }
  j["result"] = results(r.steps.empty() ? std::vector<SmallResult>{} : r.steps.back().result);
  j["outputs"] = Json::object();
  for (const auto& [name, file] : r.outputs) j["outputs"][name] = file;
  j["digest"] = text_or_null(r.digest);
  Json poisoned = Json::array();
  for (const Poison& p : r.faults.poison) poisoned.push_back(poison(p));
  j["faults"] = {{"crashes", r.faults.crashes},
                 {"timeouts", r.faults.timeouts},
                 {"retries", r.faults.retries},
                 {"resumed_chunks", r.faults.resumed_chunks},
                 {"poison", std::move(poisoned)}};
  if (!r.error.empty()) j["error"] = r.error;
  // File names need not be UTF-8, JSON must be: what is not becomes U+FFFD.
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cadre
