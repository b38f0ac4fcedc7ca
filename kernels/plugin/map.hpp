#pragma once
/* The C functions of a kernel that is an expression: CADRE_MAP of plugin.hpp. The arguments are read twice, by the compiler for their types and as text for
   their names and defaults. */
#include <cadre/kernels/plugin/declaration.hpp>
#include <cadre/kernels/plugin/views.hpp>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utility>

namespace cadre::detail {

constexpr bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

struct MapArgument {
  char name[65] = {};
  char value[65] = {};  // "": an input
  bool sound = true;    // the default is a number
};

/** "(double x, double slope = 1.0)" -> its arguments, in order. */
template <unsigned n>
struct MapArguments {
  MapArgument argument[n];
  unsigned inputs = 0;

  constexpr explicit MapArguments(const char* text) {
    const char* at = text + 1;
    for (unsigned k = 0; k < n; ++k) {
      MapArgument& a = argument[k];
      const char *begin = at, *equals = nullptr;
      for (int depth = 0; *at && (depth > 0 || (*at != ',' && *at != ')')); ++at) {
        depth += *at == '(';
        depth -= *at == ')';
        if (*at == '=' && !equals) equals = at;
      }
      const char* end = equals ? equals : at;
      while (end > begin && !is_word(end[-1])) --end;
      const char* name = end;
      while (name > begin && is_word(name[-1])) --name;
      for (unsigned i = 0; name + i < end && i < 64; ++i) a.name[i] = name[i];
      if (equals) {
        const char* from = equals + 1;
        while (from < at && (*from == ' ' || *from == '(')) ++from;
        const char* to = at;
        while (to > from && (to[-1] == ' ' || to[-1] == ')')) --to;
        unsigned used = 0;
        for (; from < to && used < 64; ++from) {
          const char c = *from;
          if (c == '\'' || ((c == 'f' || c == 'L' || c == 'l' || c == 'F') && from + 1 >= to - 1 && a.value[1] != 'x')) continue;
          a.sound = a.sound && (is_word(c) || c == '.' || c == '+' || c == '-');
          a.value[used++] = c;
        }
        // A number: digits are there, and letters only as in 0x1p-3, 1e9.
        bool digit = false;
        for (const char c : a.value) {
          digit |= c >= '0' && c <= '9';
          if ((c >= 'g' && c <= 'z' && c != 'x' && c != 'p') || c == '_') a.sound = false;
        }
        a.sound = a.sound && digit && used > 0;
      } else {
        ++inputs;
      }
      if (*at) ++at;
    }
  }
  constexpr bool sound() const {
    for (const MapArgument& a : argument)
      if (a.value[0] && !a.sound) return false;
    return true;
  }
};

template <class T>
constexpr bool is_map_type = std::is_same_v<T, double> || std::is_same_v<T, float> || (std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) == 8);

/** What an expression gives: double, float or int64. */
template <class T>
using MapResult = std::conditional_t<std::is_floating_point_v<T>, T, int64_t>;

template <unsigned k, class First, class... Rest>
struct TypeAt : TypeAt<k - 1, Rest...> {};
template <class First, class... Rest>
struct TypeAt<0, First, Rest...> { using Type = First; };

template <class T>
constexpr uint32_t accepted() {
  if (std::is_same_v<T, double>) return CADRE_NUMBERS;
  if (std::is_same_v<T, float>) return CADRE_F32;
  return CADRE_INTEGERS & ~CADRE_U64;
}

inline constexpr uint64_t kMapBlock = 1024;
/** Of results on their way past the caches: few enough lines for the CPU's buffers, so that they are written while the next block is computed. */
inline constexpr uint64_t kStreamBlock = 256;
inline constexpr uint64_t kTimedFrom = 4096;  // elements of a chunk, of which two looks at the clock are nothing

/** Whether results that no cache keeps are written past the caches or through them: the way that took the loop less time per element in the chunks before. It depends on how much the loop computes
    and on the machine's memory, so both are tried in the first chunks, and the slower one again now and then. */
