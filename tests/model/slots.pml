/* The combine protocol of docs/combine.md: a SLOT owns chunks and locks, a process is only its hands.
   A process that starts in a slot begins by finishing what the slot's record says. Death is a jump to the
   start with all private state forgotten, possible before every step that touches shared memory, any number
   of times (-DKILLS=n bounds it). Every part of every chunk adds 1 to every block of every segment.
   Checked: at the end each block has got exactly its due, no lock is held, nothing waits for ever.

     spin -a slots.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m5000000 -w26

   -DNP=2 speaks each chunk in two sentences. -DORDERED applies chunks to each segment in chunk order.
   -DSOME lets chunk 1 touch only the last segment.
   Planted mistakes, each of which must be found: -DUNLOCK_FIRST -DREADY_FIRST -DNO_IMAGE -DSAVE_TORN
   -DKEEP_READY -DCURSOR_CLAIM -DFORGET_LOCK -DDONE_EARLY -DLATE_HINT; -DNP=2 -DSPLIT_WORD;
   -DORDERED -DSOME -DKEEP_TURN; -DORDERED -DLEADING_HINT                                                                          */
#ifndef NW
#define NW 2          /* slots */
#endif
#ifndef NC
#define NC 3          /* chunks */
#endif
#ifndef NS
#define NS 2          /* segments */
#endif
#ifndef NB
#define NB 2          /* blocks per segment */
#endif
#ifndef NP
#define NP 1          /* sentences per chunk */
#endif
#define DONE 99
#define GARBAGE 200
#define STEPS (NB+1)   /* of a segment: its blocks, then passing it on. at[w] counts them through all segments */
#define SEGMENT(a) ((a) / STEPS)
#define BLOCK(a) (SEGMENT(a)*NB + (a) % STEPS)
#define END(s) (((s)+1)*STEPS)

byte result[NS*NB];
byte lock_[NS];                /* 0 free, else slot+1 */
byte hint[NW];                 /* the chunk that the slot claims next or has claimed; NC none */
byte owner[NC];                /* chunk word: 0 pending, slot+1 claimed, DONE */
#ifdef ORDERED
byte turn[NS];                 /* next chunk to be applied to the segment; guarded by its lock */
#endif
/* the record word: these four are one packed 64-bit word, always stored together */
bool ready[NW];                /* the partial of the current part is complete */
byte at[NW]; bool saved[NW];   /* next block, and whether `image` holds its old content */
byte from[NW];                 /* parts of the chunk already combined */
byte image[NW];
byte cursor = 0;               /* all chunks before it are claimed; CURSOR_CLAIM: the next chunk */
#ifdef KILLS
byte kills = KILLS;
#define MAYDIE if :: atomic { kills > 0 -> kills--; goto start } :: skip fi
#else
#define MAYDIE if :: goto start :: skip fi
#endif

#ifdef SOME
#define TOUCHES(c,s) (c != 1 || s == NS-1)
#define WANT(b) (10*(b) + ((b) >= (NS-1)*NB -> NC*NP : (NC-1)*NP))
#else
#define TOUCHES(c,s) true
#define WANT(b) (10*(b) + NC*NP)
#endif

