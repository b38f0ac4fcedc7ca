#include <cadre/engine/step.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

namespace cadre {

namespace {

std::string did_you_mean(const std::string& name, const std::vector<std::string>& candidates, const std::string& else_say) {
  const std::string near = nearest_name(name, candidates);
  return near.empty() ? else_say : "; did you mean " + near + "?";
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& n : names) text += (text.empty() ? "" : ", ") + n;
  return text.empty() ? "none" : text;
}

template <class Declared>
std::vector<std::string> names_of(const Declared* list, std::uint32_t n) {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < n; ++i) names.push_back(list[i].name);
  return names;
}

// Named ones first, the rest in declared order.
std::vector<std::string> place(const std::string& before, const char* what, const std::vector<std::pair<std::string, std::string>>& given, const std::vector<std::string>& declared) {
  std::vector<std::string> placed(declared.size());
  for (const auto& [name, value] : given) {
    if (value.empty()) throw Error(before + "an " + what + " has an empty name");
    if (name.empty()) continue;
    const auto at = std::find(declared.begin(), declared.end(), name);
    if (at == declared.end()) throw Error(before + "no " + what + " is called " + name + did_you_mean(name, declared, "; it has: " + list_of(declared)));
    std::string& slot = placed[static_cast<std::size_t>(at - declared.begin())];
    if (!slot.empty()) throw Error(before + what + " " + name + " is given twice");
    slot = value;
  }
  std::size_t next = 0;
  for (const auto& [name, value] : given) {
    if (!name.empty()) continue;
    while (next < placed.size() && !placed[next].empty()) ++next;
    if (next == placed.size())
      throw Error(before + value + " is one " + what + " too many; it takes " + std::to_string(declared.size()) + ": " + list_of(declared));
    placed[next] = value;
  }
  return placed;
}

cadre_value value_of(const std::string& before, const cadre_param& declared, const Param& given) {
  cadre_value v{declared.kind, 1, 0, 0};
  if (const auto* whole = std::get_if<std::int64_t>(&given)) {
    v.integer = *whole;
    v.real = static_cast<double>(*whole);
    return v;
  }
  v.real = std::get<double>(given);
  if (declared.kind == CADRE_INTEGER) {
    if (!(std::abs(v.real) < 9.2e18) || v.real != std::floor(v.real))
      throw Error(before + "parameter " + declared.name + " is a whole number, not " + std::to_string(v.real));
    v.integer = static_cast<std::int64_t>(v.real);
  }
  return v;
}

std::vector<cadre_value> bind_params(const std::string& before, const Step& step, const cadre_kernel& k) {
  std::vector<cadre_value> values(k.n_params);
  std::vector<bool> given(k.n_params);
  const std::vector<std::string> declared = names_of(k.params, k.n_params);
  for (const auto& [name, value] : step.params) {
    const auto at = static_cast<std::size_t>(std::find(declared.begin(), declared.end(), name) - declared.begin());
    if (at == declared.size()) throw Error(before + "unknown parameter " + name + did_you_mean(name, declared, "; it has: " + list_of(declared)));
    if (given[at]) throw Error(before + "parameter " + name + " is given twice");
    given[at] = true;
    values[at] = value_of(before, k.params[at], value);
  }
  for (std::uint32_t i = 0; i < k.n_params; ++i) {
    if (given[i]) continue;
    const cadre_param& p = k.params[i];
    if (p.presence == CADRE_PARAM_REQUIRED) throw Error(before + "parameter " + p.name + " is missing (" + p.doc + "): give --param " + p.name + "=VALUE");
    values[i] = {p.kind, p.presence == CADRE_PARAM_DEFAULT, p.default_value, static_cast<std::int64_t>(p.presence == CADRE_PARAM_DEFAULT ? p.default_value : 0)};
  }
  return values;
}

std::string types_of(std::uint32_t mask) {
  std::vector<std::string> names;
  for (int t = 0; t < 10; ++t)
    if (mask >> t & 1) names.push_back(name_of(static_cast<DType>(t)));
  return list_of(names);
}

bool is_element_type(cadre_dtype t) {
  const bool integer = t.code == CADRE_INT || t.code == CADRE_UINT;
  return t.lanes == 1 && ((t.bits == 32 || t.bits == 64) && (integer || t.code == CADRE_FLOAT) ? true : integer && (t.bits == 8 || t.bits == 16));
}

bool is_shape(const cadre_shape& s) {
  if (!is_element_type(s.dtype) || s.ndim < 0 || s.ndim > CADRE_MAX_NDIM) return false;
  std::int64_t bytes = s.dtype.bits / 8;
  for (int d = 0; d < s.ndim; ++d)
    if (s.shape[d] < 0 || __builtin_mul_overflow(bytes, s.shape[d], &bytes)) return false;
  return true;
}

