#pragma once
/* What a kernel in C++ declares, and the list of the kernels of its library. */
#include <cadre/kernels/kernel.h>

#include <stdio.h>

namespace cadre {

/** What declare() fills in. Texts must outlive the library: literals. */
class Declaration {
 public:
  Declaration& doc(const char* text) { return kernel_.doc = text, *this; }
  Declaration& accuracy(const char* text) { return kernel_.accuracy = text, *this; }
  /** A command line that runs; made from the declarations when it is not given. */
  Declaration& example(const char* text) { return kernel_.example = text, *this; }
  Declaration& passes(uint32_t n) { return kernel_.passes = n, *this; }
  /** out[i] depends on in[i] alone: an output may be the same file as an input. */
  Declaration& elementwise() { return kernel_.flags |= CADRE_ELEMENTWISE, *this; }

  /** An input that is cut with the index space: each call sees its chunk's rows. `types`: CADRE_F64 | CADRE_F32 ... */
  Declaration& input(const char* name, const char* doc, uint32_t types = CADRE_F64) { return add_input({name, doc, types, CADRE_ROWS, 1, 1}); }
  /** The same, n x d: an element is a row. */
  Declaration& rows(const char* name, const char* doc, uint32_t types = CADRE_F64) { return add_input({name, doc, types, CADRE_ROWS, 2, 2}); }
  /** An input that every call sees whole. */
  Declaration& whole(const char* name, const char* doc, uint32_t types = CADRE_F64, uint32_t min_ndim = 1, uint32_t max_ndim = 1) {
    return add_input({name, doc, types, CADRE_WHOLE, min_ndim, max_ndim});
  }

  /** An output with a row for each element, float64 and one number wide unless plan() says otherwise. A skipped element gets `fill`. */
  Declaration& output(const char* name, const char* doc, double fill = __builtin_nan("")) { return add_output({name, doc, CADRE_OUT_MAP, 0, fill, 0, 0}); }
  /** The same, computed only when asked for: Chunk::wants(). */
  Declaration& optional_output(const char* name, const char* doc, double fill = __builtin_nan("")) {
    return add_output({name, doc, CADRE_OUT_MAP, CADRE_OUT_OPTIONAL, fill, 0, 0});
  }
  /** An output that finish() writes; plan() tells its shape. */
  Declaration& finished(const char* name, const char* doc) { return add_output({name, doc, CADRE_OUT_FINISH, 0, 0, 0, 0}); }
  /** A column of a scatter: values that Chunk::add() brings are added, or the smallest or largest stays. */
  Declaration& column(const char* name, const char* doc, cadre_op op = CADRE_ADD) { return add_output({name, doc, CADRE_OUT_COLUMN, 0, 0, static_cast<uint32_t>(op), 0}); }
  /** A column that counts what is added, int64. */
  Declaration& count(const char* name, const char* doc) { return add_output({name, doc, CADRE_OUT_COLUMN, 0, 0, CADRE_ADD, 1}); }

  Declaration& real(const char* name, const char* doc) { return add_param({name, doc, CADRE_REAL, CADRE_PARAM_REQUIRED, 0}); }
  Declaration& real(const char* name, const char* doc, double otherwise) { return add_param({name, doc, CADRE_REAL, CADRE_PARAM_DEFAULT, otherwise}); }
  Declaration& integer(const char* name, const char* doc) { return add_param({name, doc, CADRE_INTEGER, CADRE_PARAM_REQUIRED, 0}); }
  Declaration& integer(const char* name, const char* doc, int64_t otherwise) {
    return add_param({name, doc, CADRE_INTEGER, CADRE_PARAM_DEFAULT, static_cast<double>(otherwise)});
  }
  /** A small result, printed by name; finish() writes it. A float64 number unless plan() says otherwise. */
  Declaration& result(const char* name, const char* doc) {
    results_[kernel_.n_results++ % CADRE_MAX_RESULTS] = {name, doc};
    return *this;
  }

  const cadre_kernel& kernel() const { return kernel_; }

 protected:
  // Too many are counted, and refused by name when the library is loaded.
  Declaration& add_input(const cadre_input& i) { return inputs_[kernel_.n_inputs++ % CADRE_MAX_INPUTS] = i, *this; }
  Declaration& add_output(const cadre_output& o) { return outputs_[kernel_.n_outputs++ % CADRE_MAX_OUTPUTS] = o, *this; }
  Declaration& add_param(const cadre_param& p) { return params_[kernel_.n_params++ % CADRE_MAX_PARAMS] = p, *this; }
  void make_example();

  cadre_kernel kernel_{};
  cadre_input inputs_[CADRE_MAX_INPUTS]{};
  cadre_output outputs_[CADRE_MAX_OUTPUTS]{};
  cadre_param params_[CADRE_MAX_PARAMS]{};
  cadre_result results_[CADRE_MAX_RESULTS]{};
  char example_[512]{};
};

inline void Declaration::make_example() {
  size_t used = 0;
  const auto say = [&](const char* a, const char* b, const char* c) {
    if (used < sizeof example_) used += static_cast<size_t>(snprintf(example_ + used, sizeof example_ - used, "%s%s%s", a, b, c));
  };
  say("cadre run ", kernel_.name, "");
  const auto least = [](uint32_t n, uint32_t most) { return n < most ? n : most; };
  for (uint32_t i = 0; i < least(kernel_.n_inputs, CADRE_MAX_INPUTS); ++i) say(" --in ", inputs_[i].name, ".npy");
  for (uint32_t i = 0; i < least(kernel_.n_params, CADRE_MAX_PARAMS); ++i)
    if (params_[i].presence == CADRE_PARAM_REQUIRED) say(" --param ", params_[i].name, "=1");
  for (uint32_t o = 0; o < least(kernel_.n_outputs, CADRE_MAX_OUTPUTS); ++o)
    if (!(outputs_[o].flags & CADRE_OUT_OPTIONAL)) say(" --out ", outputs_[o].name, ""), say("=", outputs_[o].name, ".npy");
}

namespace detail {

/** The kernels of the library, in the order of their lines. */
inline constexpr uint32_t kMostKernels = 256;
inline const cadre_kernel* kernels[kMostKernels];
inline cadre_library library = {CADRE_KERNEL_ABI, sizeof(cadre_library), 0, 0, kernels};

/** A declaration that is registered while the library is loaded. */
struct Registered : Declaration {
  void enlist(const char* name) {
    kernel_.abi = CADRE_KERNEL_ABI;
    kernel_.size = sizeof kernel_;
    kernel_.name = name;
    if (!kernel_.passes) kernel_.passes = 1;
    kernel_.inputs = inputs_;
    kernel_.outputs = outputs_;
    kernel_.params = params_;
    kernel_.results = results_;
    if (!kernel_.example) make_example(), kernel_.example = example_;
    if (library.count < kMostKernels) kernels[library.count] = &kernel_;
    ++library.count;
  }
};

}  // namespace detail
}  // namespace cadre
