#pragma once
/* The C functions of a kernel that is a struct: the long form of plugin.hpp. */
#include <cadre/kernels/plugin/declaration.hpp>
#include <cadre/kernels/plugin/views.hpp>

#include <new>

namespace cadre::detail {

template <class T> concept HasAccumulator = requires { typename T::Accumulator; };
template <class T> concept HasPlan = requires(Plan& p) { T::plan(p); };
template <class T> concept HasFinish = requires(Finish& f) { T::finish(f); };
template <class T> concept HasStaticRun = requires(Chunk& c) { T::run(c); };

/** The C functions of a struct of the long form. */
template <class T>
struct Adapter {
  static inline Registered declared;

  static int plan(cadre_plan* raw) {
    const cadre_kernel& k = declared.kernel();
    for (uint32_t i = k.n_inputs; i-- > 0;)
      if (k.inputs[i].role == CADRE_ROWS) raw->elements = static_cast<uint64_t>(raw->inputs[i].shape[0]);
    Plan p(raw);
    for (uint32_t r = 0; r < k.n_results; ++r) p.result<double>(r);
    if constexpr (HasAccumulator<T>) raw->accumulator_bytes = sizeof(typename T::Accumulator);
    if constexpr (HasPlan<T>) T::plan(p);
    if (p.outcome() != CADRE_OK) return p.outcome();
    for (uint32_t o = 0; o < k.n_outputs; ++o) {
      cadre_shape& s = raw->outputs[o];
      if (s.dtype.bits != 0) continue;  // plan() told it
      if (k.outputs[o].kind == CADRE_OUT_MAP) s = {dtype_of<double>(), 1, {static_cast<int64_t>(raw->elements)}};
      if (k.outputs[o].kind == CADRE_OUT_COLUMN) s = {k.outputs[o].counts ? dtype_of<int64_t>() : raw->scatter.value, 1, {static_cast<int64_t>(raw->scatter.rows)}};
    }
    return CADRE_OK;
  }
  static int run(cadre_chunk* raw) {
    Chunk c(raw);
    if constexpr (HasStaticRun<T>)
      T::run(c);
    else
      static_cast<T*>(raw->worker)->run(c);
    return c.outcome();
  }
  static void identity(const cadre_plan*, void* accumulator) {
    if constexpr (HasAccumulator<T>) new (accumulator) typename T::Accumulator{};
  }
  static void combine(const cadre_plan*, void* into, const void* from) {
    if constexpr (HasAccumulator<T>) T::combine(*static_cast<typename T::Accumulator*>(into), *static_cast<const typename T::Accumulator*>(from));
  }
  static int finish(cadre_finish* raw) {
    Finish f(raw);
    if constexpr (HasFinish<T>) T::finish(f);
    return f.outcome();
  }
  static int set_up(cadre_worker* w) {
    if constexpr (!HasStaticRun<T>) w->worker = new T();
    return CADRE_OK;
  }
  static void tear_down(cadre_worker* w) {
    if constexpr (!HasStaticRun<T>) delete static_cast<T*>(w->worker);
  }

  explicit Adapter(const char* name) {
    if constexpr (HasAccumulator<T>) {
      static_assert(std::is_trivially_copyable_v<typename T::Accumulator>, "an accumulator travels between processes: plain data, no pointers");
      declared_kernel().identity = &identity;
      declared_kernel().combine = &combine;
    }
    declared_kernel().plan = &plan;
    declared_kernel().run = &run;
    if constexpr (HasFinish<T>) declared_kernel().finish = &finish;
    if constexpr (!HasStaticRun<T>) declared_kernel().set_up = &set_up, declared_kernel().tear_down = &tear_down;
    T::declare(declared);
    declared.enlist(name);
  }
  static cadre_kernel& declared_kernel() { return const_cast<cadre_kernel&>(declared.kernel()); }
};

}  // namespace cadre::detail