// What a kernel's plan() tells is believed only after this: a wrong one would write outside its outputs.
std::string plan_fault(const cadre_kernel& k, const cadre_plan& plan, int rows_input) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  if (rows_input >= 0 && plan.elements != static_cast<std::uint64_t>(plan.inputs[rows_input].shape[0]))
    return "it has " + std::to_string(plan.elements) + " elements, but input " + k.inputs[rows_input].name + " has " + std::to_string(plan.inputs[rows_input].shape[0]) + " rows";
  if (plan.elements > kMost * 1024 || plan.accumulator_bytes > kMost || plan.scratch_bytes > kMost) return "elements, accumulator_bytes or scratch_bytes is out of range";
  if (plan.accumulator_bytes > 0 && (!k.identity || !k.combine)) return "it asks for an accumulator, but the kernel has no identity() and combine()";
  const bool scatters = plan.scatter.rows + plan.scatter.hidden > 0;
  if (scatters && plan.accumulator_bytes > 0) return "it asks for an accumulator and for rows to be added to in one pass: a pass folds or scatters";
  if (plan.scatter.value.bits != 0 && !is_element_type(plan.scatter.value)) return "scatter.value is no element type";
  if (plan.pass + 1 < k.passes) {
    if (plan.carried.dtype.bits == 0) return "";
    if (!is_shape(plan.carried) || plan.carried.ndim < 1 || static_cast<std::uint64_t>(plan.carried.shape[0]) != plan.elements)
      return "what it carries to the next pass must be of an element type, with one row for each of the " + std::to_string(plan.elements) + " elements";
    if (k.n_inputs == CADRE_MAX_INPUTS) return "there is no place for what it carries to the next pass behind " + std::to_string(k.n_inputs) + " inputs";
    return "";
  }
  for (std::uint32_t o = 0; o < k.n_outputs; ++o) {
    if (!(plan.outputs_wanted >> o & 1)) continue;
    const cadre_output& declared = k.outputs[o];
    const cadre_shape& s = plan.outputs[o];
    const std::string name = std::string("output ") + declared.name;
    if (!is_shape(s)) return name + " has no element type or an impossible shape";
    if (declared.kind == CADRE_OUT_MAP && (s.ndim < 1 || static_cast<std::uint64_t>(s.shape[0]) != plan.elements))
      return name + " must have one row for each of the " + std::to_string(plan.elements) + " elements";
    if (declared.kind != CADRE_OUT_COLUMN) continue;
    std::uint64_t rows = 1;
    for (int d = 0; d < s.ndim; ++d) rows *= static_cast<std::uint64_t>(s.shape[d]);
    if (rows != plan.scatter.rows) return name + " has " + std::to_string(rows) + " numbers, but scatter.rows is " + std::to_string(plan.scatter.rows);
    const cadre_dtype value = plan.scatter.value;
    if (scatters && (declared.counts ? s.dtype.code == CADRE_FLOAT : value.code != s.dtype.code || value.bits != s.dtype.bits))
      return name + (declared.counts ? " counts, so it must be of an integer type" : " must have the type of scatter.value");
  }
  for (std::uint32_t r = 0; r < k.n_results; ++r)
    if (!is_shape(plan.results[r]) || plan.results[r].dtype.bits != 64 || plan.results[r].ndim > 2)
      return std::string("result ") + k.results[r].name + " must be int64, uint64 or float64 of 0 to 2 dimensions";
  return "";
}

std::uint64_t count_of(const cadre_shape& s) {
  std::uint64_t n = 1;
  for (int d = 0; d < s.ndim; ++d) n *= static_cast<std::uint64_t>(s.shape[d]);
  return n;
}

}  // namespace

std::string prefix(const BoundStep& step) { return (step.where.empty() ? "" : step.where + ": ") + step.kernel().name + ": "; }

bool is_file_name(const std::string& name) { return name.ends_with(".npy") || name.find('/') != std::string::npos; }

std::string canonical_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path p = std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  return error ? path : p.string();
}

bool BoundStep::has_output() const {
  return std::any_of(outputs.begin(), outputs.end(), [](const std::string& o) { return !o.empty(); });
}

BoundStep bind_step(const Step& step, const KernelTable& table) {
  BoundStep bound;
  bound.where = step.where;
  bound.ref = table.find(step.kernel, step.where);
  const cadre_kernel& k = bound.kernel();
  const std::string before = prefix(bound);
  const std::vector<std::string> inputs = names_of(k.inputs, k.n_inputs);
  bound.inputs = place(before, "input", step.in, inputs);
  for (std::uint32_t i = 0; i < k.n_inputs; ++i)
    if (bound.inputs[i].empty())
      throw Error(before + "input " + inputs[i] + " is missing; it takes " + std::to_string(k.n_inputs) + ": " + list_of(inputs) + " (give --in " + inputs[i] + "=FILE.npy)");
  bound.outputs = place(before, "output", step.out, names_of(k.outputs, k.n_outputs));
  bound.params = bind_params(before, step, k);
  return bound;
}