class StreamChoice {
 public:
  bool past_caches() {
    const uint64_t n = chunks_++;
    if (n < kTrials) return n % 2 == 0;
    const bool faster = ns_[true] < ns_[false];
    return n % kAgain == 0 ? !faster : faster;
  }
  void took(bool past_caches, double ns_per_element) {
    double& known = ns_[past_caches];
    if (known == 0)
      known = ns_per_element;
    else if (chunks_ <= kTrials)
      known = ns_per_element < known ? ns_per_element : known;
    else
      known += ((ns_per_element < 2 * known ? ns_per_element : 2 * known) - known) / 4;  // one that was held up does not decide
  }

 private:
  static constexpr uint64_t kTrials = 4, kAgain = 64;  // chunks
  uint64_t chunks_ = 0;
  double ns_[2] = {};  // through the caches, past them
};

inline int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/** Elements of one input: where they lie, or converted block by block. */
template <class T>
struct MapInput {
  const char* data;
  cadre_dtype type;
  bool same;
  alignas(64) T room[kMapBlock];

  void open(const cadre_tensor& t) {
    data = static_cast<const char*>(t.data);
    type = t.dtype;
    same = type.code == dtype_of<T>().code && type.bits == dtype_of<T>().bits;
  }
  const T* at(uint64_t first, uint64_t n) {
    const char* from = data + first * (type.bits / 8);
    if (same) return reinterpret_cast<const T*>(from);
    if constexpr (std::is_same_v<T, double>)
      cadre_to_double(type, from, n, room);
    else if constexpr (!std::is_same_v<T, float>)
      cadre_to_int64(type, from, n, reinterpret_cast<int64_t*>(room));
    return room;
  }
};

template <class... T>
struct List {};

/** The loop, alone in a function so that its pointers are known to be apart. */
template <auto function, class Out, class In, class Param>
struct Loop;
template <auto function, class Out, class... In, class... Param>
struct Loop<function, Out, List<In...>, List<Param...>> {
  __attribute__((noinline)) static void run(uint64_t n, Out* __restrict out, const In* __restrict... in, Param... param) {
#pragma GCC ivdep
    for (uint64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(function(in[i]..., param...));
  }
};

/** Text::value: the arguments as they are written. */
template <auto function, class Text, class Function = decltype(function)>
struct Map;

template <auto function, class Text, class R, class... A>
struct Map<function, Text, R (*)(A...)> {
  static constexpr unsigned kCount = sizeof...(A);
  static constexpr MapArguments<kCount> kArguments{Text::value};
  static constexpr unsigned kInputs = kArguments.inputs;
  using Out = MapResult<R>;
  static_assert((is_map_type<A> && ...), "CADRE_MAP: arguments are double, float or int64_t");
  static_assert(std::is_arithmetic_v<R>, "CADRE_MAP: the expression must give a number");
  static_assert(kInputs >= 1, "CADRE_MAP: at least one argument has no default: it is an input");
  static_assert(kInputs <= CADRE_MAX_INPUTS && kCount - kInputs <= CADRE_MAX_PARAMS, "CADRE_MAP: at most 8 inputs and 16 parameters");
  static_assert(kArguments.sound(), "CADRE_MAP: the default of a parameter must be a number, written out");
  template <unsigned k>
  using Argument = typename TypeAt<k, A...>::Type;

  static inline Registered declared;
  static inline thread_local StreamChoice choice;

  static int plan(cadre_plan* p) {
    const cadre_shape& first = p->inputs[0];
    for (unsigned i = 1; i < kInputs; ++i)
      if (p->inputs[i].ndim != first.ndim || memcmp(p->inputs[i].shape, first.shape, sizeof(int64_t) * static_cast<size_t>(first.ndim)) != 0) {
        snprintf(p->message, sizeof p->message, "inputs %s and %s differ in shape: give arrays of one shape", kArguments.argument[0].name, kArguments.argument[i].name);
        return CADRE_BAD_DATA;
      }
    p->elements = static_cast<uint64_t>(first.shape[0]);
    p->outputs[0] = first;
    p->outputs[0].dtype = dtype_of<Out>();
    return CADRE_OK;
  }

