#pragma once
/* Kernels described for people and for programs: what `cadre kernels` prints. */
#include <string>
#include <vector>

#include <cadre/kernels/kernel.h>

namespace cadre {

/** "float64, float32", "integers", "numbers" (all ten), as in messages about a wrong element type. */
std::string types_text(std::uint32_t types);
/** "float64", "int32" ... */
std::string dtype_name(cadre_dtype);

/** One line for each kernel: its name and what it computes. Ends with a newline. */
std::string list_text(const std::vector<const cadre_kernel*>&);
/** Everything about one kernel: inputs, parameters, outputs, results, accuracy, an example. Ends with a newline. */
std::string describe_text(const cadre_kernel&);

/** {"kernels": [{"name": ..., "doc": ...}, ...]} */
std::string list_json(const std::vector<const cadre_kernel*>&);
/** One object with the declarations as they are; a parameter without default has "default": null. */
std::string describe_json(const cadre_kernel&);

}  // namespace cadre