std::uint32_t wanted_outputs(const BoundStep& step) {
  std::uint32_t wanted = 0;
  for (std::uint32_t o = 0; o < step.kernel().n_outputs; ++o)
    if (!step.outputs[o].empty() || !(step.kernel().outputs[o].flags & CADRE_OUT_OPTIONAL)) wanted |= 1u << o;
  return wanted;
}

cadre_plan plan_pass(const BoundStep& step, const KernelTable& table, std::uint32_t pass, const std::vector<Header>& inputs, const void* previous) {
  const cadre_kernel& k = step.kernel();
  const std::string before = prefix(step);
  cadre_plan plan{};
  plan.size = sizeof plan;
  plan.pass = pass;
  plan.n_inputs = k.n_inputs;
  plan.n_params = k.n_params;
  plan.outputs_wanted = wanted_outputs(step);
  plan.previous = previous;
  int first_rows = -1;
  for (std::uint32_t i = 0; i < k.n_inputs; ++i) {
    const cadre_input& declared = k.inputs[i];
    const Header& given = inputs[i];
    const std::string name = std::string("input ") + declared.name + " (" + step.inputs[i] + ")";
    if (!(declared.types >> static_cast<int>(given.type) & 1))
      throw Error(before + name + " holds " + name_of(given.type) + "; it takes " + types_of(declared.types));
    const auto ndim = given.shape.size();
    if (ndim < declared.min_ndim || ndim > declared.max_ndim || ndim > CADRE_MAX_NDIM)
      throw Error(before + name + " has shape " + to_string(given.shape) + "; it takes " +
                  (declared.min_ndim == declared.max_ndim ? std::to_string(declared.min_ndim) : std::to_string(declared.min_ndim) + " to " + std::to_string(declared.max_ndim)) +
                  (declared.max_ndim == 1 ? " dimension" : " dimensions"));
    cadre_shape& s = plan.inputs[i];
    s.dtype = to_cadre(given.type);
    s.ndim = static_cast<std::int32_t>(ndim);
    std::copy(given.shape.begin(), given.shape.end(), s.shape);
    if (declared.role != CADRE_ROWS) continue;
    if (ndim == 0) throw Error(before + name + " is a single number; it takes an array");
    if (first_rows < 0) {
      first_rows = static_cast<int>(i);
    } else if (given.shape[0] != inputs[static_cast<std::size_t>(first_rows)].shape[0]) {
      const std::string& other = step.inputs[static_cast<std::size_t>(first_rows)];
      throw Error(before + name + " has " + std::to_string(given.shape[0]) + " rows, but input " + k.inputs[first_rows].name + " (" + other + ") has " +
                  std::to_string(inputs[static_cast<std::size_t>(first_rows)].shape[0]) + ": they must be of one length");
    }
  }
  std::copy(step.params.begin(), step.params.end(), plan.params);
  table.plan(step.ref, plan, step.where);
  if (const std::string fault = plan_fault(k, plan, first_rows); !fault.empty()) throw Error(before + "its plan can not be: " + fault);
  return plan;
}

Header header_of(const cadre_shape& s) { return {to_dtype(s.dtype), Shape(s.shape, s.shape + s.ndim)}; }

void check_unbound(const BoundStep& step, const cadre_plan& plan) {
  const cadre_kernel& k = step.kernel();
  const auto refuse = [&](const char* name, std::uint64_t count) {
    throw Error(prefix(step) + name + " has " + std::to_string(count) + " numbers, too many to print (" + std::to_string(kSmallResult) + "): name a file for it with --out " + name + "=FILE.npy");
  };
  for (std::uint32_t o = 0; o < k.n_outputs; ++o)
    if (step.outputs[o].empty() && !(k.outputs[o].flags & CADRE_OUT_OPTIONAL) && count_of(plan.outputs[o]) > kSmallResult && !step.has_output())
      refuse(k.outputs[o].name, count_of(plan.outputs[o]));
  for (std::uint32_t r = 0; r < k.n_results; ++r) {
    if (count_of(plan.results[r]) <= kSmallResult) continue;
    for (std::uint32_t o = 0; o < k.n_outputs; ++o)
      if (std::strcmp(k.outputs[o].name, k.results[r].name) == 0 && step.outputs[o].empty()) refuse(k.results[r].name, count_of(plan.results[r]));
  }
}

}  // namespace cadre