  template <unsigned... i, unsigned... j>
  static int run_all(cadre_chunk* c, std::integer_sequence<unsigned, i...>, std::integer_sequence<unsigned, j...>) {
    uint64_t n = c->count;
    for (int32_t a = 1; a < c->outputs[0].ndim; ++a) n *= static_cast<uint64_t>(c->outputs[0].shape[a]);
    Room<i...> in;
    (static_cast<Slot<i>&>(in).open(c->inputs[i]), ...);
    auto* out = static_cast<Out*>(c->outputs[0].data);
    const bool big = (c->flags & CADRE_STREAM) && n >= kTimedFrom;
    const int64_t begin = big ? now_ns() : 0;
    const bool stream = big && choice.past_caches();
    const auto loop = [&](uint64_t at, uint64_t count, Out* to) {
      Loop<function, Out, List<Argument<i>...>, List<Argument<kInputs + j>...>>::run(count, to, static_cast<Slot<i>&>(in).at(at, count)...,
                                                                                     parameter<Argument<kInputs + j>>(c->plan->params[j])...);
    };
    if (!stream && (static_cast<Slot<i>&>(in).same && ...)) {
      loop(0, n, out);
    } else {
      alignas(64) Out room[kStreamBlock];
      const uint64_t block = stream ? kStreamBlock : kMapBlock;
      for (uint64_t at = 0; at < n; at += block) {
        const uint64_t count = n - at < block ? n - at : block;
        loop(at, count, stream ? room : out + at);
        if (stream) cadre_stream(out + at, room, count * sizeof(Out));
      }
      if (stream) cadre_stream_end();
    }
    if (big) choice.took(stream, static_cast<double>(now_ns() - begin) / static_cast<double>(n));
    return CADRE_OK;
  }
  static int run(cadre_chunk* c) {
    return run_all(c, std::make_integer_sequence<unsigned, kInputs>{}, std::make_integer_sequence<unsigned, kCount - kInputs>{});
  }

  Map(const char* name, const char* output, const char* doc) {
    auto& k = const_cast<cadre_kernel&>(declared.kernel());
    k.plan = &plan;
    k.run = &run;
    declared.doc(doc).elementwise();
    declare(std::make_integer_sequence<unsigned, kCount>{});
    declared.output(output, doc);
    declared.enlist(name);
  }

 private:
  template <unsigned k>
  struct Slot : MapInput<Argument<k>> {};
  template <unsigned... k>
  struct Room : Slot<k>... {};
  template <class T>
  static T parameter(const cadre_value& v) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(v.real);
    else
      return v.integer;
  }
  template <unsigned... k>
  static void declare(std::integer_sequence<unsigned, k...>) {
    (declare_one<Argument<k>>(kArguments.argument[k], k < kInputs), ...);
  }
  template <class T>
  static void declare_one(const MapArgument& a, bool input);
};

template <auto function, class Text, class R, class... A>
template <class T>
void Map<function, Text, R (*)(A...)>::declare_one(const MapArgument& a, bool input) {
  struct Open : Declaration {
    using Declaration::add_input;
    using Declaration::add_param;
  };
  auto& d = static_cast<Open&>(static_cast<Declaration&>(declared));
  if (input)
    d.add_input({a.name, "an argument, element by element", accepted<T>(), CADRE_ROWS, 1, CADRE_MAX_NDIM});
  else
    d.add_param({a.name, "a parameter", static_cast<uint32_t>(std::is_floating_point_v<T> ? CADRE_REAL : CADRE_INTEGER), CADRE_PARAM_DEFAULT, strtod(a.value, nullptr)});
}

}  // namespace cadre::detail
