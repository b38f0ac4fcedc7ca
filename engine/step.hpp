#pragma once
/* A step of a job, bound to what it names: kernel, parameters, inputs, outputs. All that headers and declarations can tell is
   found out here, before anything runs. */
#include <optional>
#include <string>
#include <vector>

#include <cadre/engine/job.hpp>
#include <cadre/engine/kernel_table.hpp>

namespace cadre {

/** Type and shape of an array that may not exist yet. */
struct Header {
  DType type = DType::f64;
  Shape shape;
};

struct BoundStep {
  KernelRef ref;
  std::string where;                    // for messages
  std::vector<std::string> inputs;      // names or files, one per declared input
  std::vector<std::string> outputs;     // one per declared output; "": not bound
  std::vector<cadre_value> params;

  const cadre_kernel& kernel() const { return *ref.kernel; }
  bool has_output() const;
};

/** The most numbers that go into `result` without a file being named for them. */
constexpr std::uint64_t kSmallResult = 64;

/** Binds names to declarations. Throws Error (usage): unknown kernel, input, output or parameter with the nearest name, missing ones, too many. */
BoundStep bind_step(const Step& step, const KernelTable& table);

/** The plan of one pass. Checks types, dimensions and lengths of the inputs, then asks the kernel. Throws Error (usage). `previous`: of the pass before. */
cadre_plan plan_pass(const BoundStep& step, const KernelTable& table, std::uint32_t pass, const std::vector<Header>& inputs, const void* previous);

/** Which outputs a step wants, as bits: those that are bound, and all that are not optional. */
std::uint32_t wanted_outputs(const BoundStep& step);

/** What a plan says an output, or a result, is. */
Header header_of(const cadre_shape& shape);

/** Checks that what has no file or name to go to is small enough for `result`. Throws Error that names --out. */
void check_unbound(const BoundStep& step, const cadre_plan& plan);

/** Whether a name of a step means a file: it ends in .npy or contains a slash. */
bool is_file_name(const std::string& name);
/** The same for every way to write a path; `path` itself where it can not be resolved. */
std::string canonical_path(const std::string& path);

/** "fares.toml:7: divide: " before a message. */
std::string prefix(const BoundStep& step);

}  // namespace cadre
