#pragma once
/* Mistakes that the combine protocol does not make (docs/combine.md says what each is). The crash test compiles the protocol once more with
   CADRE_PLANTED defined, tells it to make one of them, and fails unless it is found. Otherwise planted() is false when compiled. */
namespace cadre {

enum class Mistake {
  none,
  unlock_first,
  ready_first,
  no_image,
  save_torn,
  keep_ready,
  cursor_claim,
  forget_lock,
  done_early,
  split_word,
  keep_turn,
  leading_hint,
  late_hint,
  mark_early
};

#ifdef CADRE_PLANTED
extern Mistake planted_mistake;
inline bool planted(Mistake mistake) { return mistake == planted_mistake; }
#else
constexpr bool planted(Mistake) { return false; }
#endif

}  // namespace cadre
