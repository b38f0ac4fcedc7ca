/* The combine protocol of docs/combine.md: a SLOT owns chunks and locks, a process is only its hands.
   A process that starts in a slot begins by finishing what the slot's record says. Death is a jump to the
   start with all private state forgotten, possible before every step that touches shared memory, any number
   of times (-DKILLS=n bounds it). Every part of every chunk adds 1 to every block of every segment.
   Checked: at the end each block has got exactly its due, no lock is held, nothing waits for ever.

     spin -a slots.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m5000000 -w26

   -DNP=2 speaks each chunk in two sentences. -DORDERED applies chunks to each segment in chunk order.
   -DSOME lets chunk 1 touch only the last segment.
   Planted mistakes, each of which must be found: -DUNLOCK_FIRST -DREADY_FIRST -DNO_IMAGE -DSAVE_TORN
   -DKEEP_READY -DCURSOR_CLAIM -DFORGET_LOCK -DDONE_EARLY; -DNP=2 -DSPLIT_WORD; -DORDERED -DSOME -DKEEP_TURN;
   -DORDERED -DLEADING_HINT                                                                          */
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

byte result[NS*NB];
byte lock_[NS];                /* 0 free, else slot+1 */
byte owner[NC];                /* chunk word: 0 pending, slot+1 claimed, DONE */
#ifdef ORDERED
byte turn[NS];                 /* next chunk to be applied to the segment; guarded by its lock */
#endif
/* the record word: these four are one packed 64-bit word, always stored together */
bool ready[NW];                /* the partial of the current part is complete */
byte at[NW]; bool saved[NW];   /* next block, and whether `image` holds its old content */
byte from[NW];                 /* parts of the chunk already combined */
byte image[NW];
byte cursor = 0;               /* CURSOR_CLAIM only */
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

inline claim(i) { atomic { owner[i] == 0 -> owner[i] = w+1; c = i } }
inline word(r, a, v, f) { atomic { ready[w] = r; at[w] = a; saved[w] = v; from[w] = f } }
#if NC == 1
#define ALL_DONE (owner[0] == DONE)
#elif NC == 2
#define ALL_DONE (owner[0] == DONE && owner[1] == DONE)
#else
#define ALL_DONE (owner[0] == DONE && owner[1] == DONE && owner[2] == DONE)
#endif

proctype worker(byte w) {
  byte c, s, k;
start:
  atomic { c = NC; k = 0; s = 0 }
  do :: k < NC -> if :: owner[k] == w+1 -> c = k :: else fi; k++ :: else -> break od;
#ifndef FORGET_LOCK                      /* a predecessor may have died between its advance and its unlock */
  k = 0;
  do :: k < NS -> if :: lock_[k] == w+1 && !(c < NC && ready[w] && k == at[w] / NB) -> lock_[k] = 0 :: else fi; k++
     :: else -> break od;
#endif
  MAYDIE;
  if :: c < NC -> if :: ready[w] -> goto combine :: else -> goto compute fi
     :: else -> word(false, 0, false, 0)
  fi;
next:
  MAYDIE;
#ifdef CURSOR_CLAIM
  if :: atomic { cursor < NC -> c = cursor; cursor++ } :: cursor >= NC -> goto finished fi;
  MAYDIE;
  owner[c] = w+1;
#elif defined(LEADING_HINT)
  atomic { if :: cursor < NC -> k = cursor; cursor++ :: else -> k = NC fi };
  MAYDIE;
  if :: k < NC -> if :: atomic { owner[k] == 0 -> owner[k] = w+1; c = k } :: owner[k] != 0 -> goto next fi
     :: else -> if :: atomic { ALL_DONE -> goto finished } fi
  fi;
#else
  if
  :: claim(0)
#if NC > 1
#ifdef ORDERED
  :: atomic { owner[0] != 0 && owner[1] == 0 -> owner[1] = w+1; c = 1 }
#else
  :: claim(1)
#endif
#endif
#if NC > 2
#ifdef ORDERED
  :: atomic { owner[0] != 0 && owner[1] != 0 && owner[2] == 0 -> owner[2] = w+1; c = 2 }
#else
  :: claim(2)
#endif
#endif
  :: atomic { ALL_DONE -> goto finished }
  fi;
#endif
compute:
  MAYDIE;                                /* the kernel runs here, over part from[w], into the slot's partial */
  word(true, 0, false, from[w]);
#ifdef DONE_EARLY
  MAYDIE; owner[c] = DONE;
#endif
combine:
  do
  :: at[w] < NS*NB ->
     s = at[w] / NB;
#ifdef ORDERED
#ifdef KEEP_TURN
     if :: !TOUCHES(c, s) -> word(true, (s+1)*NB, false, from[w]); goto combine :: else fi;
#endif
     if :: lock_[s] == w+1 -> skip
        :: else -> atomic { lock_[s] == 0 && turn[s] == c -> lock_[s] = w+1 } fi;
#else
     if :: !TOUCHES(c, s) -> word(true, (s+1)*NB, false, from[w]); goto combine :: else fi;
     if :: lock_[s] == w+1 -> skip :: else -> atomic { lock_[s] == 0 -> lock_[s] = w+1 } fi;
#endif
     MAYDIE;
#ifdef ORDERED
     if :: !TOUCHES(c, s) ->             /* the turn is passed on, untouched segments too */
           if :: from[w]+1 == NP -> turn[s] = c+1 :: else fi; MAYDIE;
           word(true, (s+1)*NB, false, from[w]); MAYDIE; lock_[s] = 0; MAYDIE; goto combine
        :: else
     fi;
#endif
     if :: saved[w] -> skip
        :: else ->
#ifdef SAVE_TORN
           saved[w] = true; MAYDIE; image[w] = result[at[w]]
#else
           image[w] = result[at[w]]; MAYDIE; saved[w] = true
#endif
     fi;
     MAYDIE;
#ifdef NO_IMAGE
     result[at[w]] = result[at[w]] + 1;
#else
     result[at[w]] = GARBAGE;            /* a torn block */
     MAYDIE;
     result[at[w]] = image[w] + 1;
#endif
     MAYDIE;
     if :: (at[w]+1) % NB == 0 ->
#ifdef UNLOCK_FIRST
           lock_[s] = 0; MAYDIE; word(true, at[w]+1, false, from[w])
#else
#ifdef ORDERED
           if :: from[w]+1 == NP -> turn[s] = c+1 :: else fi; MAYDIE;   /* idempotent: under the lock, before the advance */
#endif
           word(true, at[w]+1, false, from[w]); MAYDIE; lock_[s] = 0
#endif
        :: else -> word(true, at[w]+1, false, from[w])
     fi;
     MAYDIE;
  :: else -> break
  od;
  MAYDIE;
  if
  :: from[w]+1 < NP ->                   /* more of this chunk to say */
#ifdef SPLIT_WORD
     from[w] = from[w]+1; MAYDIE; ready[w] = false;
#else
     word(false, 0, false, from[w]+1);
#endif
     goto compute
  :: else
  fi;
#ifdef READY_FIRST
  word(false, 0, false, 0); MAYDIE; owner[c] = DONE;
#else
  owner[c] = DONE;
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
    i = 0; do :: i < NW -> run worker(i); i++ :: else -> break od
  }
  _nr_pr == 1;                           /* all have finished: an endless wait is an invalid end state before this */
  atomic {
    i = 0; do :: i < NS*NB -> assert(result[i] == WANT(i)); i++ :: else -> break od;
    i = 0; do :: i < NS -> assert(lock_[i] == 0); i++ :: else -> break od
  }
}
