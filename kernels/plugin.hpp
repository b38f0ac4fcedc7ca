#pragma once
/* Kernels in C++, for plug-ins: one line for a map, a small struct for everything else. `cadre build FILE.cpp` compiles them.

     #include <cadre/kernels/plugin.hpp>
     CADRE_MAP(sigmoid, (double x, double slope = 1.0), 1.0 / (1.0 + cadre::exp(-slope * x)), "Logistic curve.")

   CADRE_MAP(NAME, ARGUMENTS, EXPRESSION, DOC): arguments without a default are inputs, those with one are parameters (a default is a number, written
   out or a macro). Types are double, float and int64_t. The expression is computed for each element, a register of them at a time; inputs
   of other element types are converted to the argument's (a double takes all, an int64_t all integers but uint64, a float float32 only). Arrays may have up
   to 8 dimensions; all inputs have one shape, which is the output's. An expression with commas outside of round brackets, f<a, b>(x), is put into a pair of
   them. cadre::where(c, a, b) stays vectorised where c ? a : b with calls in it does not.

   The long form, for folds, scatters, rows of matrices, several outputs, state of a worker, random numbers:

     struct WeightedMean {
       struct Accumulator { double sum = 0, weight = 0; };           // plain data; one for each chunk, begins as Accumulator{}
       static void declare(cadre::Declaration& d) {
         d.doc("Mean of x, weighted by w.").input("x", "values").input("w", "weights").result("mean", "the weighted mean");
       }
       static void run(cadre::Chunk& c) {
         const double *x = c.in<double>(0), *w = c.in<double>(1);
         auto& a = c.accumulator<Accumulator>();
         for (uint64_t i = 0; i < c.count(); ++i) a.sum += w[i] * x[i], a.weight += w[i];
       }
       static void combine(Accumulator& a, const Accumulator& later) { a.sum += later.sum, a.weight += later.weight; }
       static void finish(cadre::Finish& f) { f.result<double>(0) = f.accumulator<Accumulator>().sum / f.accumulator<Accumulator>().weight; }
     };
     CADRE_KERNEL(weighted_mean, WeightedMean)

   What the struct may have: declare (needed), plan (Plan), run (needed), Accumulator and combine (a fold), finish. Where run() is not static, each
   worker makes one object of the struct before its first chunk (set-up: open a library, read a table) and destroys it when it leaves.

   The contract is that of kernel.h: run() is a pure function of its inputs, called for any rows, in any order, again after a worker was killed. */
#include <cadre/kernels/kernel.h>
#include <cadre/kernels/math.hpp>
#include <cadre/kernels/plugin/adapter.hpp>
#include <cadre/kernels/plugin/map.hpp>

/** A map from an expression; see above. At namespace scope, outside of any namespace. */
#define CADRE_MAP(NAME, ARGUMENTS, EXPRESSION, DOC) CADRE_MAP_TO(NAME, out, ARGUMENTS, EXPRESSION, DOC)
/** The same with a name for the output. */
#define CADRE_MAP_TO(NAME, OUTPUT, ARGUMENTS, EXPRESSION, DOC) CADRE_MAP_EXPANDED(NAME, OUTPUT, ARGUMENTS, CADRE_TEXT(ARGUMENTS), EXPRESSION, DOC)
#define CADRE_MAP_EXPANDED(NAME, OUTPUT, ARGUMENTS, TEXT, EXPRESSION, DOC)                    \
  namespace cadre_kernel_##NAME {                                                             \
  [[maybe_unused]] static inline auto cadre_map_function ARGUMENTS { return EXPRESSION; }     \
  struct cadre_map_text { static constexpr char value[] = TEXT; };                            \
  static const ::cadre::detail::Map<&cadre_map_function, cadre_map_text> cadre_map{#NAME, #OUTPUT, DOC};     \
  }
#define CADRE_TEXT(...) CADRE_TEXT_OF(__VA_ARGS__)
#define CADRE_TEXT_OF(...) #__VA_ARGS__

/** Registers a struct of the long form under a name. */
#define CADRE_KERNEL(NAME, TYPE)                                          \
  namespace cadre_kernel_##NAME {                                         \
  static const ::cadre::detail::Adapter<TYPE> registered{#NAME};          \
  }

/* What the library exports. */
extern "C" __attribute__((weak, visibility("default"))) const cadre_library* cadre_plugin(void) { return &cadre::detail::library; }
