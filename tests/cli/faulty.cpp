// Kernels that do what they must not, one fault each, and one that does nothing wrong: what `cadre check` has to tell apart.
#include <cadre/kernels/plugin.hpp>

#include <fenv.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace {

uint64_t calls = 0;

struct Base {
  static void declare(cadre::Declaration& d) { d.doc("A fault.").input("x", "values").output("out", "results"); }
};

struct Impure : Base {
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = c.in<double>(0)[i] + static_cast<double>(calls);
    ++calls;
  }
};

struct Remembers : Base {  // the same again at once, another after other rows
  static void run(cadre::Chunk& c) {
    static uint64_t last = ~uint64_t{0};
    static double offset = 0;
    if (c.first() != last) offset = offset == 0 ? 1 : 0;
    last = c.first();
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = c.in<double>(0)[i] + offset;
  }
};

struct Beyond : Base {
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i <= c.count(); ++i) c.out<double>(0)[i] = 2;
  }
};

struct FarBeyond : Base {
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = 2;
    c.out<double>(0)[uint64_t{1} << 40] = 2;
  }
};

struct WritesInput : Base {
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = 2;
    const_cast<double*>(c.in<double>(0))[0] = 1;
  }
};

struct Shared : Base {  // a static buffer, as in many a translated routine
  static void run(cadre::Chunk& c) {
    static volatile double buffer[16384];
    for (uint64_t i = 0; i < c.count(); ++i) buffer[i % 16384] = c.in<double>(0)[i] * 3;
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = buffer[i % 16384];
  }
};

struct Misread {  // float32 is declared too, but read as float64
  static void declare(cadre::Declaration& d) { d.doc("A fault.").input("x", "values", CADRE_FLOATS).output("out", "results"); }
  static void run(cadre::Chunk& c) {
    const auto* x = c.in<char>(0);
    const uint64_t bytes = c.count() * (c.type(0).bits / 8);
    for (uint64_t i = 0; i < c.count(); ++i) {
      double value = 0;
      if (8 * i + 8 <= bytes) memcpy(&value, x + 8 * i, sizeof value);
      c.out<double>(0)[i] = value;
    }
  }
};

struct Neighbours {  // declared elementwise
  static void declare(cadre::Declaration& d) { d.doc("A fault.").elementwise().input("x", "values").output("out", "results"); }
  static void run(cadre::Chunk& c) {
    const double* x = c.in<double>(0);
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = x[i] + static_cast<double>(c.first() + i);
  }
};

struct Narrow {  // declared float64, written as float32
  static void declare(cadre::Declaration& d) { d.doc("A fault.").input("x", "values").output("out", "results"); }
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<float>(0)[i] = static_cast<float>(c.in<double>(0)[i]);
  }
};

struct Wide {  // declared one number a row, read as two
  static void declare(cadre::Declaration& d) { d.doc("A fault.").input("x", "values").output("out", "results"); }
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = c.in<double>(0)[2 * i] + c.in<double>(0)[2 * i + 1];
  }
};

struct Rude : Base {
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.out<double>(0)[i] = c.in<double>(0)[i];
    fesetround(FE_UPWARD);
    printf("hello\n");
    if (chdir("/") != 0) abort();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
  }
};

struct Throws : Base {
  static void run(cadre::Chunk&) { throw std::runtime_error("no such luck"); }
};

struct Sums {  // a fold, a map and a count of places at once go well
  struct Accumulator { double sum = 0; };
  static void declare(cadre::Declaration& d) {
    d.doc("Nothing wrong.").rows("X", "rows", CADRE_FLOATS).output("out", "sums of the rows").result("total", "of all");
  }
  static void run(cadre::Chunk& c) {
    const uint64_t width = c.width(0);
    for (uint64_t i = 0; i < c.count(); ++i) {
      double sum = 0;
      for (uint64_t j = 0; j < width; ++j) sum += c.type(0).bits == 64 ? c.in<double>(0)[i * width + j] : static_cast<double>(c.in<float>(0)[i * width + j]);
      c.out<double>(0)[i] = sum;
      c.accumulator<Accumulator>().sum += sum;
    }
  }
  static void combine(Accumulator& a, const Accumulator& later) { a.sum += later.sum; }
  static void finish(cadre::Finish& f) { f.result<double>(0) = f.accumulator<Accumulator>().sum; }
};

struct Places {
  static void declare(cadre::Declaration& d) {
    d.doc("Nothing wrong.").input("key", "places", CADRE_I64).input("x", "values").integer("places", "how many", 16);
    d.count("count", "of each").column("sum", "of each").column("least", "of each", CADRE_MIN);
  }
  static void plan(cadre::Plan& p) { p.scatter<double>(static_cast<uint64_t>(p.integer(0))); }
  static void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) c.add(i, static_cast<uint64_t>(c.in<int64_t>(0)[i]), c.in<double>(1)[i]);
  }
};

struct Draws {  // state of a worker, random numbers by element
  double table[4];
  Draws() {
    for (int k = 0; k < 4; ++k) table[k] = k;
  }
  static void declare(cadre::Declaration& d) { d.doc("Nothing wrong.").input("x", "values").output("out", "x + noise").integer("seed", "of the stream", 7); }
  void run(cadre::Chunk& c) {
    for (uint64_t i = 0; i < c.count(); ++i) {
      cadre::Random random = c.random(static_cast<uint64_t>(c.integer(0)), i);
      c.out<double>(0)[i] = c.in<double>(0)[i] + random.normal() + random.uniform() + table[i % 1];
    }
  }
};

}  // namespace

CADRE_KERNEL(impure, Impure)
CADRE_KERNEL(remembers, Remembers)
CADRE_KERNEL(beyond, Beyond)
CADRE_KERNEL(far_beyond, FarBeyond)
CADRE_KERNEL(writes_input, WritesInput)
CADRE_KERNEL(shared, Shared)
CADRE_KERNEL(misread, Misread)
CADRE_KERNEL(neighbours, Neighbours)
CADRE_KERNEL(narrow, Narrow)
CADRE_KERNEL(wide, Wide)
CADRE_KERNEL(rude, Rude)
CADRE_KERNEL(throws, Throws)
CADRE_KERNEL(sums, Sums)
CADRE_KERNEL(places, Places)
CADRE_KERNEL(draws, Draws)
CADRE_MAP(mixed, (float a, int64_t k, double scale = 2.5e-3, int64_t q = -7), a * scale + double(k + q), "Nothing wrong.")
