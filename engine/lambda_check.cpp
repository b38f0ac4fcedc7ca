#include <cadre/engine/lambda_check.hpp>

#include <link.h>

#include <algorithm>
#include <string>
#include <vector>

#include <cadre/shm/private_memory.hpp>

namespace cadre {

namespace {

struct Range {
  std::uintptr_t begin, end;
  bool holds(std::uintptr_t p) const { return begin <= p && p < end; }
};

std::vector<Range> loaded_code() {
  std::vector<Range> code;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X))
            static_cast<std::vector<Range>*>(out)->push_back({info->dlpi_addr + segment.p_vaddr, info->dlpi_addr + segment.p_vaddr + segment.p_memsz});
        }
        return 0;
      },
      &code);
  return code;
}

}  // namespace

struct ProgramImage::Modules {
  std::vector<Range> code = loaded_code();
};

ProgramImage::ProgramImage() : modules_(std::make_unique<Modules>()) {}
ProgramImage::~ProgramImage() = default;

void ProgramImage::check(const detail::Lambda& lambda) const {
  const auto run = reinterpret_cast<std::uintptr_t>(lambda.run);
  if (std::none_of(modules_->code.begin(), modules_->code.end(), [run](const Range& r) { return r.holds(run); }))
    throw Error(std::string(lambda.name) + ": the lambda's code was loaded after the workers were forked: load the library before the engine is made");
  if (const auto word = find_private_pointer(std::span(lambda.capture.data(), lambda.captured)))
    throw Error(std::string(lambda.name) + ": the lambda captures by reference (or a pointer into this process's own memory, word " + std::to_string(*word) +
                " of its captures): workers would read it as it was when they were forked. Capture by value, or put it into a shared array");
}

}  // namespace cadre
