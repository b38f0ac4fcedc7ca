#include <cadre/kernels/describe.hpp>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace cadre {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kTypeNames[] = {"float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"};

std::string dimensions(std::uint32_t least, std::uint32_t most) {
  if (least == most) return std::to_string(least) + "-d";
  return std::to_string(least) + "-d to " + std::to_string(most) + "-d";
}

const char* kind_of(const cadre_output& out) {
  switch (out.kind) {
    case CADRE_OUT_MAP: return "one row per input row";
    case CADRE_OUT_FINISH: return "computed at the end";
    default: return out.op == CADRE_MIN ? "scattered, minimum" : out.op == CADRE_MAX ? "scattered, maximum" : "scattered, added";
  }
}

std::string number(double value, std::uint32_t kind) {
  char text[32];
  if (kind == CADRE_INTEGER)
    std::snprintf(text, sizeof text, "%" PRId64, static_cast<std::int64_t>(value));
  else
    std::snprintf(text, sizeof text, "%.15g", value);
  return text;
}

std::string presence_of(const cadre_param& param) {
  if (param.presence == CADRE_PARAM_REQUIRED) return "required";
  return param.presence == CADRE_PARAM_OPTIONAL ? "optional" : "default " + number(param.default_value, param.kind);
}

struct Row {
  std::string name, what, doc;
};

/** A titled block of three columns; nothing when there are no rows. */
std::string block(const char* title, const std::vector<Row>& rows) {
  if (rows.empty()) return {};
  std::size_t name = 0, what = 0;
  for (const Row& row : rows) name = std::max(name, row.name.size()), what = std::max(what, row.what.size());
  std::string text = std::string("\n") + title + "\n";
  for (const Row& row : rows) {
    text += "  " + row.name + std::string(name - row.name.size() + 2, ' ');
    if (what) text += row.what + std::string(what - row.what.size() + 2, ' ');
    text += row.doc + "\n";
  }
  return text;
}

}  // namespace

std::string types_text(std::uint32_t types) {
  if (types == CADRE_NUMBERS) return "numbers";
  std::string text;
  const auto add = [&](const char* name) { text += (text.empty() ? "" : ", ") + std::string(name); };
  const bool integers = (types & CADRE_INTEGERS) == CADRE_INTEGERS;
  for (int i = 0; i < 10; ++i)
    if ((types >> i & 1) && !(integers && (CADRE_INTEGERS >> i & 1))) add(kTypeNames[i]);
  if (integers) add("integers");
  return text;
}

std::string dtype_name(cadre_dtype t) {
  return (t.code == CADRE_FLOAT ? "float" : t.code == CADRE_INT ? "int" : "uint") + std::to_string(t.bits);
}

std::string list_text(const std::vector<const cadre_kernel*>& kernels) {
  std::size_t width = 0;
  for (const cadre_kernel* k : kernels) width = std::max(width, std::string(k->name).size());
  std::string text;
  for (const cadre_kernel* k : kernels) {
    const std::string name = k->name;
    text += name + std::string(width - name.size() + 2, ' ') + k->doc + "\n";
  }
  return text;
}

std::string describe_text(const cadre_kernel& k) {
  std::string text = std::string(k.name) + ": " + k.doc + "\n";
  std::vector<Row> inputs, params, outputs, results;
  bool all_types = false;
  for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
    const cadre_input& in = k.inputs[i];
    all_types |= in.types == CADRE_NUMBERS;
    inputs.push_back({in.name, types_text(in.types) + ", " + dimensions(in.min_ndim, in.max_ndim) +
                                   (in.role == CADRE_WHOLE ? ", read whole" : ", by rows"), in.doc});
  }
  for (std::uint32_t i = 0; i < k.n_params; ++i)
    params.push_back({k.params[i].name, (k.params[i].kind == CADRE_INTEGER ? "integer, " : "real, ") + presence_of(k.params[i]),
                      k.params[i].doc});
  for (std::uint32_t i = 0; i < k.n_outputs; ++i)
    outputs.push_back({k.outputs[i].name, std::string(kind_of(k.outputs[i])) + (k.outputs[i].flags & CADRE_OUT_OPTIONAL ? ", optional" : ""),
                       k.outputs[i].doc});
  for (std::uint32_t i = 0; i < k.n_results; ++i) results.push_back({k.results[i].name, "", k.results[i].doc});
  text += block("inputs", inputs);
  if (all_types) text += "  (numbers: float64, float32, integers of 8 to 64 bits, signed and unsigned)\n";
  text += block("parameters", params) + block("outputs", outputs) + block("results", results);
  if (k.flags & CADRE_ELEMENTWISE) text += "\nAn output may be the same file as an input: it is then computed in place.\n";
  if (k.passes > 1) text += "\nReads the inputs " + std::to_string(k.passes) + " times.\n";
  if (k.accuracy) text += std::string("\naccuracy\n  ") + k.accuracy + "\n";
  if (k.example) text += std::string("\nexample\n  ") + k.example + "\n";
  return text;
}

std::string list_json(const std::vector<const cadre_kernel*>& kernels) {
  Json list = Json::array();
  for (const cadre_kernel* k : kernels) list.push_back({{"name", k->name}, {"doc", k->doc}});
  return Json{{"kernels", list}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string describe_json(const cadre_kernel& k) {
  Json inputs = Json::array(), params = Json::array(), outputs = Json::array(), results = Json::array();
  for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
    const cadre_input& in = k.inputs[i];
    Json types = Json::array();
    for (int t = 0; t < 10; ++t)
      if (in.types >> t & 1) types.push_back(kTypeNames[t]);
    inputs.push_back({{"name", in.name}, {"doc", in.doc}, {"types", types}, {"role", in.role == CADRE_WHOLE ? "whole" : "rows"},
                      {"min_ndim", in.min_ndim}, {"max_ndim", in.max_ndim}});
  }
  for (std::uint32_t i = 0; i < k.n_params; ++i) {
    const cadre_param& p = k.params[i];
    Json value;
    if (p.presence == CADRE_PARAM_DEFAULT)
      value = p.kind == CADRE_INTEGER ? Json(static_cast<std::int64_t>(p.default_value)) : Json(p.default_value);
    params.push_back({{"name", p.name}, {"doc", p.doc}, {"kind", p.kind == CADRE_INTEGER ? "integer" : "real"},
                      {"required", p.presence == CADRE_PARAM_REQUIRED}, {"default", value}});
  }
  for (std::uint32_t i = 0; i < k.n_outputs; ++i) {
    constexpr const char* kinds[] = {"map", "finish", "column"};
    outputs.push_back({{"name", k.outputs[i].name}, {"doc", k.outputs[i].doc}, {"kind", kinds[k.outputs[i].kind]},
                       {"optional", (k.outputs[i].flags & CADRE_OUT_OPTIONAL) != 0}});
  }
  for (std::uint32_t i = 0; i < k.n_results; ++i) results.push_back({{"name", k.results[i].name}, {"doc", k.results[i].doc}});
  const Json all{{"name", k.name}, {"doc", k.doc}, {"inputs", inputs}, {"parameters", params}, {"outputs", outputs},
                 {"results", results}, {"elementwise", (k.flags & CADRE_ELEMENTWISE) != 0}, {"passes", k.passes},
                 {"accuracy", k.accuracy ? Json(k.accuracy) : Json()}, {"example", k.example ? Json(k.example) : Json()}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cadre
