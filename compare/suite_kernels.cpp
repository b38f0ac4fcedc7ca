// Kernels of `cadre compare --suite` that are hard on one backend or the other. Compiled as a plug-in when the suite is run.
#include <cadre/kernels/plugin.hpp>

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>

struct OneToOne {
  static void declare_map(cadre::Declaration& d, const char* doc) { d.doc(doc).input("x", "any values").output("out", "what comes of it"); }
};

// A buffer of 256 KiB for every 64 rows, as the C library asks the system for one and gives it back: a process has one list of its memory, behind one lock.
struct Buffers {
  static void declare(cadre::Declaration& d) { OneToOne::declare_map(d, "Fresh memory for every few rows, as code does that returns big vectors by value."); }
  static void run(cadre::Chunk& c) {
    const double* x = c.in<double>(0);
    double* out = c.out<double>(0);
    constexpr size_t kBytes = 256 << 10, kRows = 64;
    for (uint64_t from = 0; from < c.count(); from += kRows) {
      auto* memory = static_cast<double*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      if (memory == MAP_FAILED) std::abort();
      for (size_t page = 0; page < kBytes / 4096; ++page) memory[page * 512] = x[from];
      for (uint64_t i = from; i < c.count() && i < from + kRows; ++i) out[i] = x[i] + memory[(i - from) * 512 % (kBytes / 8)];
      munmap(memory, kBytes);
    }
  }
};
CADRE_KERNEL(suite_buffers, Buffers)

// Small objects by the hundred: what an allocator that threads share must sort out.
struct Nodes {
  static void declare(cadre::Declaration& d) { OneToOne::declare_map(d, "A list of small objects for every row."); }
  static void run(cadre::Chunk& c) {
    struct Node {
      Node* next;
      double value;
    };
    const double* x = c.in<double>(0);
    double* out = c.out<double>(0);
    for (uint64_t i = 0; i < c.count(); ++i) {
      Node* list = nullptr;
      for (int k = 0; k < 64; ++k) list = new Node{list, x[i] + k};
      double sum = 0;
      while (list) {
        sum += list->value;
        Node* next = list->next;
        delete list;
        list = next;
      }
      out[i] = sum;
    }
  }
};
CADRE_KERNEL(suite_nodes, Nodes)

// A C library with global state, as old Fortran and C have it: threads must take turns, processes have a copy each.
struct GlobalState {
  static void declare(cadre::Declaration& d) { OneToOne::declare_map(d, "A library with static work arrays, behind a lock."); }
  static double library(double x) {
    static double work[256];
    for (int k = 0; k < 256; ++k) work[k] = x + k;
    double sum = 0;
    for (int k = 0; k < 256; ++k) sum = sum * 0.5 + work[k];
    return sum;
  }
  static void run(cadre::Chunk& c) {
    static std::mutex turn;
    const double* x = c.in<double>(0);
    double* out = c.out<double>(0);
    for (uint64_t i = 0; i < c.count(); ++i) {
      const std::lock_guard lock(turn);
      out[i] = library(x[i]);
    }
  }
};
CADRE_KERNEL(suite_global_state, GlobalState)

// Counters of workers side by side in one cache line: nobody reads another's, yet every write takes the line away from the others.
struct Neighbours {
  static void declare(cadre::Declaration& d) { OneToOne::declare_map(d, "A static counter for each worker, next to each other."); }
  Neighbours() : mine_(next_++ % 8) {}
  void run(cadre::Chunk& c) {
    const double* x = c.in<double>(0);
    double* out = c.out<double>(0);
    for (uint64_t i = 0; i < c.count(); ++i) {
      for (int k = 0; k < 16; ++k) counters_[mine_] = counters_[mine_] + 1;
      out[i] = x[i];
    }
  }

 private:
  alignas(64) static inline volatile uint64_t counters_[8];
  static inline unsigned next_ = 0;
  const unsigned mine_;
};
CADRE_KERNEL(suite_neighbours, Neighbours)

// A routine that has served for years, and one row that it can not take.
struct Fragile {
  static void declare(cadre::Declaration& d) { OneToOne::declare_map(d, "Crashes of the one row that is not a number from 0 to 1."); }
  static void run(cadre::Chunk& c) {
    const double* x = c.in<double>(0);
    double* out = c.out<double>(0);
    for (uint64_t i = 0; i < c.count(); ++i) {
      if (!(x[i] >= 0)) *static_cast<volatile int*>(nullptr) = 0;
      double v = x[i];
      for (int k = 0; k < 200; ++k) v = 3.7 * v * (1 - v);
      out[i] = v;
    }
  }
};
CADRE_KERNEL(suite_fragile, Fragile)
