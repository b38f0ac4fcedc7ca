#include <cadre/kernels/plugin.hpp>

struct BinMean {  // a scatter: rows add to places that the data decide
  static void declare(cadre::Declaration& d) {
    d.doc("Count, sum and largest of y by bins of x.").input("x", "where").input("y", "what");
    d.integer("bins", "how many", 10).real("lo", "left edge", 0).real("hi", "right edge", 1);
    d.count("count", "rows in each bin").column("sum", "of y").column("largest", "of y", CADRE_MAX);
  }
  static void plan(cadre::Plan& p) {
    if (p.integer(0) < 1) return p.refuse("bins is %lld: give 1 or more", static_cast<long long>(p.integer(0)));
    p.scatter<double>(static_cast<uint64_t>(p.integer(0)));
  }
  static void run(cadre::Chunk& c) {
    const double *x = c.in<double>(0), *y = c.in<double>(1), lo = c.real(1), width = (c.real(2) - lo) / static_cast<double>(c.integer(0));
    for (uint64_t i = 0; i < c.count(); ++i)
      if (x[i] >= lo && x[i] < c.real(2)) c.add(i, static_cast<uint64_t>((x[i] - lo) / width), y[i]);
  }
};
CADRE_KERNEL(bin_mean, BinMean)
