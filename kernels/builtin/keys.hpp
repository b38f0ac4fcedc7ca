#pragma once
/* Keys: integers from 0 that name a row of a column. The first pass of a kernel that groups by keys finds the largest and refuses what is no
   key; the second knows from it how many rows there are. */
#include <cadre/kernels/builtin/counting.hpp>

namespace cadre::builtin {

/** Accumulator of the first pass, `previous` of the second. */
struct LargestKey {
  int64_t key;  // -1: there are none
};

/** First pass: refuses, with its row, the first key of the chunk that is negative or too large. The keys are input 0, called `name`. */
int find_largest_key(cadre_chunk* chunk, const char* name);
void no_key(const cadre_plan*, void* accumulator);
void larger_key(const cadre_plan*, void* into, const void* from);

/** Rows of the second pass: one more than the largest key, `minlength` at least. */
inline uint64_t rows_for_keys(const cadre_plan* plan, int64_t minlength) {
  return static_cast<uint64_t>(std::max(static_cast<const LargestKey*>(plan->previous)->key + 1, minlength));
}
/** Refuses a minlength that is negative or too large. */
inline int check_minlength(cadre_plan* plan, int64_t minlength) {
  if (minlength >= 0 && minlength < static_cast<int64_t>(kMostRows)) return CADRE_OK;
  return refuse(plan, "minlength is %lld: 0 to %lld are possible", static_cast<long long>(minlength),
                static_cast<long long>(kMostRows) - 1);
}

}  // namespace cadre::builtin
