#pragma once
/* Whether a lambda can travel to workers that were forked earlier. */
#include <memory>

#include <cadre/engine/lambda.hpp>

namespace cadre {

/** The code and the private memory of the program at one moment: when the workers were forked. */
class ProgramImage {
 public:
  ProgramImage();
  ~ProgramImage();
  /** Throws Error when the lambda's code was loaded after that moment, or a captured word points into the memory that is this process's own (stack,
      heap, globals), which workers would read as it was then. */
  void check(const detail::Lambda& lambda) const;

 private:
  struct Modules;
  std::unique_ptr<Modules> modules_;
};

}  // namespace cadre
