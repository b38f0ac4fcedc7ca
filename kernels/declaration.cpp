#include <cadre/kernels/declaration.hpp>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <set>
#include <string_view>

namespace cadre {
namespace {

constexpr std::uint32_t kMostKernels = 4096;
constexpr std::size_t kLongestName = 64;

/** Names are typed as --in NAME=..., --param NAME=...: a letter or _, then letters, digits, _. */
bool is_name(const char* name) {
  if (!name || (!std::isalpha(static_cast<unsigned char>(*name)) && *name != '_')) return false;
  std::size_t length = 0;
  for (; name[length]; ++length)
    if (length >= kLongestName || (!std::isalnum(static_cast<unsigned char>(name[length])) && name[length] != '_')) return false;
  return true;
}

/** Checks one list of named declarations; `fault_of(item)` tells what else is wrong with one. */
template <class Item, class Fault>
std::string list_fault(const char* kind, const Item* items, std::uint32_t count, std::uint32_t most, std::set<std::string>& seen,
                       Fault fault_of) {
  if (count > most) return std::to_string(count) + " " + kind + "s, at most " + std::to_string(most) + " are possible";
  if (count > 0 && !items) return std::to_string(count) + " " + kind + "s declared, but the list is NULL";
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string which = std::string(kind) + " " + std::to_string(i + 1);
    if (!items[i].name) return which + " has no name";
    if (!is_name(items[i].name)) return which + ": its name must be a letter or _, then up to 63 letters, digits or _";
    const std::string name = items[i].name;
    if (!items[i].doc) return which + " (" + name + ") has no doc";
    if (!seen.insert(name).second) return "two " + std::string(kind) + "s are called " + name;
    if (std::string fault = fault_of(items[i]); !fault.empty()) return which + " (" + name + "): " + fault;
  }
  return {};
}

std::string input_fault(const cadre_input& in) {
  if (in.types == 0 || (in.types & ~static_cast<std::uint32_t>(CADRE_NUMBERS))) return "types must be a set of CADRE_F64 ... CADRE_U64";
  if (in.role != CADRE_ROWS && in.role != CADRE_WHOLE) return "role must be CADRE_ROWS or CADRE_WHOLE";
  if (in.min_ndim > in.max_ndim || in.max_ndim > CADRE_MAX_NDIM) return "min_ndim and max_ndim must be ordered and at most 8";
  if (in.role == CADRE_ROWS && in.min_ndim == 0) return "an input that is cut into rows has at least one dimension";
  return {};
}

std::string output_fault(const cadre_output& out) {
  if (out.kind > CADRE_OUT_COLUMN) return "kind must be CADRE_OUT_MAP, CADRE_OUT_FINISH or CADRE_OUT_COLUMN";
  if (out.flags & ~static_cast<std::uint32_t>(CADRE_OUT_OPTIONAL)) return "unknown flags";
  if (out.kind == CADRE_OUT_COLUMN && out.op > CADRE_MAX) return "op must be CADRE_ADD, CADRE_MIN or CADRE_MAX";
  if (out.kind == CADRE_OUT_COLUMN && out.counts > 1) return "counts must be 0 or 1";
  if (out.kind == CADRE_OUT_COLUMN && out.counts && out.op != CADRE_ADD) return "a column that counts adds";
  return {};
}

std::string param_fault(const cadre_param& param) {
  if (param.kind != CADRE_REAL && param.kind != CADRE_INTEGER) return "kind must be CADRE_REAL or CADRE_INTEGER";
  if (param.presence > CADRE_PARAM_OPTIONAL) return "presence must be required, default or optional";
  return {};
}

std::string functions_fault(const cadre_kernel& k) {
  if (!k.plan) return "plan is NULL";
  if (!k.run) return "run is NULL";
  if (!k.identity != !k.combine) return "identity and combine are given both or not at all";
  bool finished = k.n_results > 0;
  for (std::uint32_t i = 0; i < k.n_outputs; ++i) {
    finished |= k.outputs[i].kind == CADRE_OUT_FINISH;
  }
  if (finished && !k.finish) return "it has results or FINISH outputs, but finish is NULL";
  if (k.n_outputs + k.n_results == 0) return "it has neither outputs nor results";
  return {};
}

std::string kernel_fault(const cadre_kernel& k) {
  if (k.abi != CADRE_KERNEL_ABI)
    return "abi is " + std::to_string(k.abi) + ", this program speaks " + std::to_string(CADRE_KERNEL_ABI);
  if (k.size < CADRE_KERNEL_LEAST_SIZE)
    return "size is " + std::to_string(k.size) + ", at least " + std::to_string(CADRE_KERNEL_LEAST_SIZE) + " is needed";
  if (!k.doc) return "doc is NULL";
  if (k.flags & ~static_cast<std::uint32_t>(CADRE_ELEMENTWISE)) return "unknown flags";
  if (k.passes < 1 || k.passes > 16) return "passes must be 1 to 16";
  std::set<std::string> inputs, outputs, params, results;
  std::string fault = list_fault("input", k.inputs, k.n_inputs, CADRE_MAX_INPUTS, inputs, input_fault);
  if (fault.empty()) fault = list_fault("output", k.outputs, k.n_outputs, CADRE_MAX_OUTPUTS, outputs, output_fault);
  if (fault.empty()) fault = list_fault("parameter", k.params, k.n_params, CADRE_MAX_PARAMS, params, param_fault);
  if (fault.empty())
    fault = list_fault("result", k.results, k.n_results, CADRE_MAX_RESULTS, results, [](const cadre_result&) { return std::string{}; });
  return fault.empty() ? functions_fault(k) : fault;
}

}  // namespace

cadre_kernel complete(const cadre_kernel& declared) {
  cadre_kernel all{};
  std::memcpy(&all, &declared, std::min<std::size_t>(declared.size, sizeof all));
  return all;
}

std::string declaration_fault(const cadre_library& library) {
  if (library.abi != CADRE_KERNEL_ABI)
    return "it was built for version " + std::to_string(library.abi) + " of the kernel contract, this program speaks version " +
           std::to_string(CADRE_KERNEL_ABI) + ": rebuild it with this program's cadre/kernels/kernel.h";
  if (library.size < sizeof(cadre_library))
    return "its description has " + std::to_string(library.size) + " bytes, at least " + std::to_string(sizeof(cadre_library)) +
           " are needed";
  if (library.count == 0) return "it has no kernels";
  if (library.count > kMostKernels) return "it declares " + std::to_string(library.count) + " kernels, at most 4096 are possible";
  if (!library.kernels) return "its list of kernels is NULL";
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < library.count; ++i) {
    const cadre_kernel* k = library.kernels[i];
    const std::string number = "kernel " + std::to_string(i + 1);
    if (!k) return number + " is NULL";
    if (k->abi == CADRE_KERNEL_ABI && !is_name(k->name))
      return number + ": its name must be a letter or _, then up to 63 letters, digits or _";
    if (std::string fault = kernel_fault(*k); !fault.empty())
      return (k->abi == CADRE_KERNEL_ABI ? "kernel " + std::string(k->name) : number) + ": " + fault;
    if (!names.insert(k->name).second) return "two kernels are called " + std::string(k->name);
  }
  return {};
}

}  // namespace cadre
