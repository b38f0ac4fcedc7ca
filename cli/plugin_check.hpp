#pragma once
/* The examination of one kernel of a plug-in, on sample inputs: each question is put in a child process of its own, so that a crash is an answer.

   The child loads the plug-in and calls the kernel by its contract. Its inputs are read-only and end where nothing is mapped; so do outputs,
   accumulator and scratch; outputs are painted before a call, so that what was written, and what was not, can be seen. */
#include <string>
#include <vector>

#include <cadre/engine/step.hpp>
#include <cadre/kernels/kernel.h>

namespace cadre::cli {

struct Sample {
  DType type = DType::f64;
  Shape shape;
  std::vector<std::byte> bytes;
};

/** What is examined: a kernel, its inputs and parameters, and its plan for them. */
struct Subject {
  std::string plugin;
  std::uint32_t kernel = 0;      // in the plug-in's library
  cadre_kernel declared{};       // functions are not to be called
  cadre_plan plan{};
  std::vector<Sample> inputs;    // one for each declared input
  std::vector<cadre_value> params;
};

struct Answer {
  std::string question;  // "rows", "pure", "threads" ...
  bool good = true;
  std::string words;     // what was seen
};

/** Numbers that suit most kernels: floats from 1/16 to 15/16, integers from 1 to 9. */
Sample make_sample(const cadre_input& declared, DType type, std::uint64_t rows);

/** Puts all questions. `ns`: time for one element on one core, negative when it was not come to. */
std::vector<Answer> examine(const Subject& subject, double& ns);

}  // namespace cadre::cli