inline word(r, a, v, f) { atomic { ready[w] = r; at[w] = a; saved[w] = v; from[w] = f } }
proctype worker(byte w) {
  byte c, s, k;
start:
  atomic { c = hint[w]; k = 0; s = 0 }
  if :: c < NC -> if :: owner[c] == w+1 -> skip :: else -> c = NC fi :: else fi;
#ifndef FORGET_LOCK                      /* a predecessor may have died between its advance and its unlock */
  do :: c < NC && k < NS -> if :: lock_[k] == w+1 && !(ready[w] && k == SEGMENT(at[w])) -> lock_[k] = 0 :: else fi; k++
     :: else -> break od;
#endif
  MAYDIE;
  if :: c < NC -> if :: ready[w] -> goto combine :: else -> goto compute fi
     :: else
  fi;
next:
  MAYDIE;
#ifdef CURSOR_CLAIM
  if :: atomic { cursor < NC -> c = cursor; cursor++ } :: cursor >= NC -> goto finished fi;
  hint[w] = c; MAYDIE;
  owner[c] = w+1;
#else
  atomic {                               /* words never become pending again: looking at all of them at once leaves nothing out */
#ifdef ORDERED
    k = cursor;                          /* the lowest pending one, from the cursor on */
    do :: k < NC && owner[k] != 0 -> k++ :: else -> break od;
#else
    if :: owner[0] == 0 -> k = 0         /* any */
#if NC > 1
       :: owner[1] == 0 -> k = 1
#endif
#if NC > 2
       :: owner[2] == 0 -> k = 2
#endif
       :: else -> k = NC
    fi;
#endif
    if :: k == NC -> goto finished :: else fi;
#ifndef KEEP_READY
    word(false, 0, false, 0);            /* what a predecessor left that died between done and the end of its sentence */
#endif
#ifdef LEADING_HINT
    cursor = k+1
#elif !defined(LATE_HINT)
    hint[w] = k
#endif
  };
  MAYDIE;
#ifdef LEADING_HINT
  hint[w] = k; MAYDIE;
#endif
  if :: atomic { owner[k] == 0 -> owner[k] = w+1; c = k; k = 0 } :: atomic { owner[k] != 0 -> k = 0; goto next } fi;
#ifdef LATE_HINT
  MAYDIE; hint[w] = c;
#endif
#ifdef ORDERED
  MAYDIE;
  atomic { if :: cursor < c -> cursor = c :: else fi };
#endif
#endif
compute:
  MAYDIE;                                /* the kernel runs here, over part from[w], into the slot's partial */
  word(true, 0, false, from[w]);
#ifdef DONE_EARLY
  MAYDIE; owner[c] = DONE;
#endif
combine:
  do
  :: at[w] < END(NS-1) ->
     s = SEGMENT(at[w]);
#if !defined(ORDERED) || defined(KEEP_TURN)
     if :: !TOUCHES(c, s) -> word(true, END(s), false, from[w]); goto combine :: else fi;
#endif
#ifdef ORDERED
     if :: lock_[s] == w+1 -> skip
        :: else -> atomic { lock_[s] == 0 && turn[s] == c -> lock_[s] = w+1 } fi;
#else
     if :: lock_[s] == w+1 -> skip :: else -> atomic { lock_[s] == 0 -> lock_[s] = w+1 } fi;
#endif
     MAYDIE;
blocks:
     if :: at[w] % STEPS < NB && TOUCHES(c, s) ->
           if :: saved[w] -> skip
              :: else ->
#ifdef SAVE_TORN
                 saved[w] = true; MAYDIE; image[w] = result[BLOCK(at[w])]
#else
                 image[w] = result[BLOCK(at[w])]; MAYDIE; saved[w] = true
#endif
           fi;
           MAYDIE;
#ifdef NO_IMAGE
           result[BLOCK(at[w])] = result[BLOCK(at[w])] + 1;
#else
           result[BLOCK(at[w])] = GARBAGE;            /* a torn block */
           MAYDIE;
           result[BLOCK(at[w])] = image[w] + 1;
#endif
           MAYDIE;
#ifdef UNLOCK_FIRST
           if :: at[w] % STEPS == NB-1 -> lock_[s] = 0; MAYDIE :: else fi;
#endif
           word(true, at[w]+1, false, from[w]); MAYDIE;
           goto blocks
        :: else
     fi;
#ifdef ORDERED                           /* the turn is passed on, of untouched segments too: under the lock, before the word, again without harm */
     if :: from[w]+1 == NP -> turn[s] = c+1 :: else fi; MAYDIE;
#endif
     word(true, END(s), false, from[w]); MAYDIE;
#ifdef UNLOCK_FIRST
     if :: lock_[s] == w+1 -> lock_[s] = 0 :: else fi;
#else
     lock_[s] = 0;
#endif
     MAYDIE;
  :: else -> break
  od;
  s = 0;
  MAYDIE;
  if
  :: from[w]+1 < NP ->                   /* more of this chunk to say */
#ifdef SPLIT_WORD
     atomic { ready[w] = false; at[w] = 0; saved[w] = false }; MAYDIE; from[w] = from[w]+1;
#else
     word(false, 0, false, from[w]+1);
#endif
     goto compute
  :: else
  fi;
#ifdef READY_FIRST
  word(false, 0, false, 0); MAYDIE; owner[c] = DONE;
#else
  atomic { owner[c] = DONE; hint[w] = NC };   /* the code lets it stand: of a chunk that is done it says nothing */
#ifndef KEEP_READY
  MAYDIE; word(false, 0, false, 0);
#endif
#endif
  goto next;
finished: skip
}

init {
  byte i;
  atomic {
    i = 0; do :: i < NS*NB -> result[i] = 10*i; i++ :: else -> break od;    /* no two blocks alike */
    i = 0; do :: i < NW -> hint[i] = NC; i++ :: else -> break od;
    i = 0; do :: i < NW -> run worker(i); i++ :: else -> break od
  }
  _nr_pr == 1;                           /* all have finished: an endless wait is an invalid end state before this */
  atomic {
    i = 0; do :: i < NS*NB -> assert(result[i] == WANT(i)); i++ :: else -> break od;
    i = 0; do :: i < NS -> assert(lock_[i] == 0); i++ :: else -> break od
  }
}
